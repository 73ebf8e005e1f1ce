//! The real programs on real files, and programs that are up to no good.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test they are the assertion"
)]

mod clips;
mod hostile;
mod jail;
mod kernels;
mod prepare;
mod storyboard;
mod text;
mod thumbnail;
mod times;
