//! What users keep with what is theirs: the rules of contract, section 4, and the bounds, which are ours.

use reelhouse_api::{AssetId, Fault, UserMetadata};
use serde::Serialize;
use serde_json::{Number, Value};

use crate::{Caller, Service, error::Result};

/// The most keys.
const MAX_KEYS: usize = 100;
/// Longest key, in characters.
const MAX_KEY_CHARS: usize = 255;
/// The most bytes of all, as JSON.
const MAX_BYTES: usize = 16 * 1024;
/// The largest whole number that every reader of JSON takes for the same one.
const MAX_NUMBER: f64 = 9_007_199_254_740_991.0;

/// User metadata that may be kept: every value is a string, a number, a boolean or an array of strings, none of them says
/// nothing, and all are within the bounds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct KeptMetadata(UserMetadata);

impl KeptMetadata {
    /// What is kept of what a create or a replacement gives: `null`, `""` and `[]` are nothing.
    ///
    /// # Errors
    /// [`Fault::ParameterInvalid`] for a value of another kind, or when it is too much.
    pub fn of(given: UserMetadata) -> Result<Self, Fault> {
        Self(UserMetadata::new()).with(given)
    }

    /// What is kept after an update: `null` takes a key away, `""` and `[]` are passed over, other keys stay.
    ///
    /// # Errors
    /// Like [`KeptMetadata::of`].
    pub(crate) fn with(mut self, changes: UserMetadata) -> Result<Self, Fault> {
        for (key, value) in changes {
            if value.is_null() {
                self.0.shift_remove(&key);
            } else if !says_nothing(&value) {
                check(&key, &value)?;
                self.0.insert(key, value);
            }
        }
        if self.0.len() > MAX_KEYS {
            return Err(invalid(format!("It has {} keys, at most {MAX_KEYS} are allowed.", self.0.len())));
        }
        match serde_json::to_string(&self.0) {
            Ok(text) if text.len() <= MAX_BYTES => Ok(self),
            text => {
                let bytes = text.map_or(0, |text| text.len());
                Err(invalid(format!("It has {bytes} bytes as JSON, at most {MAX_BYTES} are allowed.")))
            }
        }
    }

    /// As a row keeps it: `None` for nothing.
    pub(crate) fn into_row(self) -> Option<UserMetadata> {
        Some(self.0).filter(|metadata| !metadata.is_empty())
    }

    /// As a row kept it.
    pub(crate) fn of_row(kept: Option<UserMetadata>) -> Self {
        Self(kept.unwrap_or_default())
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn check(key: &str, value: &Value) -> Result<(), Fault> {
    if !(1..=MAX_KEY_CHARS).contains(&key.chars().count()) {
        return Err(invalid(format!("A key must have 1 to {MAX_KEY_CHARS} characters.")));
    }
    let shown: String = key.chars().take(100).collect();
    match value {
        Value::String(_) | Value::Bool(_) => Ok(()),
        Value::Array(items) if items.iter().all(Value::is_string) => Ok(()),
        Value::Number(number) if is_the_same_everywhere(number) => Ok(()),
        Value::Number(_) => {
            Err(invalid(format!("The number of \"{shown}\" is beyond 53 bits. Please send it as a string.")))
        }
        _ => Err(invalid(format!(
            "The value of \"{shown}\" is not a string, a number, a boolean or an array of strings."
        ))),
    }
}

fn is_the_same_everywhere(number: &Number) -> bool {
    number.as_f64().is_some_and(|number| number.abs() <= MAX_NUMBER)
}

fn invalid(reason: String) -> Fault {
    Fault::ParameterInvalid { parameter: "user_metadata", reason }
}

impl Service {
    /// Merges changes into what is kept with an asset of the caller's; false if there is no such asset.
    ///
    /// # Errors
    /// The [`Fault`] of what cannot be kept; then all is as it was.
    pub async fn update_user_metadata(
        &self,
        caller: &Caller,
        asset: AssetId,
        changes: UserMetadata,
    ) -> Result<bool> {
        let change = |kept| Ok(KeptMetadata::of_row(kept).with(changes.clone())?.into_row());
        self.store.change_user_metadata(&caller.account, asset, change).await
    }

    /// Keeps this and nothing else with an asset of the caller's; false if there is no such asset.
    ///
    /// # Errors
    /// The [`Fault`] of what cannot be kept; then all is as it was.
    pub async fn replace_user_metadata(
        &self,
        caller: &Caller,
        asset: AssetId,
        metadata: UserMetadata,
    ) -> Result<bool> {
        let change = |_| Ok(KeptMetadata::of(metadata.clone())?.into_row());
        self.store.change_user_metadata(&caller.account, asset, change).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> UserMetadata {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_merge_goes_key_by_key_and_keeps_the_order() {
        let kept = KeptMetadata::of(object(json!({
            "z": "first", "empty": "", "none": null, "list": [], "count": 5, "rating": 9.3, "tags": ["a", ""]
        })))
        .unwrap();
        assert_eq!(
            serde_json::to_string(&kept).unwrap(),
            r#"{"z":"first","count":5,"rating":9.3,"tags":["a",""]}"#
        );
        let changes =
            object(json!({ "count": null, "z": "", "tags": [], "rating": true, "new": "é", "gone": null }));
        let merged = kept.with(changes).unwrap();
        assert_eq!(
            serde_json::to_string(&merged).unwrap(),
            r#"{"z":"first","rating":true,"tags":["a",""],"new":"é"}"#
        );
        assert_eq!(KeptMetadata::of(object(json!({ "a": null, "b": "" }))).unwrap().into_row(), None);
    }

    #[test]
    fn values_have_their_kinds_and_bounds() {
        let nine = 9_007_199_254_740_991_i64;
        for good in [json!({ "n": nine }), json!({ "n": -nine }), json!({ "n": 0.1 }), json!({ "f": false })]
        {
            let text = serde_json::to_string(&KeptMetadata::of(object(good.clone())).unwrap()).unwrap();
            assert_eq!(text, good.to_string());
        }
        let beyond = "The number of \"n\" is beyond 53 bits. Please send it as a string.";
        let kind = "The value of \"n\" is not a string, a number, a boolean or an array of strings.";
        let many: UserMetadata = (0..101).map(|n| (n.to_string(), json!(n))).collect();
        for (bad, reason) in [
            (json!({ "n": nine + 1 }), beyond),
            (json!({ "n": 1e30 }), beyond),
            (json!({ "n": {} }), kind),
            (json!({ "n": ["a", 1] }), kind),
            (json!({ "": 1 }), "A key must have 1 to 255 characters."),
            (json!({ "k".repeat(256): 1 }), "A key must have 1 to 255 characters."),
            (Value::Object(many), "It has 101 keys, at most 100 are allowed."),
            (json!({ "n": "x".repeat(16_384) }), "It has 16392 bytes as JSON, at most 16384 are allowed."),
        ] {
            let fault = KeptMetadata::of(object(bad)).unwrap_err();
            assert_eq!(fault.to_string(), format!("The user_metadata parameter is invalid. {reason}"));
        }
    }
}
