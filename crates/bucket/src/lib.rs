//! A bucket of any store that speaks S3: objects, uploads in parts, and URLs that are keys of their own.
//!
//! Only what is needed of the protocol, over a library that signs. Requests are repeated while the store is away, for as long as
//! an upload is held back for it; what a store refuses is not.

mod answers;
mod bucket;
mod error;
mod location;
mod multipart;
mod objects;
mod payload;
mod sign;

pub use bucket::Bucket;
pub use error::{Error, Result};
pub use location::Location;
pub use multipart::{Part, PartHere, Pending};
pub use objects::{Bytes, Listed, Listing, Shown};
pub use payload::Payload;
