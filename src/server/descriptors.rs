//! File descriptors: how many there are, and how many sessions they are enough for.
//!
//! A session needs one for its client, one for its upstream, and one for a message that goes to a file. A process that hands all
//! of them to clients has none left to do anything for them: it would accept mail and answer 451 to all of it. So there are
//! never more sessions than can have all three, and who comes beyond them hears 421 at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for everything that is no session's: files, the resolver's sockets, the admin endpoint, listeners.
const RESERVED: u64 = 96;
/// Descriptors that one session may need.
const EACH: u64 = 3;

/// Raises the soft limit of descriptors to the hard one; gives what then holds, `None` where there is no limit.
///
/// The soft limit is low for the sake of programs that use `select`, which we do not.
pub fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of file descriptors cannot be raised");
            limit.current
        }
    }
}

/// How many sessions all listeners may have together.
#[derive(Debug)]
pub struct Ceiling {
    most: usize,
    held: AtomicUsize,
}

/// A session below the ceiling, until it is dropped.
#[derive(Debug)]
pub(super) struct Below(Arc<Ceiling>);

impl Ceiling {
    /// As many sessions as so many descriptors are enough for; `None` for any number.
    pub fn of_descriptors(descriptors: Option<u64>) -> Arc<Self> {
        let most = descriptors.map_or(u64::MAX, |limit| (limit.saturating_sub(RESERVED) / EACH).max(1));
        Arc::new(Self { most: usize::try_from(most).unwrap_or(usize::MAX), held: AtomicUsize::new(0) })
    }

    /// How many that is.
    pub const fn most(&self) -> usize {
        self.most
    }

    pub(super) fn enter(self: &Arc<Self>) -> Option<Below> {
        let free = |held| (held < self.most).then_some(held + 1);
        let entered = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free);
        entered.is_ok().then(|| Below(Arc::clone(self)))
    }
}

impl Drop for Below {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_has_room_for_an_upstream_and_a_file() {
        assert_eq!(Ceiling::of_descriptors(Some(256)).most(), 53);
        assert_eq!(Ceiling::of_descriptors(Some(65_536)).most(), 21_813);
        assert_eq!(Ceiling::of_descriptors(Some(10)).most(), 1);
        assert_eq!(Ceiling::of_descriptors(None).most(), usize::MAX);
    }

    #[test]
    fn places_come_back() {
        let ceiling = Ceiling::of_descriptors(Some(RESERVED + 2 * EACH));
        let first = ceiling.enter().unwrap();
        let _second = ceiling.enter().unwrap();
        assert!(ceiling.enter().is_none());
        drop(first);
        assert!(ceiling.enter().is_some());
    }
}
