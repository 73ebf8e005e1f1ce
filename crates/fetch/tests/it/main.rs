//! Real origins on loopback, in plain TCP, so that they can lie.

#![expect(clippy::unwrap_used, reason = "in a test it is the assertion")]

mod bodies;
mod guard;
mod heads;
mod origin;
mod posts;
mod proxy;
mod redirects;
mod resumes;
mod tls;
