//! Redirects: each hop is the first.

use reelhouse_fetch::{Fetcher, PublicUrl};

use crate::origin::{
    Origin, Script, Step, answer, assert_not_accessible, config, drain, fetch, fetcher, public_and_private,
};

fn to(location: &str) -> Vec<Step> {
    answer("302 Found", &format!("Location: {location}\r\nSet-Cookie: a=b\r\n"), "elsewhere")
}

fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

/// `/n` redirects to the one before, `/0` is there.
fn countdown(head: &str) -> Vec<Step> {
    match path(head)[1..].parse().unwrap() {
        0 => answer("200 OK", "", "there"),
        n => to(&format!("{}?", n - 1)),
    }
}

#[tokio::test]
async fn five_are_followed_and_six_are_not() {
    let origin = Origin::start(|head| countdown(&head.replace('?', ""))).await;
    assert_eq!(fetch(&fetcher(), &origin.url("/5")).await.unwrap(), b"there");
    assert_eq!(origin.requests().len(), 6);
    let error = fetch(&fetcher(), &origin.url("/6")).await.unwrap_err();
    assert_not_accessible(&error, false, "more than 5 redirects");
    assert_eq!(origin.requests().len(), 12);
}

#[tokio::test]
async fn every_kind_relative_or_not() {
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        for location in [
            "/there/b%20c.mp4",
            "there/b%20c.mp4",
            "there/./b c.mp4#t=3",
            "//{host}/there/b%20c.mp4",
            "http://{host}/there/b%20c.mp4",
        ] {
            let origin = Origin::start(move |head| {
                let host = head.split("host: ").nth(1).unwrap().split("\r\n").next().unwrap();
                match path(head) {
                    "/here" => {
                        let location = location.replace("{host}", host);
                        answer(status, &format!("Location: {location}\r\n"), "")
                    }
                    "/there/b%20c.mp4" => answer("200 OK", "", "there"),
                    _ => answer("404 Not Found", "", ""),
                }
            })
            .await;
            let mut fetched = fetcher().get(&origin.url("/here"), None).await.unwrap();
            assert_eq!(fetched.url, origin.url("/there/b%20c.mp4"));
            assert_eq!(fetched.filename.as_deref(), Some("b c.mp4"));
            assert_eq!(drain(&mut fetched).await.unwrap(), b"there");
        }
    }
}

#[tokio::test]
async fn nothing_is_carried_along() {
    let origin =
        Origin::start(|head| if path(head) == "/a" { to("/b") } else { answer("200 OK", "", "") }).await;
    fetch(&fetcher(), &origin.url("/a")).await.unwrap();
    for request in origin.requests() {
        for header in ["cookie", "referer", "authorization", "origin:"] {
            assert!(!request.contains(header), "{request}");
        }
    }
}

#[tokio::test]
async fn loops_are_seen() {
    for (start, next) in [("/a", "/a"), ("/a", "#x"), ("/a", "http://{host}/a"), ("/a", "/b")] {
        let origin = Origin::start(move |head| {
            let host = head.split("host: ").nth(1).unwrap().split("\r\n").next().unwrap();
            if path(head) == "/b" { to("/a") } else { to(&next.replace("{host}", host)) }
        })
        .await;
        let error = fetch(&fetcher(), &origin.url(start)).await.unwrap_err();
        assert_not_accessible(&error, false, "in a loop");
        assert!(origin.requests().len() <= 2);
    }
}

#[tokio::test]
async fn where_none_may_lead() {
    for (location, cause) in [
        ("file:///etc/passwd", "must begin with http"),
        ("ftp://127.0.0.1/a", "must begin with http"),
        ("data:video/mp4,x", "must begin with http"),
        ("gopher://127.0.0.1:70/x", "must begin with http"),
        ("http://a:b@127.0.0.1/", "user name or a password"),
        ("http://", "not a valid URL"),
        ("http://[::1/", "not a valid URL"),
        ("http://10.0.0.1/", "10.0.0.1 is private"),
        ("http://0xa000001/", "10.0.0.1 is private"),
        ("//169.254.169.254/latest/meta-data/", "169.254.169.254 is cloud metadata"),
        ("http://[::ffff:127.0.0.1]/", "is IPv4-mapped"),
        ("http://[::1]/", "::1 is loopback"),
    ] {
        let origin = Origin::saying(to(location)).await;
        assert_not_accessible(&fetch(&fetcher(), &origin.url("/")).await.unwrap_err(), false, cause);
        assert_eq!(origin.requests().len(), 1);
    }
    let origin = Origin::saying(answer("302 Found", "", "")).await;
    assert_not_accessible(
        &fetch(&fetcher(), &origin.url("/")).await.unwrap_err(),
        false,
        "without a Location",
    );
}

#[tokio::test]
async fn from_public_to_private() {
    for target in [
        "http://127.0.0.1:{port}/",
        "http://2130706433:{port}/",
        "http://private.example:{port}/",
        "http://localhost:{port}/",
    ] {
        let (public, private) =
            public_and_private(move |port, _| to(&target.replace("{port}", &port.to_string()))).await;
        let fetcher = Fetcher::with_resolver(config("127.0.0.2"), Script::new(&["127.0.0.1"])).unwrap();
        let error = fetch(&fetcher, &public.url("/")).await.unwrap_err();
        assert_not_accessible(&error, false, "refused: ");
        assert_eq!((public.requests().len(), private.requests().len()), (1, 0));
    }
}

#[tokio::test]
async fn a_name_that_is_public_first_and_private_second() {
    let (public, private) = public_and_private(|port, head| match path(head) {
        "/stays" => answer("200 OK", "", "public"),
        _ => to(&format!("http://rebinds.example:{port}/secret")),
    })
    .await;
    let port = public.address.port();
    let url = |path: &str| PublicUrl::parse(&format!("http://rebinds.example:{port}/{path}")).unwrap();

    // Between two hops.
    let script = Script::new(&["127.0.0.2", "127.0.0.1"]);
    let fetcher = Fetcher::with_resolver(config("127.0.0.2"), script.clone()).unwrap();
    let error = fetch(&fetcher, &url("moves")).await.unwrap_err();
    assert_not_accessible(&error, false, "refused: rebinds.example (127.0.0.1) is loopback");
    assert_eq!(script.left(), 0);

    // Between two fetches.
    let script = Script::new(&["127.0.0.2", "127.0.0.1"]);
    let fetcher = Fetcher::with_resolver(config("127.0.0.2"), script.clone()).unwrap();
    assert_eq!(fetch(&fetcher, &url("stays")).await.unwrap(), b"public");
    assert_not_accessible(&fetch(&fetcher, &url("stays")).await.unwrap_err(), false, "refused");
    assert_eq!(script.left(), 0);

    // Within one fetch: one look-up for one connection, so that there is no second answer to dial.
    let script = Script::new(&["127.0.0.2", "127.0.0.1"]);
    let fetcher = Fetcher::with_resolver(config("127.0.0.2"), script.clone()).unwrap();
    assert_eq!(fetch(&fetcher, &url("stays")).await.unwrap(), b"public");
    assert_eq!(script.left(), 1);

    // Both at once: only the public one is dialled.
    let script = Script::new(&["127.0.0.1 127.0.0.2 ::1"]);
    let fetcher = Fetcher::with_resolver(config("127.0.0.2"), script).unwrap();
    assert_eq!(fetch(&fetcher, &url("stays")).await.unwrap(), b"public");

    assert_eq!(private.requests().len(), 0);
}
