//! The upstreams with a name, to which a transcript's routes lead.

use std::sync::Arc;

use super::play::Trouble;
use super::world::World;
use crate::upstream::simulated::{Message, Upstream};

/// An upstream that a transcript calls `@NAME`, and how far its dialogue was looked at.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) name: String,
    pub(super) simulated: Arc<Upstream>,
    /// How many lines it had heard and connections it had seen before the session began.
    pub(super) before: (usize, usize),
    /// How many lines are in the log, and how many `G:` lines have spoken for.
    logged: usize,
    pub(super) said: usize,
}

impl Other {
    /// `simulated` as it is before a session begins.
    pub(super) fn new(name: &str, simulated: Arc<Upstream>) -> Self {
        let lines = simulated.transcript().len();
        let before = (lines, simulated.connections());
        Self { name: name.to_owned(), simulated, before, logged: lines, said: lines }
    }

    /// What was said since this was asked last, for the log.
    pub(super) fn news(&mut self) -> Vec<String> {
        let heard = self.simulated.transcript();
        let new = heard.iter().skip(self.logged).map(|line| format!("    @{} {line}", self.name)).collect();
        self.logged = heard.len();
        new
    }
}

impl World {
    /// The upstream `@name`.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn other(&mut self, name: &str) -> Result<&mut Other, Trouble> {
        let found = self.others.iter_mut().find(|other| other.name == name);
        found.ok_or_else(|| Trouble::new(format!("there is no upstream @{name}")))
    }

    /// Every simulated upstream.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        [&self.upstream].into_iter().chain(self.others.iter().map(|other| &other.simulated))
    }

    /// The messages of all of them.
    pub(super) fn messages(&self) -> Vec<Message> {
        self.upstreams().flat_map(|upstream| upstream.messages()).collect()
    }

    /// The last message that any of them took.
    pub(super) fn last_message(&self) -> Option<Message> {
        let last = self.upstreams().filter_map(|upstream| upstream.last_message());
        last.max_by_key(|(number, _)| *number).map(|(_, message)| message)
    }
}
