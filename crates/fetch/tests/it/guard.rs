//! What is not dialled, however it is spelled.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use reelhouse_fetch::{Error, Fetcher, PublicUrl, Resolve, Resolving};

use crate::origin::{Origin, Script, answer, assert_not_accessible, config, fetch, logged, url};

/// Every way to write an IPv4 address, and to hide one in an IPv6 address.
fn spellings(address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let bits = address.to_bits();
    let [high, low] = [bits >> 16, bits & 0xffff];
    let wide = |text: String| -> String {
        text.chars()
            .map(|c| if c == '.' { '。' } else { char::from_u32(c as u32 - 48 + 0xff10).unwrap() })
            .collect()
    };
    let escaped = |text: String| -> String { text.bytes().map(|byte| format!("%{byte:02x}")).collect() };
    let v6 = |address: Ipv6Addr| format!("[{address}]");
    let mapped = address.to_ipv6_mapped();
    vec![
        format!("{a}.{b}.{c}.{d}"),
        format!("{a}.{b}.{c}.{d}."),
        format!("{a}.{b}.{}", bits & 0xffff),
        format!("{a}.{}", bits & 0xff_ffff),
        format!("{bits}"),
        format!("{bits}."),
        format!("{bits:#x}"),
        format!("0X{bits:X}"),
        format!("0x0000{bits:x}"),
        format!("0{bits:o}"),
        format!("000{bits:o}"),
        format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("000{a:o}.{b}.{c:#x}.{d}"),
        format!("{a:#x}.{}", bits & 0xff_ffff),
        format!("0{a:o}.{b:#x}.{}", bits & 0xffff),
        wide(address.to_string()),
        escaped(address.to_string()),
        v6(mapped),
        format!("[::ffff:{high:x}:{low:x}]"),
        format!("[0:0:0:0:0:FFFF:{high:x}:{low:x}]"),
        format!("[::{address}]"),
        format!("[::ffff:0:{address}]"),
        format!("[64:ff9b::{address}]"),
        format!("[64:ff9b:1::{high:x}:{low:x}]"),
        format!("[2002:{high:x}:{low:x}::1]"),
        format!("[2001::{:x}:{:x}]", !high & 0xffff, !low & 0xffff),
        format!("[2606:4700::5efe:{high:x}:{low:x}]"),
    ]
}

const ADDRESSES: [Ipv4Addr; 8] = [
    Ipv4Addr::LOCALHOST,
    Ipv4Addr::new(127, 8, 9, 10),
    Ipv4Addr::new(10, 0, 0, 1),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(172, 16, 0, 1),
    Ipv4Addr::new(192, 168, 1, 1),
];

/// What no rule spells.
const OTHERS: [&str; 42] = [
    "0",
    "0x0",
    "00",
    "0.0.0.0",
    "0.1",
    "0x",
    "127.1",
    "127.0.1",
    "0x7f.1",
    "0177.1",
    "①②⑦.⓪.⓪.①",
    "127．0．0．1",
    "127｡0｡0｡1",
    "⑯⑨。②⑤④。⑯⑨。②⑤④",
    "255.255.255.255",
    "0xffffffff",
    "224.0.0.1",
    "240.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "[::]",
    "[::0]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::0.0.0.1]",
    "[fe80::1]",
    "[FE80::A9FE:A9FE]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[FD00:0EC2:0:0:0:0:0:0254]",
    "[fd20:ce::254]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "ｌｏｃａｌｈｏｓｔ",
    "%6c%6fcalhost",
    "a.b.localhost",
];

#[derive(Default)]
struct Counting(AtomicUsize);

impl Resolve for Counting {
    fn resolve(&self, _: &str) -> Resolving {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Err(io::Error::other("no such name"))))
    }
}

#[tokio::test]
async fn no_spelling_of_a_private_address_is_dialled() {
    let (v4, v6) = loop {
        let v4 = Origin::saying(answer("200 OK", "", "a secret")).await;
        let beside = (Ipv6Addr::LOCALHOST, v4.address.port()).into();
        match Origin::at(beside, |_| answer("200 OK", "", "a secret")).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            // Some machines have no IPv6.
            v6 => break (v4, v6.ok()),
        }
    };
    let port = v4.address.port();
    let lookups = Arc::new(Counting::default());
    let fetcher = Fetcher::with_resolver(config(""), lookups.clone()).unwrap();
    let spellings: Vec<String> =
        ADDRESSES.into_iter().flat_map(spellings).chain(OTHERS.map(str::to_owned)).collect();
    assert!(spellings.len() > 200);
    for host in &spellings {
        for scheme in ["http", "https"] {
            let error = fetch(&fetcher, &url(&format!("{scheme}://{host}:{port}/"))).await.unwrap_err();
            assert_not_accessible(&error, false, "refused: ");
            // Worded like any other failure to connect.
            assert_eq!(error.to_string(), "the URL is not accessible", "{host}");
        }
    }
    // Hosts beside what only looks like one.
    for text in [
        format!("http://127.0.0.1:{port}#@media.example/"),
        format!("http://127.0.0.1:{port}?@media.example/"),
        format!("http://127.0.0.1:{port}\\@media.example/"),
        format!("http:///127.0.0.1:{port}/"),
        format!("http://\t127.0.0.1:{port}/"),
        format!("http://127.0\n.0.1:{port}/"),
        format!("http://127.0.0.1\u{ad}:{port}/"),
        format!("http://127.0.0.1\u{200b}:{port}/"),
    ] {
        assert_not_accessible(&fetch(&fetcher, &url(&text)).await.unwrap_err(), false, "refused: ");
    }
    assert_eq!(lookups.0.load(Ordering::Relaxed), 0);
    assert_eq!(v4.requests().len() + v6.map_or(0, |v6| v6.requests().len()), 0);
}

#[tokio::test]
async fn spellings_that_are_no_url_are_none() {
    for host in [
        "127.0.0.256",
        "127.0.0.0.1",
        "0x100000000",
        "4294967296",
        "1.2.3.08",
        "[::1%25lo]",
        "[fe80::1%eth0]",
        "[::1",
        "[::ffff:127.0.0.1.]",
        "[127.0.0.1]",
        "media.example@127.0.0.1",
        "127.0.0.1%00.media.example",
        "127.0.0.1 .media.example",
        "127.0.0.1%0d%0a",
    ] {
        assert!(PublicUrl::parse(&format!("http://{host}/")).is_err(), "{host}");
    }
}

#[tokio::test]
async fn names_of_private_addresses() {
    let private = Origin::saying(answer("200 OK", "", "a secret")).await;
    let port = private.address.port();
    for (addresses, dialled) in [
        ("127.0.0.1", false),
        ("::ffff:127.0.0.1", false),
        ("::127.0.0.1", false),
        ("10.0.0.1 192.168.0.1 fd00::1 169.254.169.254", false),
        ("127.0.0.1 ::1 0.0.0.0", false),
    ] {
        let fetcher = Fetcher::with_resolver(config(""), Script::new(&[addresses])).unwrap();
        let error = fetch(&fetcher, &url(&format!("http://media.example:{port}/"))).await.unwrap_err();
        assert_not_accessible(&error, dialled, "refused: media.example (");
    }
    // A failed look-up is another matter, and may end otherwise.
    let fetcher = Fetcher::with_resolver(config(""), Script::new(&[])).unwrap();
    let error = fetch(&fetcher, &url("http://media.example/")).await.unwrap_err();
    assert_not_accessible(&error, true, "no such name");
    assert_eq!(private.requests().len(), 0);
}

#[tokio::test]
async fn what_is_allowed_is_dialled() {
    let private = Origin::saying(answer("200 OK", "", "allowed")).await;
    let port = private.address.port();
    for (allow, host, reached) in [
        ("127.0.0.1", "127.0.0.1", true),
        ("127.0.0.0/8", "0x7f.1", true),
        ("10.0.0.0/8, 127.0.0.1/32", "media.internal", true),
        ("media.internal", "media.internal", true),
        ("Media.Internal.", "MEDIA.internal", true),
        ("media.internal", "media.internal.", true),
        ("localhost", "localhost", true),
        ("127.0.0.1", "localhost", true),
        ("10.0.0.0/8", "127.0.0.1", false),
        ("media.internal", "127.0.0.1", false),
        ("media.internal", "other.internal", false),
        ("media.internal", "sub.media.internal", false),
        ("127.0.0.1", "[::ffff:127.0.0.1]", false),
    ] {
        let fetcher = Fetcher::with_resolver(config(allow), Script::new(&["127.0.0.1"])).unwrap();
        let answer = fetch(&fetcher, &url(&format!("http://{host}:{port}/"))).await;
        match answer {
            Ok(body) => assert!(reached && body == b"allowed", "{allow} {host}"),
            Err(error @ Error::NotAccessible { retriable: false, .. }) => {
                assert!(!reached, "{allow} {host}: {}", logged(&error));
            }
            Err(error) => assert_eq!(logged(&error), "", "{allow} {host}"),
        }
    }
}

#[tokio::test]
async fn the_system_resolves_names() {
    let private = Origin::saying(answer("200 OK", "", "allowed")).await;
    let fetcher = Fetcher::new(config("localhost")).unwrap();
    let url = url(&format!("http://localhost:{}/", private.address.port()));
    assert_eq!(fetch(&fetcher, &url).await.unwrap(), b"allowed");
}
