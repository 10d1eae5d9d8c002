//! Ids that lead from a reply or a `Received` field back to a decision.

use std::fmt;

use aws_lc_rs::rand;

/// Ten base32 characters: 50 random bits, so that ids of several hosts do not meet.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Id(u64);

impl Id {
    /// A fresh id.
    pub fn fresh() -> Self {
        let mut bytes = [0; 8];
        // The generator of the operating system does not fail once the process has started TLS; were it to, ids would
        // repeat, which costs a look-up its precision and nothing else.
        let _ = rand::fill(&mut bytes);
        Self(u64::from_le_bytes(bytes) >> 14)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        (0..10).rev().try_for_each(|digit| {
            let index = (self.0 >> (digit * 5)) & 31;
            let letter = ALPHABET.get(usize::try_from(index).unwrap_or_default()).copied().unwrap_or(b'a');
            fmt::Write::write_char(f, char::from(letter))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Id;

    #[test]
    fn ten_characters_of_base32() {
        for id in [Id(0), Id(u64::MAX >> 14), Id::fresh()] {
            let text = id.to_string();
            assert_eq!(text.len(), 10);
            assert!(text.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b)), "{text}");
        }
        assert_eq!(Id(0b00001_00010).to_string(), "aaaaaaaabc");
    }

    #[test]
    fn fresh_ids_differ() {
        assert_ne!(Id::fresh(), Id::fresh());
    }
}
