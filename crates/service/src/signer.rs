//! Tokens that make a URL its own key: `<end>-<signature>`, where `end` is in seconds since the epoch, 0 for none.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

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
        format!("{end}-{}", self.signature(what, end).0)
    }

    /// Seconds for which a token opens this from now on, `u64::MAX` for ever; `None` when it does not.
    pub(crate) fn opens(&self, what: &str, token: &str, now: i64) -> Option<u64> {
        let (end, signature) = token.split_once('-')?;
        let end: u64 = end.parse().ok()?;
        // The text must be the one we wrote: `007` is 7, too.
        if !self.signature(what, end).is(signature) || !token.starts_with(&format!("{end}-")) {
            return None;
        }
        if end == 0 { Some(u64::MAX) } else { end.checked_sub(now.unsigned_abs()).filter(|left| *left > 0) }
    }

    fn signature(&self, what: &str, end: u64) -> Signature {
        let mut mac = self.key.clone();
        mac.update(format!("{what}/{end}").as_bytes());
        let digits = mac.finalize().into_bytes();
        Signature(digits.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What only we can write. Has no `==`: a stranger's text is compared in constant time.
struct Signature(String);

impl Signature {
    fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does not compile where a type has an `==`: then both implementations fit.
    trait HasNoEquals<A> {
        fn holds() {}
    }
    impl<T> HasNoEquals<()> for T {}
    impl<T: PartialEq> HasNoEquals<u8> for T {}

    #[test]
    fn signatures_have_no_equals() {
        <Signature as HasNoEquals<_>>::holds();
        <Signer as HasNoEquals<_>>::holds();
    }

    #[test]
    fn a_signer_shows_nothing_of_its_key() {
        assert_eq!(format!("{:?}", Signer::new("secret")), "Signer { .. }");
    }

    #[test]
    fn a_token_has_an_end_to_the_second() {
        let signer = Signer::new("secret");
        let (some, never) = (signer.token("hls/a", 100), signer.token("hls/a", 0));
        let left = |token: &str, now| signer.opens("hls/a", token, now);
        assert_eq!((left(&some, 0), left(&some, 99), left(&some, 100)), (Some(100), Some(1), None));
        assert_eq!(left(&never, i64::MAX), Some(u64::MAX));
        let (_, signature) = some.split_once('-').unwrap_or_default();
        assert_eq!(signature.len(), DIGITS);
        // The same number, the same signature, and another text.
        assert_eq!(left(&format!("0100-{signature}"), 0), None);
        assert_eq!(left(&format!("+100-{signature}"), 0), None);
        assert_eq!(left(&format!("100-{}", signature.to_uppercase()), 0), None);
        assert_eq!(left(&format!("100-{}", &signature[..DIGITS - 1]), 0), None);
    }
}
