//! TLS for every client that dials out.

use std::sync::Arc;

use rustls::{ClientConfig, Error, RootCertStore, crypto::ring};
use rustls_platform_verifier::Verifier;

/// Certificates are judged as the system judges them. Without any of its own, it trusts nobody: http still works.
///
/// # Errors
/// What the library says of its own defaults.
pub fn config() -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let mut config = match Verifier::new(provider) {
        Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)),
        Err(error) => {
            tracing::warn!(%error, "https cannot be used: install the package ca-certificates");
            builder.with_root_certificates(RootCertStore::empty())
        }
    }
    .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
