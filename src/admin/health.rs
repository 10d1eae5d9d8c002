//! Whether Gatepost is ready for mail, and what came of each reload: told by those who know, read by whoever asks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

/// How many reloads are remembered; the oldest goes first.
const REMEMBERED: usize = 64;
/// How many lines are remembered of one reload.
const MOST_LINES: usize = 40;

/// Whether Gatepost is ready for mail, and the last reloads.
#[derive(Debug, Default)]
pub struct Health(Mutex<State>);

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// What the last reload of which was refused, so that what was in force before stays; with the first reason.
    pub(super) refused: BTreeMap<&'static str, String>,
    /// What the configuration says and the process does only after its next start.
    pub(super) waiting: Vec<&'static str>,
    reloads: VecDeque<Reload>,
}

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    /// The configuration is not in force yet, or not every listener is bound.
    #[default]
    Starting,
    /// Configuration good, every listener bound.
    Serving,
    /// Sessions under way end, new ones are not taken.
    Draining,
}

/// What came of reloading one kind of thing.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Reload {
    /// `config`, `policies` or `certificates`.
    pub kind: &'static str,
    /// Seconds since 1970.
    pub at: u64,
    /// What came of it.
    pub outcome: Reloaded,
    /// What changed, or why it was refused: a line each, at most 40.
    pub lines: Vec<String>,
}

/// How a reload can end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reloaded {
    /// It is as it was.
    Unchanged,
    /// What is on the disk is in force now.
    Taken,
    /// What is on the disk cannot be used; what was in force stays.
    Refused,
}

impl Reload {
    /// A reload that ends now.
    pub fn new(kind: &'static str, outcome: Reloaded, mut lines: Vec<String>) -> Self {
        if lines.len() > MOST_LINES {
            let more = lines.len() - MOST_LINES + 1;
            lines.truncate(MOST_LINES - 1);
            lines.push(format!("and {more} more"));
        }
        Self { kind, at: unix_seconds(SystemTime::now()), outcome, lines }
    }
}

pub(super) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Health {
    /// The configuration is in force and every listener is bound.
    pub fn serving(&self) {
        self.state().phase = Phase::Serving;
    }

    /// No new session is taken any more.
    pub fn draining(&self) {
        self.state().phase = Phase::Draining;
    }

    /// A reload came to its end. One that was refused shows until one of its kind is taken; Gatepost stays ready all the same: what it
    /// has in force is good, and a mistake in a file that all hosts share must not take all of them out of service at once.
    pub fn reloaded(&self, reload: Reload) {
        let mut state = self.state();
        match reload.outcome {
            Reloaded::Unchanged => return,
            Reloaded::Taken => {
                state.refused.remove(reload.kind);
            }
            Reloaded::Refused => {
                state.refused.insert(reload.kind, reload.lines.first().cloned().unwrap_or_default());
            }
        }
        if state.reloads.len() >= REMEMBERED {
            state.reloads.pop_front();
        }
        state.reloads.push_back(reload);
    }

    /// The sections of the configuration that wait for the next start, in place of those that did before.
    pub fn waiting(&self, sections: Vec<&'static str>) {
        self.state().waiting = sections;
    }

    /// Whether the last reload of this kind was refused.
    pub fn is_refused(&self, kind: &str) -> bool {
        self.state().refused.contains_key(kind)
    }

    /// The last reloads, the youngest first.
    pub fn reloads(&self) -> Vec<Reload> {
        self.state().reloads.iter().rev().cloned().collect()
    }

    pub(super) fn now(&self) -> State {
        self.state().clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
