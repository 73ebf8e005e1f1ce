//! Certificates, as the system judges them. Which ones it trusts comes from the environment, so that these tests run
//! themselves again in another one.

use std::{process::Command, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reelhouse_fetch::{Fetcher, PublicUrl};
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use crate::origin::{Script, assert_not_accessible, config, fetch, serve_once};

/// One test of this file of tests, to be run in a process of its own.
#[expect(clippy::disallowed_methods, reason = "a test that runs another")]
pub(crate) fn this_test(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--include-ignored", name]);
    command
}

/// It was run, and it passed.
pub(crate) async fn passes(mut command: Command) {
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let says =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && says.contains("1 passed"), "{says}");
}

/// An origin for media.example whose certificate an authority of our own signed; and that authority, in PEM.
async fn origin() -> (u16, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(["media.example".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust us hangs up.
            if let Ok(stream) = acceptor.accept(stream).await {
                let _ = serve_once(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nencrypted").await;
            }
        }
    });
    (port, pem)
}

async fn ask(host: &str, port: u16) -> Result<Vec<u8>, reelhouse_fetch::Error> {
    let fetcher = Fetcher::with_resolver(config("127.0.0.1"), Script::new(&["127.0.0.1"])).unwrap();
    fetch(&fetcher, &PublicUrl::parse(&format!("https://{host}:{port}/")).unwrap()).await
}

const PORT: &str = "REELHOUSE_FETCH_TEST_PORT";

#[tokio::test]
async fn certificates_that_the_system_trusts() {
    let (port, authority) = origin().await;
    let pem = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&pem, authority).unwrap();
    let mut test = this_test("tls::with_our_own_authority");
    test.env(PORT, port.to_string()).env("SSL_CERT_FILE", pem.path()).env_remove("SSL_CERT_DIR");
    passes(test).await;
    // Nobody signed it, says any other system.
    assert_not_accessible(&ask("media.example", port).await.unwrap_err(), true, "UnknownIssuer");
}

#[tokio::test]
#[ignore = "run by certificates_that_the_system_trusts, in its environment"]
async fn with_our_own_authority() {
    let port = std::env::var(PORT).unwrap().parse().unwrap();
    assert_eq!(ask("media.example", port).await.unwrap(), b"encrypted");
    assert_not_accessible(&ask("other.example", port).await.unwrap_err(), true, "not valid for name");
}

#[tokio::test]
async fn without_any_certificates_there_is_http() {
    let (port, _) = origin().await;
    let none = tempfile::NamedTempFile::new().unwrap();
    for name in ["tls::with_no_authority", "bodies::a_plain_body"] {
        let mut test = this_test(name);
        test.env(PORT, port.to_string()).env("SSL_CERT_FILE", none.path()).env_remove("SSL_CERT_DIR");
        passes(test).await;
    }
}

#[tokio::test]
#[ignore = "run by without_any_certificates_there_is_http, in its environment"]
async fn with_no_authority() {
    let port = std::env::var(PORT).unwrap().parse().unwrap();
    assert_not_accessible(&ask("media.example", port).await.unwrap_err(), true, "UnknownIssuer");
}
