//! HTTP in. Extractors admit the caller, handlers tell the story, the service acts; one file maps faults to statuses.

mod accept;
mod app;
mod content_disposition;
mod counted;
mod create_form;
mod deliver;
mod drain;
mod error;
mod extract;
mod fault_examples;
mod form;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
mod index_query;
mod json;
mod openapi;
mod paced;
mod query;
mod range;
mod read_pieces;
mod routes;
mod seats;
mod trace;

pub use accept::{Timeouts, serve, serve_metrics};
pub use app::App;
pub use deliver::Delivery;
