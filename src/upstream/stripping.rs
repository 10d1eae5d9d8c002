//! Whether somebody in between takes STARTTLS away: an address that spoke TLS once and does not offer it any more.
//!
//! Where TLS is required that is a fault and no mail goes there. Where it is opportunistic plaintext will do, and the operator
//! is told (RFC 3207 6: "such an attack may be detected by a client that remembers").

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The addresses that spoke TLS so far: those of one upstream's configuration, so there are few.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<HashSet<String>>);

impl Seen {
    /// Whether a greeting at `address` that ended `encrypted` or not is one from which STARTTLS seems to have been stripped.
    pub(super) fn is_stripped(&self, address: &str, encrypted: bool) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if encrypted && !seen.contains(address) {
            seen.insert(address.to_owned());
        }
        !encrypted && seen.contains(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_never_spoke_tls_is_not_stripped() {
        let seen = Seen::default();
        assert!(!seen.is_stripped("a:25", false));
        assert!(!seen.is_stripped("a:25", true));
        assert!(!seen.is_stripped("b:25", false), "another address");
        assert!(seen.is_stripped("a:25", false));
        assert!(!seen.is_stripped("a:25", true), "back again");
    }
}
