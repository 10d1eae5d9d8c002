//! What a script may ask of the memory that outlives sessions.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Answer;
use crate::serial::{Word, micros, word};

/// A question to that memory. Asking changes what is kept, so that each is asked once, when a script reaches it: never ahead,
/// never again in a rerun, and never rolled back.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct StateQuestion {
    /// The policy that asks.
    pub policy: Arc<str>,
    /// How many equal ones the same run asked before.
    pub occurrence: usize,
    /// What it asks.
    pub ask: Ask,
}

/// One thing to ask. What is in shadow has keys of its own, so that no experiment uses up what an enforced rule counts.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// `rate(RULE, key, limits)`: one more, if there is room.
    Rate {
        /// `policy.rule`.
        rule: Arc<str>,
        /// Whether the rule is in shadow.
        shadow: bool,
        /// What is counted.
        key: String,
        /// All of them must have room.
        limits: Vec<RateLimit>,
    },
    /// `greylist(ip, sender, rcpt, delay, keep, passes)`: an attempt to send.
    Greylist {
        /// The policy, or another one of its keys in time.
        space: Arc<str>,
        /// Whether everything of the policy is in shadow: then nobody is told to wait.
        shadow: bool,
        /// The network of the client, or whatever speaks for it.
        client: String,
        /// The sender, without what changes from message to message; empty for `<>`.
        sender: String,
        /// The recipient.
        recipient: String,
        /// How long an unknown attempt has to wait.
        #[serde(with = "micros")]
        delay: Duration,
        /// How long one that passed is known.
        #[serde(with = "micros")]
        keep: Duration,
        /// After so many passes a client is known; 0 for never.
        passes: u32,
    },
    /// `remember(NAME, key, keep)`.
    Remember {
        /// `policy.name`.
        name: String,
        /// Whether the policy is in shadow.
        shadow: bool,
        /// What is remembered.
        key: String,
        /// For how long.
        #[serde(with = "micros")]
        keep: Duration,
    },
    /// `remembered(NAME, key)`.
    Remembered {
        /// `policy.name`.
        name: String,
        /// Whether the policy that remembers is in shadow.
        shadow: bool,
        /// What may be remembered.
        key: String,
    },
}

impl Ask {
    /// The word of the script API that asks it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Rate { .. } => "rate",
            Self::Greylist { .. } => "greylist",
            Self::Remember { .. } => "remember",
            Self::Remembered { .. } => "remembered",
        }
    }

    /// The answer where none can be had, or not in time.
    pub const fn unanswered(&self) -> Answer {
        match self {
            Self::Rate { .. } => Answer::Rate(RateAnswer { result: "error", count: 0, retry_after: 0 }),
            Self::Greylist { .. } => Answer::Greylist(GreylistAnswer { result: "error", remaining: 0 }),
            Self::Remember { .. } | Self::Remembered { .. } => Answer::Remembered("error"),
        }
    }

    /// What it is about. It may hold text of the client's.
    pub fn arguments(&self) -> String {
        match self {
            Self::Rate { rule, key, .. } => format!("{rule}, {key}"),
            Self::Greylist { client, sender, recipient, .. } => format!("{client}, {sender}, {recipient}"),
            Self::Remember { name, key, .. } | Self::Remembered { name, key, .. } => format!("{name}, {key}"),
        }
    }
}

/// At most so many within any time of this length.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct RateLimit {
    /// How many; at least one.
    pub count: u32,
    /// The time, from a second to a year.
    #[serde(with = "micros")]
    pub period: Duration,
}

/// The answer to [`Ask::Rate`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RateAnswer {
    /// `ok`, `over` or `error`.
    #[serde(deserialize_with = "word::deserialize")]
    pub result: Word,
    /// How many the first limit's time has seen, this one counted if it was let through.
    pub count: u32,
    /// Seconds until there is room; 0 where there was, or on error.
    pub retry_after: u64,
}

/// The answer to [`Ask::Greylist`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct GreylistAnswer {
    /// `wait`, `pass`, `known` or `error`.
    #[serde(deserialize_with = "word::deserialize")]
    pub result: Word,
    /// Seconds left to wait; 0 but for `wait`.
    pub remaining: u64,
}

/// A sender without what is new in every message: what stands behind a `+`, and numbers (VERP, BATV, SRS).
pub fn lasting(sender: &str) -> String {
    let (local, domain) = sender.rsplit_once('@').unwrap_or((sender, ""));
    let local = local.split_once('+').map_or(local, |(local, _)| local);
    let mut lasting = String::with_capacity(sender.len());
    for character in local.chars() {
        match character {
            '0'..='9' if lasting.ends_with('#') => {}
            '0'..='9' => lasting.push('#'),
            other => lasting.push(other),
        }
    }
    format!("{lasting}@{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_without_what_changes() {
        for (sender, lasts) in [
            ("a@x.test", "a@x.test"),
            ("bounces+1234-user=example.org@x.test", "bounces@x.test"),
            ("prvs=12ab34=joe@x.test", "prvs=#ab#=joe@x.test"),
            ("list-12345-678@x1.test", "list-#-#@x1.test"),
            ("", "@"),
        ] {
            assert_eq!(lasting(sender), lasts);
        }
    }
}
