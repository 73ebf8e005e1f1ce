//! A proxy dials for us, or none does.

use reelhouse_fetch::{Config, Fetcher};

use crate::origin::{Origin, Script, answer, assert_not_accessible, config, fetch, url};

#[tokio::test]
async fn a_proxy_is_asked_and_dials() {
    let proxy = Origin::saying(answer("200 OK", "", "by proxy")).await;
    let port = proxy.address.port();
    // Neither its address nor its name needs to be allowed, and no other name is looked up.
    for (proxied, script) in [
        (format!("http://127.0.0.1:{port}"), Script::new(&[])),
        (format!("http://me:secret@proxy.example:{port}"), Script::new(&["127.0.0.1"])),
    ] {
        let config = Config { proxy: Some(proxied.parse().unwrap()), ..config("") };
        let fetcher = Fetcher::with_resolver(config, script).unwrap();
        assert_eq!(fetch(&fetcher, &url("http://media.example/a.mp4")).await.unwrap(), b"by proxy");
    }
    let [by_address, by_name] = &proxy.requests()[..] else { unreachable!() };
    assert!(by_address.starts_with("get http://media.example/a.mp4 http/1.1\r\n"), "{by_address}");
    assert!(!by_address.contains("proxy-authorization"));
    // "me:secret", but in lower case.
    assert!(by_name.contains("proxy-authorization: basic bwu6c2vjcmv0"), "{by_name}");
}

#[tokio::test]
async fn what_a_proxy_is_not_asked_for() {
    let proxy = Origin::saying(answer("200 OK", "", "by proxy")).await;
    let proxied = format!("http://{}", proxy.address);
    let config = Config { proxy: Some(proxied.parse().unwrap()), ..config("") };
    let fetcher = Fetcher::new(config).unwrap();
    for host in ["10.0.0.1", "0x7f.1", "[::1]", "169.254.169.254", "localhost", "a.localhost."] {
        for scheme in ["http", "https"] {
            let error = fetch(&fetcher, &url(&format!("{scheme}://{host}/"))).await.unwrap_err();
            assert_not_accessible(&error, false, "refused: ");
        }
    }
    assert_eq!(proxy.requests().len(), 0);
    assert_not_accessible(&fetch(&fetcher, &url("https://media.example/")).await.unwrap_err(), true, "");
    assert!(proxy.requests()[0].starts_with("connect media.example:443 http/1.1\r\n"));
}

/// Another test, which needs no proxy, with the environment's variables set.
#[tokio::test]
async fn variables_of_the_environment_are_ignored() {
    let proxy = Origin::saying(answer("200 OK", "", "by proxy")).await;
    let mut test = crate::tls::this_test("bodies::a_plain_body");
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        test.env(name, format!("http://{}", proxy.address));
    }
    for name in ["NO_PROXY", "no_proxy", "REQUEST_METHOD"] {
        test.env_remove(name);
    }
    crate::tls::passes(test).await;
    assert_eq!(proxy.requests().len(), 0);
}
