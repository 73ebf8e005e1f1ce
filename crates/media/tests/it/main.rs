//! The real programs on real files, and programs that are up to no good.

mod clips;
mod prepare;
mod thumbnail;
