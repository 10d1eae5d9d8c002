//! A follower: what it is shown, and what is kept back until a session turns out to be one that it wants.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::filter::{Filter, Seen};
use super::{EPOCH, Event, FOLLOWERS, Identity, What};
use crate::log::safe;

/// Lines of one session that are kept back, and sessions of which some are.
const KEPT_BACK: usize = 200;
const SESSIONS: usize = 2_048;

/// Follows the sessions that its filter wants.
#[derive(Debug)]
pub struct Follower {
    filter: Filter,
    events: Receiver<Event>,
    sessions: HashMap<String, Followed>,
    ready: VecDeque<Shown>,
}

/// A session under way.
#[derive(Debug)]
enum Followed {
    /// It is shown.
    Shown,
    /// Nobody knows yet.
    Waiting(Seen, VecDeque<Shown>),
}

/// What a follower is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Shown {
    /// A line of a session.
    Line {
        /// When.
        at: Timestamp,
        /// Which session.
        #[serde(flatten)]
        identity: Arc<Identity>,
        /// As in a transcript: `C: EHLO client.example`, `rule helo.bare-ip`.
        line: String,
    },
    /// So many events or sessions are missing here.
    Dropped {
        /// How many.
        events: u64,
    },
}

impl Follower {
    pub(super) fn new(filter: Filter, events: Receiver<Event>) -> Self {
        if FOLLOWERS.load(Ordering::Relaxed) == 0 {
            EPOCH.fetch_add(1, Ordering::Relaxed);
        }
        FOLLOWERS.fetch_add(1, Ordering::Relaxed);
        Self { filter, events, sessions: HashMap::new(), ready: VecDeque::new() }
    }

    /// The next that is to be shown; `None` when there will be nothing any more. Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<Shown> {
        loop {
            if let Some(shown) = self.ready.pop_front() {
                return Some(shown);
            }
            match self.events.recv().await {
                Ok(event) => self.take(&event),
                Err(RecvError::Lagged(events)) => return Some(Shown::Dropped { events }),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn take(&mut self, event: &Event) {
        if !self.filter.may_match(event) {
            return;
        }
        let session = &event.identity.session;
        if !self.sessions.contains_key(session) && !self.begin(session) {
            return;
        }
        let line = line(event);
        let met = match self.sessions.get_mut(session) {
            Some(Followed::Waiting(seen, kept)) => {
                self.filter.note(seen, &event.what);
                if kept.len() == KEPT_BACK {
                    kept.pop_front();
                }
                kept.extend(line);
                self.filter.is_met(*seen).then(|| std::mem::take(kept))
            }
            Some(Followed::Shown) => Some(line.into_iter().collect()),
            None => None,
        };
        if let Some(lines) = met {
            self.ready.extend(lines);
            self.sessions.insert(session.clone(), Followed::Shown);
        }
        if event.what == What::Closed {
            self.sessions.remove(session);
        }
    }

    /// Begins to follow a session; `false` where there is no room for one more.
    fn begin(&mut self, session: &str) -> bool {
        if self.sessions.len() >= SESSIONS {
            self.ready.push_back(Shown::Dropped { events: 1 });
            return false;
        }
        self.sessions.insert(session.to_owned(), Followed::Waiting(Seen::default(), VecDeque::new()));
        true
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        FOLLOWERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An event as a line of a transcript; senders and recipients are in the commands already.
fn line(event: &Event) -> Option<Shown> {
    let line = match &event.what {
        What::Said(speaker, text) => format!("{}: {}", speaker.letter(), safe(text)),
        What::Rule { rule, verdict, place } if place.is_empty() => format!("rule {rule} # {verdict}"),
        What::Rule { rule, verdict, place } => format!("rule {rule} # {verdict} {place}"),
        What::Closed => "S: <closed>".to_owned(),
        What::Sender(_) | What::Recipient(_) => return None,
    };
    Some(Shown::Line { at: event.at, identity: Arc::clone(&event.identity), line })
}

/// One line, with its session in front.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { at, identity, line } => {
                let Identity { session, client, listener } = &**identity;
                write!(f, "{at:.3} {session} {listener} {client}  {line}")
            }
            Self::Dropped { events } => write!(f, "# {events} lines were dropped: narrow the filter"),
        }
    }
}
