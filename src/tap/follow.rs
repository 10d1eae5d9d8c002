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
/// Octets of all lines that are kept back, and what one takes beside its text.
const OCTETS: usize = 4 << 20;
const OVERHEAD: usize = 128;

/// Follows the sessions that its filter wants.
#[derive(Debug)]
pub struct Follower {
    filter: Filter,
    events: Receiver<Event>,
    sessions: HashMap<String, Followed>,
    ready: VecDeque<Shown>,
    /// Octets of the lines that are kept back.
    octets: usize,
    /// Events so far.
    clock: u64,
    /// When events were lost last.
    lagged: u64,
}

/// A session under way.
#[derive(Debug, Default)]
struct Followed {
    /// When it was heard of last.
    heard: u64,
    /// It is shown. Else nobody knows yet.
    shown: bool,
    seen: Seen,
    kept: VecDeque<Shown>,
    octets: usize,
    /// Lines that were kept back, and that there was no room for.
    missing: u64,
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
        let (sessions, ready) = (HashMap::new(), VecDeque::new());
        Self { filter, events, sessions, ready, octets: 0, clock: 0, lagged: 0 }
    }

    /// The next that is to be shown; `None` when there will be nothing any more. Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<Shown> {
        loop {
            if let Some(shown) = self.ready.pop_front() {
                return Some(shown);
            }
            match self.events.recv().await {
                Ok(event) => self.take(&event),
                Err(RecvError::Lagged(events)) => {
                    let events = events.saturating_add(self.prune());
                    return Some(Shown::Dropped { events });
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn take(&mut self, event: &Event) {
        if !self.filter.may_match(event) {
            return;
        }
        self.clock = self.clock.saturating_add(1);
        let id = &event.identity.session;
        if self.sessions.len() >= SESSIONS && !self.sessions.contains_key(id) {
            self.evict();
        }
        let session = self.sessions.entry(id.clone()).or_default();
        session.heard = self.clock;
        self.octets = self.octets.saturating_sub(session.octets);
        session.keep(line(event));
        self.filter.note(&mut session.seen, &event.what);
        if session.shown || self.filter.is_met(session.seen) {
            session.show(&mut self.ready);
        }
        self.octets = self.octets.saturating_add(session.octets);
        if event.what == What::Closed {
            self.forget(&id.clone());
        }
        while self.octets > OCTETS && self.make_room() {}
    }

    /// Lets go of the session that was heard of least recently: its end may have been lost.
    fn evict(&mut self) {
        let oldest = self.sessions.iter().min_by_key(|(_, session)| session.heard);
        let Some(oldest) = oldest.map(|(id, _)| id.clone()) else { return };
        let events = self.forget(&oldest);
        if events > 0 {
            self.ready.push_back(Shown::Dropped { events });
        }
    }

    /// Gives the number of lines that were kept back of it.
    fn forget(&mut self, id: &str) -> u64 {
        let Some(session) = self.sessions.remove(id) else { return 0 };
        self.octets = self.octets.saturating_sub(session.octets);
        session.missing.saturating_add(session.kept.len() as u64)
    }

    /// Lets go of the lines of the session that was heard of least recently; `false` when there are none.
    fn make_room(&mut self) -> bool {
        let holding = self.sessions.values_mut().filter(|session| !session.kept.is_empty());
        let Some(oldest) = holding.min_by_key(|session| session.heard) else { return false };
        oldest.missing = oldest.missing.saturating_add(oldest.kept.len() as u64);
        oldest.kept = VecDeque::new();
        self.octets = self.octets.saturating_sub(std::mem::take(&mut oldest.octets));
        true
    }

    /// Octets that are kept back, counted anew.
    #[cfg(test)]
    pub(super) fn kept_back(&self) -> usize {
        self.sessions.values().flat_map(|session| &session.kept).map(Shown::octets).sum()
    }

    /// Events were lost, the ends of sessions among them perhaps: lets go of those that wait and that nothing was heard of since it
    /// happened before. Gives the number of lines that were kept back of them.
    fn prune(&mut self) -> u64 {
        let before = std::mem::replace(&mut self.lagged, self.clock);
        let silent = |session: &Followed| !session.shown && session.heard <= before;
        let silent = self.sessions.iter().filter(|(_, session)| silent(session));
        let silent: Vec<String> = silent.map(|(id, _)| id.clone()).collect();
        silent.iter().fold(0, |lines, id| lines.saturating_add(self.forget(id)))
    }
}

impl Followed {
    fn keep(&mut self, line: Option<Shown>) {
        let Some(line) = line else { return };
        if self.kept.len() == KEPT_BACK
            && let Some(oldest) = self.kept.pop_front()
        {
            self.octets = self.octets.saturating_sub(oldest.octets());
            self.missing = self.missing.saturating_add(1);
        }
        self.octets = self.octets.saturating_add(line.octets());
        self.kept.push_back(line);
    }

    fn show(&mut self, ready: &mut VecDeque<Shown>) {
        self.shown = true;
        self.octets = 0;
        let missing = std::mem::take(&mut self.missing);
        ready.extend((missing > 0).then_some(Shown::Dropped { events: missing }));
        ready.append(&mut self.kept);
    }
}

impl Shown {
    /// What it takes, about.
    fn octets(&self) -> usize {
        match self {
            Self::Line { line, .. } => line.len().saturating_add(OVERHEAD),
            Self::Dropped { .. } => OVERHEAD,
        }
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
