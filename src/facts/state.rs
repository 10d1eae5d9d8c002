//! Questions to the memory that outlives sessions, put to the store.
//!
//! A store that fails is an answer: `error`. What follows from it is for the policy to say.

use std::time::{Duration, SystemTime};

use crate::policy::question::{Answer, Ask, GreylistAnswer, RateAnswer, RateLimit, StateQuestion};
use crate::state::{Greylist, Key, Limit, Operation, Outcome, Rate, Seen, Store};

/// Asks the store, once, at the time of day `now`.
pub async fn ask_store(store: &Store, question: &StateQuestion, now: SystemTime) -> Answer {
    let answer = in_words(&question.ask, store.perform(&operation(&question.ask), now).await.ok());
    if let (Ask::Greylist { shadow, .. }, Answer::Greylist(seen)) = (&question.ask, &answer) {
        let would = *shadow && seen.result == "wait";
        store.metrics().greylist(if would { "would_wait" } else { seen.result });
    }
    answer
}

/// The answer where there is no store, or none that works.
pub fn without_store(question: &StateQuestion) -> Answer {
    question.ask.unanswered()
}

/// An outcome in the words of policies; `None` for a failure.
fn in_words(ask: &Ask, outcome: Option<Outcome>) -> Answer {
    match ask {
        Ask::Rate { .. } => Answer::Rate(rate(outcome)),
        Ask::Greylist { .. } => Answer::Greylist(greylist(outcome)),
        Ask::Remember { .. } => Answer::Remembered(if outcome.is_some() { "ok" } else { "error" }),
        Ask::Remembered { .. } => Answer::Remembered(match outcome {
            Some(Outcome::Remembered(true)) => "yes",
            Some(Outcome::Remembered(false)) => "no",
            _ => "error",
        }),
    }
}

/// What is asked, in the store's terms.
fn operation(ask: &Ask) -> Operation {
    match ask {
        Ask::Rate { rule, shadow, key, limits } => Operation::Rate(Rate {
            key: key_of(rule, *shadow, key),
            limits: limits
                .iter()
                .map(|RateLimit { count, period }| Limit { count: *count, period: *period })
                .collect(),
        }),
        Ask::Greylist { space, shadow, client, sender, recipient, delay, keep, passes } => {
            Operation::Greylist(Greylist {
                space: space.to_string(),
                client: client.clone(),
                // Addresses have no line ends, so that no two pairs are one text.
                pair: format!("{sender}\n{recipient}"),
                delay: *delay,
                keep: *keep,
                passes: *passes,
                shadow: *shadow,
            })
        }
        Ask::Remember { name, shadow, key, keep } => {
            Operation::Remember { key: key_of(name, *shadow, key), keep: *keep }
        }
        Ask::Remembered { name, shadow, key } => Operation::Remembered { key: key_of(name, *shadow, key) },
    }
}

/// What is in shadow has keys of its own.
fn key_of(name: &str, shadow: bool, key: &str) -> Key {
    Key::new(format!("{name}:{}", if shadow { "shadow" } else { "enforce" }), key)
}

fn rate(outcome: Option<Outcome>) -> RateAnswer {
    match outcome {
        Some(Outcome::Rate(counted)) => RateAnswer {
            result: if counted.fits { "ok" } else { "over" },
            count: counted.count,
            retry_after: seconds(counted.retry_after),
        },
        _ => RateAnswer { result: "error", count: 0, retry_after: 0 },
    }
}

fn greylist(outcome: Option<Outcome>) -> GreylistAnswer {
    let (result, remaining) = match outcome {
        Some(Outcome::Greylist(Seen::Wait(left))) => ("wait", seconds(left)),
        Some(Outcome::Greylist(Seen::Pass)) => ("pass", 0),
        Some(Outcome::Greylist(Seen::Known)) => ("known", 0),
        _ => ("error", 0),
    };
    GreylistAnswer { result, remaining }
}

/// Whole seconds, the last begun one counted, so that who waits for them has waited enough.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn question(ask: Ask) -> StateQuestion {
        StateQuestion { policy: Arc::from("p"), occurrence: 0, ask }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    #[tokio::test]
    async fn answers_in_the_words_of_policies() {
        let store = Store::in_memory();
        let rate = |shadow| {
            let limits = vec![RateLimit { count: 1, period: Duration::from_secs(60) }];
            question(Ask::Rate { rule: Arc::from("p.r"), shadow, key: "k".to_owned(), limits })
        };
        let ok = Answer::Rate(RateAnswer { result: "ok", count: 1, retry_after: 0 });
        assert_eq!(ask_store(&store, &rate(false), at(0)).await, ok);
        let Answer::Rate(over) = ask_store(&store, &rate(false), at(1)).await else { panic!() };
        assert_eq!((over.result, over.count), ("over", 1));
        assert!((59..=64).contains(&over.retry_after), "{over:?}");
        assert_eq!(ask_store(&store, &rate(true), at(1)).await, ok, "a shadow has keys of its own");

        let mail = |shadow| {
            question(Ask::Greylist {
                space: Arc::from("p"),
                shadow,
                client: "192.0.2.0/24".to_owned(),
                sender: "a@x".to_owned(),
                recipient: "b@y".to_owned(),
                delay: Duration::from_secs(300),
                keep: Duration::from_secs(3_000),
                passes: 5,
            })
        };
        for (shadow, seconds, result, remaining) in [
            (false, 0, "wait", 300),
            (false, 1, "wait", 299),
            (true, 1, "wait", 300),
            (true, 2, "known", 0),
            (false, 300, "pass", 0),
            (false, 301, "known", 0),
        ] {
            let expected = Answer::Greylist(GreylistAnswer { result, remaining });
            assert_eq!(ask_store(&store, &mail(shadow), at(seconds)).await, expected, "{seconds}");
        }

        let remembered =
            |shadow| question(Ask::Remembered { name: "p.n".to_owned(), shadow, key: "k".to_owned() });
        let keep = Duration::from_secs(10);
        let remember =
            question(Ask::Remember { name: "p.n".to_owned(), shadow: false, key: "k".to_owned(), keep });
        assert_eq!(ask_store(&store, &remembered(false), at(0)).await, Answer::Remembered("no"));
        assert_eq!(ask_store(&store, &remember, at(0)).await, Answer::Remembered("ok"));
        assert_eq!(ask_store(&store, &remembered(false), at(9)).await, Answer::Remembered("yes"));
        assert_eq!(ask_store(&store, &remembered(true), at(9)).await, Answer::Remembered("no"));
        assert_eq!(ask_store(&store, &remembered(false), at(10)).await, Answer::Remembered("no"));
    }
}
