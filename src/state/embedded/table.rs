//! A table in memory that never grows beyond its bounds and forgets what has expired.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::super::operation::Millis;

/// What a table keeps.
pub(super) trait Record: Clone {
    /// When it is forgotten.
    fn expires(&self) -> Millis;

    /// Octets that it takes beyond its own size.
    fn extent(&self) -> usize;
}

/// What one table may hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Bounds {
    /// Records.
    pub(super) records: usize,
    /// Octets, estimated.
    pub(super) octets: usize,
}

/// Records by the hash of their key.
///
/// Where there is no room for one more, the one that would be forgotten first makes place. So of greylisting, a flood of
/// senders that never come back displaces its own kind and not what is known for weeks.
#[derive(Debug)]
pub(super) struct Table<R> {
    records: HashMap<u128, R>,
    /// Every record by the time at which it is forgotten.
    by_expiry: BTreeSet<(Millis, u128)>,
    /// What has changed since it was last written down.
    dirty: HashSet<u128>,
    octets: usize,
    bounds: Bounds,
    /// Records that were displaced while they still held.
    displaced: u64,
}

/// What a record costs beside itself: its places in the map, in the order of expiry, and among what changed.
const OVERHEAD: usize = 96;
/// Expired records that one step removes at most: more than come in with it, so that they grow ever fewer.
const SWEEP: usize = 4;

impl<R: Record> Table<R> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            records: HashMap::new(),
            by_expiry: BTreeSet::new(),
            dirty: HashSet::new(),
            octets: 0,
            bounds,
            displaced: 0,
        }
    }

    /// The record of this key, if it still holds at `now`.
    pub(super) fn get(&self, key: u128, now: Millis) -> Option<&R> {
        self.records.get(&key).filter(|record| record.expires() > now)
    }

    /// Keeps `record`, and sees to it that there is room.
    pub(super) fn put(&mut self, key: u128, record: R, now: Millis) {
        self.sweep(now);
        self.insert(key, record);
        self.dirty.insert(key);
        while self.is_too_large() && self.records.len() > 1 {
            let Some((expires, first)) = self.by_expiry.first().copied() else { break };
            self.remove(first);
            self.displaced += u64::from(expires > now);
        }
    }

    /// Keeps a record that was read from where all of them are written down; `false` when there is no room for it.
    pub(super) fn load(&mut self, key: u128, record: R) -> bool {
        let room = !self.is_too_large();
        if room {
            self.insert(key, record);
        }
        room
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// How many records were displaced since the last call.
    pub(super) fn take_displaced(&mut self) -> u64 {
        std::mem::take(&mut self.displaced)
    }

    /// What changed since the last call: keys with their records, and without one where it is gone.
    pub(super) fn take_changes(&mut self) -> Vec<(u128, Option<R>)> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().map(|key| (key, self.records.get(&key).cloned())).collect()
    }

    /// Some changes could not be written down, and are to be tried again.
    pub(super) fn give_back(&mut self, keys: impl IntoIterator<Item = u128>) {
        self.dirty.extend(keys);
        // While nothing can be written, what is gone must not pile up. Of what stays in the file too long, the time is over
        // when it is read.
        if self.dirty.len() > self.bounds.records {
            self.dirty.retain(|key| self.records.contains_key(key));
        }
    }

    /// Removes a few of what has expired.
    pub(super) fn sweep(&mut self, now: Millis) {
        for _ in 0..SWEEP {
            match self.by_expiry.first() {
                Some((expires, key)) if *expires <= now => self.remove(*key),
                _ => return,
            }
        }
    }

    fn is_too_large(&self) -> bool {
        self.records.len() > self.bounds.records || self.octets > self.bounds.octets
    }

    fn insert(&mut self, key: u128, record: R) {
        let expires = record.expires();
        self.octets += cost(&record);
        if let Some(old) = self.records.insert(key, record) {
            self.octets -= cost(&old);
            self.by_expiry.remove(&(old.expires(), key));
        }
        self.by_expiry.insert((expires, key));
    }

    fn remove(&mut self, key: u128) {
        if let Some(old) = self.records.remove(&key) {
            self.octets -= cost(&old);
            self.by_expiry.remove(&(old.expires(), key));
            self.dirty.insert(key);
        }
    }
}

fn cost<R: Record>(record: &R) -> usize {
    OVERHEAD + size_of::<R>() + record.extent()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Note(Millis);

    impl Record for Note {
        fn expires(&self) -> Millis {
            self.0
        }
        fn extent(&self) -> usize {
            0
        }
    }

    fn table(records: usize) -> Table<Note> {
        Table::new(Bounds { records, octets: usize::MAX })
    }

    #[test]
    fn what_would_be_forgotten_first_makes_place() {
        let mut table = table(3);
        for (key, expires) in [(1, 50), (2, 20), (3, 30), (4, 40)] {
            table.put(key, Note(expires), 10);
        }
        assert_eq!(table.get(2, 10), None);
        assert!([1, 3, 4].iter().all(|key| table.get(*key, 10).is_some()));
        assert_eq!((table.take_displaced(), table.take_displaced()), (1, 0));
    }

    #[test]
    fn what_has_expired_is_not_there_and_goes() {
        let mut table = table(100);
        (0..10).for_each(|key| table.put(key, Note(20), 10));
        assert_eq!(table.get(1, 20), None);
        (10..20).for_each(|key| table.put(key, Note(90), 30));
        assert_eq!((table.len(), table.take_displaced()), (10, 0));
    }

    #[test]
    fn octets_are_bounded_and_counted_back() {
        let one = cost(&Note(0));
        let mut table = Table::new(Bounds { records: 100, octets: 3 * one });
        (0..50).for_each(|key| table.put(key, Note(100 + key as u64), 10));
        assert_eq!((table.len(), table.octets), (3, 3 * one));
        table.put(49, Note(500), 10);
        assert_eq!((table.len(), table.octets, table.by_expiry.len()), (3, 3 * one, 3));
    }

    #[test]
    fn changes_are_told_once_also_those_that_are_gone() {
        let mut table = table(2);
        (1..4).for_each(|key| table.put(key, Note(10 * key as u64), 5));
        let mut changes = table.take_changes();
        changes.sort_by_key(|(key, _)| *key);
        assert_eq!(changes, [(1, None), (2, Some(Note(20))), (3, Some(Note(30)))]);
        assert_eq!(table.take_changes(), []);
        table.give_back([3]);
        assert_eq!(table.take_changes(), [(3, Some(Note(30)))]);
    }
}
