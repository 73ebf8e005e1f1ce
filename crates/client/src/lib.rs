#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod assets;
mod client;
mod content;
mod create;
mod error;
mod error_code;
mod indexes;
mod list;
mod meter;
mod operation;
mod request;
mod retry;
mod source;
mod tls;
mod types;
mod upload;
mod upload_state;
mod uploads;
mod wait;

pub use assets::Assets;
pub use client::{API_KEY_VARIABLE, BASE_URL_VARIABLE, Client, ClientBuilder, DEFAULT_BASE_URL};
pub use content::{Content, Download, OpenContent};
pub use create::CreateAsset;
pub use error::{ApiError, Cause, Error, Result};
pub use error_code::ErrorCode;
pub use indexes::{IndexedAssets, Indexes};
pub use list::{List, Page};
pub use meter::Progress;
pub use operation::{Call, CallFuture, Operation, Raw};
pub use request::RawResponse;
pub use source::Source;
pub use types::*;
pub use upload::UploadFile;
pub use uploads::Uploads;
pub use wait::WaitUntilReady;

pub use reqwest::header::HeaderMap;
