//! Requests that may be sent twice and count once.

use reelhouse_api::Fault;
use reelhouse_store::Receipt;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{
    Caller, Service,
    error::{Error, Result},
};

/// How long a key is remembered, in milliseconds.
pub(crate) const REMEMBERED: i64 = 24 * 60 * 60 * 1000;
/// Longest key, in characters.
const MAX_CHARS: usize = 255;

/// A client's word that two requests with it are the same one: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads a key for requests of one kind: the same text for another kind is another key.
    ///
    /// # Errors
    /// [`Fault::ParameterInvalid`] for what cannot be one.
    pub fn parse(kind: &str, text: &str) -> Result<Self, Fault> {
        if (1..=MAX_CHARS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(format!("{kind} {text}")));
        }
        let reason = format!("It must have 1 to {MAX_CHARS} visible ASCII characters.");
        Err(Fault::ParameterInvalid { parameter: "Idempotency-Key", reason })
    }
}

/// A key, and all that its request says.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    key: &'a IdempotencyKey,
    fingerprint: String,
}

impl<'a> Claim<'a> {
    /// `said` is all that makes the request what it is.
    pub(crate) fn of(key: Option<&'a IdempotencyKey>, said: &impl Serialize) -> Option<Self> {
        // What cannot be written as JSON is no part of a request.
        let said = serde_json::to_vec(said).unwrap_or_default();
        let digest = Sha256::digest(said);
        let fingerprint = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self { key: key?, fingerprint })
    }

    /// What is to be kept with what the request makes.
    pub(crate) fn receipt(&self, answer: &impl Serialize) -> Receipt {
        Receipt {
            key: self.key.0.clone(),
            fingerprint: self.fingerprint.clone(),
            answer: serde_json::to_string(answer).unwrap_or_default(),
        }
    }
}

impl Service {
    /// The answer that a claim's key was given before; `None` when it is new.
    ///
    /// # Errors
    /// [`Fault::IdempotencyKeyReused`] when it was given to another request.
    pub(crate) async fn replay<T: DeserializeOwned>(
        &self,
        caller: &Caller,
        claim: Option<&Claim<'_>>,
    ) -> Result<Option<T>> {
        let Some(claim) = claim else { return Ok(None) };
        let since = self.clock.now_ms().saturating_sub(REMEMBERED);
        let Some(receipt) = self.store.receipt(&caller.account, &claim.key.0, since).await? else {
            return Ok(None);
        };
        if receipt.fingerprint != claim.fingerprint {
            return Err(Fault::IdempotencyKeyReused.into());
        }
        let corrupt = |_| reelhouse_store::Error::Corrupt { table: "idempotency", id: receipt.key };
        Ok(Some(serde_json::from_str(&receipt.answer).map_err(corrupt).map_err(Error::Store)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_text_and_apart_by_kind() {
        for bad in ["", " ", "a b", "é", "a\n", &"x".repeat(256)] {
            assert_eq!(
                IdempotencyKey::parse("assets", bad).unwrap_err().code(),
                "parameter_invalid",
                "{bad:?}"
            );
        }
        let key = |kind| IdempotencyKey::parse(kind, "k").unwrap();
        assert_eq!(key("assets"), key("assets"));
        assert_ne!(key("assets"), key("uploads"));
    }

    #[test]
    fn another_body_is_another_fingerprint() {
        let key = IdempotencyKey::parse("assets", "k").unwrap();
        let fingerprint = |said: &str| Claim::of(Some(&key), &said).unwrap().fingerprint;
        assert_eq!(fingerprint("a"), fingerprint("a"));
        assert_ne!(fingerprint("a"), fingerprint("b"));
    }
}
