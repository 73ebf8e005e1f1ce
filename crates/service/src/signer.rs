//! Tokens that make a URL its own key: `<end>-<signature>`, where `end` is in seconds since the epoch, 0 for none.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Hex digits of a signature: 128 bits.
const DIGITS: usize = 32;

/// Signs and checks what a URL opens.
#[derive(Clone)]
pub(crate) struct Signer {
    key: Hmac<Sha256>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

impl Signer {
    pub(crate) fn new(secret: &str) -> Self {
        // Hashed first, so that any text is a key that fits; shorter than a block, it is padded with zeros.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&Sha256::digest(secret.as_bytes()));
        Self { key: Hmac::new(&block.into()) }
    }

    /// A token that opens `what` until `end`.
    pub(crate) fn token(&self, what: &str, end: u64) -> String {
        format!("{end}-{}", self.signature(what, end))
    }

    /// Seconds for which a token opens this from now on, `u64::MAX` for ever; `None` when it does not.
    pub(crate) fn opens(&self, what: &str, token: &str, now: i64) -> Option<u64> {
        let (end, signature) = token.split_once('-')?;
        let end: u64 = end.parse().ok()?;
        let expected = self.signature(what, end);
        let same: bool = subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), signature.as_bytes()).into();
        // The text must be the one we wrote: `007` is 7, too.
        if !same || !token.starts_with(&format!("{end}-")) {
            return None;
        }
        if end == 0 { Some(u64::MAX) } else { end.checked_sub(now.unsigned_abs()).filter(|left| *left > 0) }
    }

    fn signature(&self, what: &str, end: u64) -> String {
        let mut mac = self.key.clone();
        mac.update(format!("{what}/{end}").as_bytes());
        let digits = mac.finalize().into_bytes();
        digits.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
    }
}
