//! What stands for a customer where their id must not.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt;

/// A keyed hash of a customer's id: the first 16 bytes of HMAC-SHA256 (RFC 2104).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pseudonym(pub [u8; 16]);

impl fmt::Display for Pseudonym {
    /// 32 hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Derived from the evidence key; whoever has it can look for a customer they know of, and nobody can
/// list customers (GDPR article 4(5)).
#[derive(Clone, PartialEq, Eq)]
pub struct PseudonymKey([u8; 32]);

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey")
    }
}

impl PseudonymKey {
    pub fn derive(evidence_key: &str) -> PseudonymKey {
        let mut digest = Sha256::new();
        digest.update(b"lapsed pseudonyms\0");
        digest.update(evidence_key.as_bytes());
        PseudonymKey(digest.finalize().into())
    }

    pub fn of(&self, customer: &[u8]) -> Pseudonym {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(customer);
        let bytes = mac.finalize().into_bytes();
        let mut first = [0; 16];
        first.copy_from_slice(&bytes[..16]);
        Pseudonym(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_depends_on_key_and_customer_and_on_nothing_else() {
        let key = PseudonymKey::derive("a secret");
        assert_eq!(key.of(b"4711"), PseudonymKey::derive("a secret").of(b"4711"));
        assert_ne!(key.of(b"4711"), key.of(b"4712"));
        assert_ne!(key.of(b"4711"), PseudonymKey::derive("another").of(b"4711"));
        assert_eq!(key.of(b"4711").to_string().len(), 32);
    }
}
