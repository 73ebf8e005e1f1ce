//! The example of the README, which a test keeps the same and runs.

include!("pasted.rs");
