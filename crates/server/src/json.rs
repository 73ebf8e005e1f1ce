//! Bodies of JSON: small, an object, read field by field, so that what is wrong is named.

use axum::extract::{FromRequest, Request};
use http_body_util::{BodyExt, Limited};
use reelhouse_api::Fault;
use serde_json::{Map, Value};

use crate::error::Error;

/// The most bytes of a body.
const MAX_BODY: usize = 1 << 20;

/// A JSON object. Unknown fields are a newer SDK's: not ours to refuse.
#[derive(Debug)]
pub(crate) struct JsonBody(Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        let unreadable = |reason: String| Fault::ParameterInvalid { parameter: "body", reason };
        let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
        let body = body.map_err(|error| {
            tracing::info!(error, "a body could not be read");
            unreadable(format!("It could not be read; it may have up to {MAX_BODY} bytes."))
        })?;
        match serde_json::from_slice(&body.to_bytes()) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(unreadable("It is not a JSON object.".to_owned()).into()),
            Err(error) => Err(unreadable(format!("It is not JSON: {error}.")).into()),
        }
    }
}

impl JsonBody {
    /// A field that must be there; null is absent.
    pub(crate) fn required(&self, name: &'static str) -> Result<&Value, Fault> {
        self.optional(name).ok_or(Fault::ParameterNotProvided { parameter: name })
    }

    /// A field, if it is there; null is absent.
    pub(crate) fn optional(&self, name: &'static str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text that must be there.
    pub(crate) fn text(&self, name: &'static str) -> Result<&str, Fault> {
        self.required(name)?.as_str().ok_or_else(|| wrong(name, "It is not a string."))
    }

    /// A whole number that must be there, at least 1.
    pub(crate) fn count(&self, name: &'static str) -> Result<u64, Fault> {
        let number = self.required(name)?.as_u64().filter(|number| *number > 0);
        number.ok_or_else(|| wrong(name, "It is not a whole number of at least 1."))
    }

    /// A boolean; false when absent.
    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, Fault> {
        let Some(value) = self.optional(name) else { return Ok(false) };
        value.as_bool().ok_or_else(|| wrong(name, "It is neither true nor false."))
    }

    /// An object, if it is there.
    pub(crate) fn object(&self, name: &'static str) -> Result<Option<&Map<String, Value>>, Fault> {
        let Some(value) = self.optional(name) else { return Ok(None) };
        value.as_object().map(Some).ok_or_else(|| wrong(name, "It is not a JSON object."))
    }

    /// A list that must be there.
    pub(crate) fn list(&self, name: &'static str) -> Result<&[Value], Fault> {
        let list = self.required(name)?.as_array().map(Vec::as_slice);
        list.ok_or_else(|| wrong(name, "It is not an array."))
    }
}

/// What is wrong with a field.
pub(crate) fn wrong(parameter: &'static str, reason: impl Into<String>) -> Fault {
    Fault::ParameterInvalid { parameter, reason: reason.into() }
}
