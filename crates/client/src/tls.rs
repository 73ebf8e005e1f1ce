use std::sync::Arc;

use reqwest::Url;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::{Error, Result};

/// TLS with the system's certificates. A system without any can still speak plain HTTP.
pub(crate) fn config(base_url: &Url) -> Result<ClientConfig> {
    let setup = |error| Error::Setup(format!("TLS cannot be set up: {error}"));
    let builder = || {
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
    };
    match builder().map_err(setup)?.with_platform_verifier() {
        Ok(builder) => Ok(builder.with_no_client_auth()),
        Err(error) if base_url.scheme() == "https" => Err(setup(error)),
        Err(_) => {
            Ok(builder().map_err(setup)?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
        }
    }
}
