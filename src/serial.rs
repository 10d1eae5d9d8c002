//! How values stand in JSON where serde's own way does not fit: words of closed sets, times, durations.

/// What stands in the place of what was taken out.
pub(crate) const REDACTED: &str = "[redacted]";

/// A word of a closed set, such as `reject` or `no_key`.
///
/// A name of its own: for a field that is spelt as a reference, serde would borrow from what it reads.
pub(crate) type Word = &'static str;

/// Whether there is nothing to say about a value.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Words: read back they are the program's own again.
pub(crate) mod word {
    use std::cell::RefCell;
    use std::collections::{BTreeSet, HashSet};
    use std::fmt;
    use std::sync::{Mutex, PoisonError};

    use serde::de::{Deserializer, Error, Visitor};

    use super::Word;

    /// Words that are kept, and octets of the longest: files of other versions may hold some that this one does not know, and
    /// none may hold more of them than there are.
    const MOST: usize = 1_024;
    const LONGEST: usize = 64;

    static KNOWN: Mutex<BTreeSet<Word>> = Mutex::new(BTreeSet::new());

    thread_local! {
        /// Those of them that this thread has met: threads that read decisions would wait for each other at every word.
        static MET: RefCell<HashSet<Word, foldhash::fast::RandomState>> = RefCell::default();
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Word, D::Error> {
        from.deserialize_str(Words)
    }

    struct Words;

    impl Visitor<'_> for Words {
        type Value = Word;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a word of a closed set")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Word, E> {
            let met = MET.with_borrow(|met| met.get(text).copied());
            met.or_else(|| meet(text)).ok_or_else(|| E::custom("this is no word of a closed set"))
        }
    }

    fn meet(text: &str) -> Option<Word> {
        let word = known(text)?;
        MET.with_borrow_mut(|met| met.insert(word));
        Some(word)
    }

    fn known(text: &str) -> Option<Word> {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(word) = known.get(text) {
            return Some(word);
        }
        if known.len() >= MOST || text.len() > LONGEST {
            return None;
        }
        let word: Word = text.to_owned().leak();
        known.insert(word);
        Some(word)
    }
}

/// Durations in whole microseconds.
pub(crate) mod micros {
    use std::time::Duration;

    use serde::de::{Deserialize, Deserializer};
    use serde::ser::Serializer;

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_micros)
    }
}

/// Times as in RFC 3339, in UTC, with microseconds.
pub(crate) mod time {
    use jiff::Timestamp;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(crate) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{time:.6}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        String::deserialize(from)?.parse().map_err(Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use serde::{Deserialize, Serialize};

    use super::{Word, micros, time, word};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        #[serde(deserialize_with = "word::deserialize")]
        word: Word,
        #[serde(with = "micros")]
        took: Duration,
        #[serde(with = "time")]
        at: Timestamp,
    }

    #[test]
    fn what_is_written_is_read_back() {
        let at = "2026-11-29T21:00:00.000123Z".parse().unwrap();
        let sample = Sample { word: "reject", took: Duration::from_micros(1500), at };
        let text = serde_json::to_string(&sample).unwrap();
        assert_eq!(text, r#"{"word":"reject","took":1500,"at":"2026-11-29T21:00:00.000123Z"}"#);
        assert_eq!(serde_json::from_str::<Sample>(&text).unwrap(), sample);
    }

    #[test]
    fn words_are_bounded() {
        let long = format!(r#"{{"word":"{}","took":0,"at":"2026-11-29T21:00:00Z"}}"#, "x".repeat(65));
        assert!(serde_json::from_str::<Sample>(&long).is_err());
    }
}
