//! The operator's own names as label values, in a bounded number.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

/// Names that a process may use as label values before the rest become [`OTHER`]; far above any real policy set,
/// so that only endless reloads with ever new names reach it.
const MOST: usize = 2000;

/// What a name beyond the bound counts as.
const OTHER: &str = "other";

/// The names seen so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    seen: RwLock<HashSet<Box<str>>>,
}

impl Names {
    /// `name` itself, or `other` once there are too many.
    pub(super) fn bounded<'n>(&self, name: &'n str) -> &'n str {
        if self.has_seen(name) || self.admit(name) { name } else { OTHER }
    }

    fn has_seen(&self, name: &str) -> bool {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    fn admit(&self, name: &str) -> bool {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        let room = seen.len() < MOST;
        if room {
            seen.insert(name.into());
        }
        room || seen.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_until_there_are_too_many() {
        let names = Names::default();
        for n in 0..MOST {
            let name = format!("policy.rule-{n}");
            assert_eq!(names.bounded(&name), name);
        }
        assert_eq!(names.bounded("policy.one-more"), OTHER);
        assert_eq!(names.bounded("policy.rule-0"), "policy.rule-0", "known ones stay themselves");
    }
}
