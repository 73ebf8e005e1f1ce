//! A public URL in, bytes out, without being fooled. The only room of the server that dials out.
//!
//! [`Fetcher::get`] follows redirects hop by hop; each hop is checked like the first ([`PublicUrl`], then the guard of
//! addresses), and the addresses of a name are checked where they are dialled: between the resolver and the connection
//! there is no second look-up. [`Fetched::chunk`] hands out the body; what ends before its declared end, stalls or
//! trickles is [`Error::Interrupted`] and never an end.
//!
//! [`Fetcher::post`] tells a public URL something, behind the same guard; it follows nothing.
//!
//! With a [`Proxy`], the proxy dials: literals and names of loopback are still checked here, but what any other name
//! resolves to is the proxy's to judge. Proxy variables of the environment are ignored.

mod address;
mod allow;
mod body;
mod config;
mod error;
mod fetched;
mod fetcher;
mod filename;
mod guard;
mod pace;
pub mod playlist;
mod post;
mod public_url;
mod resolve;
mod resume;
mod trusted;
mod validator;

pub use allow::{Allow, AllowError};
pub use config::{Config, Proxy, ProxyError};
pub use error::{Cause, Error, SetupError};
pub use fetched::Fetched;
pub use fetcher::Fetcher;
pub use pace::Pace;
pub use public_url::{PublicUrl, UrlError};
pub use resolve::{Resolve, Resolving};
pub use resume::Resume;
pub use trusted::Trusted;
pub use validator::{Validator, ValidatorError};
