use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use crate::guard::Guard;

/// The addresses of a name, some time.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Where names are looked up. Asked once for each connection.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `name`, in the order in which to try them.
    fn resolve(&self, name: &str) -> Resolving;
}

/// The system's own resolver.
#[derive(Debug)]
pub(crate) struct System;

impl Resolve for System {
    fn resolve(&self, name: &str) -> Resolving {
        let name = name.to_owned();
        Box::pin(async move {
            Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
        })
    }
}

/// What the HTTP client asks: it dials what it gets from here and nothing else, so that the address checked is the
/// address dialled.
pub(crate) struct Guarded {
    pub(crate) resolver: Arc<dyn Resolve>,
    /// `None` where the only name looked up is the proxy's, which the operator gave.
    pub(crate) guard: Option<Arc<Guard>>,
}

impl reqwest::dns::Resolve for Guarded {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let resolving = self.resolver.resolve(name.as_str());
        let guard = self.guard.clone();
        Box::pin(async move {
            let mut addresses = resolving.await?;
            if let Some(guard) = guard {
                addresses = guard.admit_resolved(name.as_str(), addresses)?;
            }
            // Port 0 is replaced by the URL's.
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as reqwest::dns::Addrs)
        })
    }
}
