//! The simulated memory of a transcript: a store of its own, which begins with what the transcript says.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use ipnet::IpNet;

use super::words::{Mistake, Words};
use crate::facts;
use crate::policy::question::{Answer, Ask, StateQuestion, lasting};
use crate::state::Store;

/// How long something is remembered where a transcript does not say.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);
/// The most that a rate can have seen already.
const MAX_COUNT: u32 = 100_000;

/// One change to the simulated memory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum StateChange {
    /// From now on every question is an error, or no more.
    Down(bool),
    /// Something has happened before.
    Past(Past),
}

/// What happened before the dialogue, or beside it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Past {
    /// `rate RULE KEY COUNT`: so many were counted just now.
    Counted { rule: String, key: String, count: u32 },
    /// `greylist CLIENT SENDER RCPT known`, or `waiting TIME`.
    Seen { client: String, sender: String, recipient: String, waiting: Option<Duration> },
    /// `remembered POLICY.NAME KEY [TIME]`: for so long from now.
    Remembered { name: String, key: String, keep: Duration },
}

impl StateChange {
    /// Reads what stands behind `state`.
    pub(super) fn read(words: &mut Words<'_>) -> Result<Self, Mistake> {
        const KINDS: [&str; 5] = ["down", "greylist", "rate", "remembered", "up"];
        let kind = words.expect("`down`, `up`, `rate`, `greylist` or `remembered`")?;
        let mut text = |what: &str| words.expect(what).map(|word| word.text.to_owned());
        Ok(match kind.text {
            "down" => Self::Down(true),
            "up" => Self::Down(false),
            "rate" => {
                let (rule, key) = (text("the rule")?, text("the key")?);
                let word = words.expect("a number")?;
                let count = word.parse("a number")?;
                if count > MAX_COUNT {
                    return Err(word.mistake(format!("at most {MAX_COUNT}")));
                }
                Self::Past(Past::Counted { rule, key, count })
            }
            "greylist" => {
                let (client, sender, recipient) =
                    (text("the client")?, address(&text("the sender")?), address(&text("the recipient")?));
                let how = words.expect("`known` or `waiting TIME`")?;
                let waiting = match how.text {
                    "known" => None,
                    "waiting" => Some(words.expect("a time")?.duration()?),
                    _ => return Err(Mistake::unknown("state of greylisting", how, ["known", "waiting"])),
                };
                Self::Past(Past::Seen {
                    client: client.to_lowercase(),
                    sender: lasting(&sender),
                    recipient,
                    waiting,
                })
            }
            "remembered" => {
                let (name, key) = (text("policy.name")?, text("the key")?);
                let keep = words.next().map_or(Ok(REMEMBERED), |word| word.duration())?;
                Self::Past(Past::Remembered { name, key, keep })
            }
            _ => return Err(Mistake::unknown("kind of state", kind, KINDS)),
        })
    }
}

/// `<a@x.test>` or `a@x.test`; `<>` is empty.
fn address(text: &str) -> String {
    text.trim_start_matches('<').trim_end_matches('>').to_lowercase()
}

/// The memory.
pub(super) struct SimulatedState {
    store: Store,
    changed: Mutex<Changed>,
}

#[derive(Debug, Default)]
struct Changed {
    down: bool,
    /// What happened, and when, and no question was about yet: only a question tells under which limits and modes.
    past: Vec<(Past, SystemTime)>,
}

impl SimulatedState {
    /// A memory that begins, at `now`, with these changes.
    pub(super) fn new(changes: &[StateChange], now: SystemTime) -> Self {
        let state = Self { store: Store::in_memory(), changed: Mutex::default() };
        changes.iter().for_each(|change| state.change(change, now));
        state
    }

    pub(super) fn change(&self, change: &StateChange, now: SystemTime) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        match change {
            StateChange::Down(down) => changed.down = *down,
            StateChange::Past(past) => changed.past.push((past.clone(), now)),
        }
    }

    /// The answer to one question.
    pub(super) async fn answer(&self, question: &StateQuestion, now: SystemTime) -> Answer {
        let Some(past) = self.take_past(question) else { return facts::without_store(question) };
        for (past, then) in past {
            for (ask, at) in rehearse(&past, &question.ask, then) {
                let before = StateQuestion { ask, ..question.clone() };
                facts::ask_store(&self.store, &before, at).await;
            }
        }
        facts::ask_store(&self.store, question, now).await
    }

    /// What happened to what `question` is about; `None` while the store is down.
    fn take_past(&self, question: &StateQuestion) -> Option<Vec<(Past, SystemTime)>> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.down {
            return None;
        }
        let (about, rest) = std::mem::take(&mut changed.past)
            .into_iter()
            .partition(|(past, _)| is_about(&question.ask, past));
        changed.past = rest;
        Some(about)
    }
}

impl fmt::Debug for SimulatedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedState").field("changed", &self.changed).finish_non_exhaustive()
    }
}

fn is_about(ask: &Ask, past: &Past) -> bool {
    match (ask, past) {
        (Ask::Rate { rule, key, .. }, Past::Counted { rule: of, key: counted, .. }) => {
            **rule == **of && key == counted
        }
        (
            Ask::Greylist { client, sender, recipient, .. },
            Past::Seen { client: of, sender: from, recipient: to, .. },
        ) => is_client(client, of) && sender == from && recipient == to,
        (
            Ask::Remember { name, key, .. } | Ask::Remembered { name, key, .. },
            Past::Remembered { name: of, key: known, .. },
        ) => name == of && key == known,
        _ => false,
    }
}

/// Whether a transcript that speaks of `told` means this client: an address is one of its network.
fn is_client(client: &str, told: &str) -> bool {
    let in_network = || Some(client.parse::<IpNet>().ok()?.contains(&told.parse::<IpAddr>().ok()?));
    client == told || in_network().unwrap_or(false)
}

/// The questions that lead to this past, each with its time.
fn rehearse(past: &Past, ask: &Ask, then: SystemTime) -> Vec<(Ask, SystemTime)> {
    const MOMENT: Duration = Duration::from_secs(1);
    match (past, ask) {
        (Past::Counted { count, .. }, _) => (0..*count).map(|_| (ask.clone(), then)).collect(),
        (Past::Seen { waiting: Some(time), .. }, _) => vec![(ask.clone(), earlier(then, *time))],
        (Past::Seen { waiting: None, .. }, Ask::Greylist { delay, .. }) => {
            vec![(ask.clone(), earlier(then, *delay + MOMENT)), (ask.clone(), earlier(then, MOMENT))]
        }
        (
            Past::Remembered { keep, .. },
            Ask::Remember { name, shadow, key, .. } | Ask::Remembered { name, shadow, key },
        ) => {
            let (name, key) = (name.clone(), key.clone());
            vec![(Ask::Remember { name, shadow: *shadow, key, keep: *keep }, then)]
        }
        _ => Vec::new(),
    }
}

fn earlier(then: SystemTime, time: Duration) -> SystemTime {
    then.checked_sub(time).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_transcript_can_say_about_the_memory() {
        let past = |text: &str| StateChange::read(&mut Words::new(text, 1, 1));
        let counted =
            Past::Counted { rule: "rates.per-client".to_owned(), key: "192.0.2.0/24".to_owned(), count: 60 };
        let seen = |client: &str, sender: &str, waiting| Past::Seen {
            client: client.to_owned(),
            sender: sender.to_owned(),
            recipient: "b@y.test".to_owned(),
            waiting,
        };
        let remembered = |keep| Past::Remembered { name: "p.n".to_owned(), key: "k".to_owned(), keep };
        for (text, change) in [
            ("down", StateChange::Down(true)),
            ("up", StateChange::Down(false)),
            ("rate rates.per-client 192.0.2.0/24 60", StateChange::Past(counted)),
            (
                "greylist 192.0.2.1 <A9@x.test> b@y.test known",
                StateChange::Past(seen("192.0.2.1", "a#@x.test", None)),
            ),
            (
                "greylist X.test <> <b@y.test> waiting 4m",
                StateChange::Past(seen("x.test", "@", Some(Duration::from_secs(240)))),
            ),
            ("remembered p.n k", StateChange::Past(remembered(REMEMBERED))),
            ("remembered p.n k 1h", StateChange::Past(remembered(Duration::from_secs(3_600)))),
        ] {
            assert_eq!(past(text), Ok(change), "{text}");
        }
        for text in
            ["", "gone", "rate r k", "rate r k x", "rate r k 100001", "greylist a b c", "greylist a b c d"]
        {
            assert!(past(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_a_client_of_its_network() {
        assert!(is_client("192.0.2.0/24", "192.0.2.7") && is_client("192.0.2.0/24", "192.0.2.0/24"));
        assert!(is_client("x.test", "x.test") && is_client("2001:db8::/64", "2001:db8::7"));
        assert!(!is_client("192.0.2.0/24", "192.0.3.7") && !is_client("x.test", "192.0.2.7"));
    }
}
