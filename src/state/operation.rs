//! What a store can be asked to do, and what it answers.

use std::fmt;
use std::time::Duration;

/// One thing to do. Each is done whole or not at all, also where several processes share the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Count one more, unless that would be too many.
    Rate(Rate),
    /// See one attempt of a sender's.
    Greylist(Greylist),
    /// Keep a key for a time.
    Remember {
        /// What is kept.
        key: Key,
        /// How long. A key that is kept longer already stays as long as it was to.
        keep: Duration,
    },
    /// Ask for a key.
    Remembered {
        /// What may be kept.
        key: Key,
    },
}

impl Operation {
    /// The name in metrics and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Rate(_) => "rate",
            Self::Greylist(_) => "greylist",
            Self::Remember { .. } => "remember",
            Self::Remembered { .. } => "remembered",
        }
    }
}

/// What became of an [`Operation`] of the same kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Of a `Rate`.
    Rate(Counted),
    /// Of a `Greylist`.
    Greylist(Seen),
    /// Of a `Remember`.
    Kept,
    /// Of a `Remembered`: whether the key is kept.
    Remembered(bool),
}

/// What is counted, remembered or greylisted: an operator's name and a value that may come from anybody.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Key {
    /// The operator's own names, such as `rates.per-client:enforce`. It stands in the store as it is.
    pub space: String,
    /// The value; of any length, as only its hash is stored.
    pub value: String,
}

impl Key {
    /// The key `value` in `space`.
    pub fn new(space: impl Into<String>, value: impl Into<String>) -> Self {
        Self { space: space.into(), value: value.into() }
    }

    /// The key as 128 bits: the beginning of the SHA-256 of both parts, so that nobody can make two keys meet.
    pub(super) fn digest(&self) -> u128 {
        digest(&[&self.space, &self.value])
    }
}

/// The first 128 bits of the SHA-256 of `parts`, each with its length in front.
pub(super) fn digest(parts: &[&str]) -> u128 {
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let hash = hash.finish();
    hash.as_ref().iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// `rate`: counts what happens under a key, in one or several sliding windows at once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rate {
    /// What is counted.
    pub key: Key,
    /// All of them must have room; at most [`Limit::MOST`] are looked at.
    pub limits: Vec<Limit>,
}

/// At most so many within any time of this length.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Limit {
    /// How many.
    pub count: u32,
    /// In which time; at least a second.
    pub period: Duration,
}

impl Limit {
    /// Limits that one key can have.
    pub const MOST: usize = 4;
}

/// What counting came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Counted {
    /// Whether there was room. What there was no room for is not counted.
    pub fits: bool,
    /// How many the first limit's window holds now.
    pub count: u32,
    /// When there will be room for one more in all windows; nothing when there was.
    pub retry_after: Duration,
}

/// `greylist`: an attempt to send, seen by the network that it came from, its sender and its recipient.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Greylist {
    /// The operator's own names, such as `greylist`.
    pub space: String,
    /// Who sends: a network, or a domain that spoke for the client.
    pub client: String,
    /// From whom and to whom, in one text.
    pub pair: String,
    /// How long an unknown pair has to wait.
    pub delay: Duration,
    /// How long a pair that passed is known, from the last time that it was seen.
    pub keep: Duration,
    /// After so many of its pairs have passed, a client is known whatever it sends; 0 for never.
    pub passes: u32,
    /// Nobody is told to wait: a first attempt is accepted, so that nobody comes again for it.
    pub shadow: bool,
}

impl Greylist {
    /// How long a pair that has to wait may take to come again, if it is not to wait once more.
    const RETRY: Duration = Duration::from_secs(24 * 60 * 60);

    /// How long a pair that has not passed yet is kept.
    pub(super) fn retry_within(&self) -> Duration {
        Self::RETRY.max(self.delay.saturating_mul(2))
    }
}

/// What greylisting makes of an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seen {
    /// It has to wait for so long; in shadow, it would have had to.
    Wait(Duration),
    /// It has waited, and passes for the first time.
    Pass,
    /// The pair or the client has passed before.
    Known,
}

/// Why a store did not do what it was asked to. What it was about is not in it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// It failed a little while ago, and is not asked again yet.
    #[error("the store is down and is not asked")]
    Down,
    /// It took too long.
    #[error("the store did not answer in time")]
    Deadline,
    /// It, or the way to it, failed.
    #[error("the store failed: {0}")]
    Failed(String),
}

impl StoreError {
    /// The name in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Deadline => "timeout",
            Self::Failed(_) => "error",
        }
    }
}

/// Values are of anybody's; the operator's log has names only.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.space)
    }
}

/// Milliseconds since 1970: how stores tell the time.
pub(super) type Millis = u64;

/// `duration` in whole milliseconds.
pub(super) fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
