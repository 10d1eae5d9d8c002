//! Many short texts in one piece of memory, each perhaps with a value: what lists and tables are made of.
//!
//! A million entries are two allocations, made in a fraction of a second and dropped in no time, on whichever thread the last
//! session that used them ends. A text that is not there usually costs one look into memory.

use std::hash::{BuildHasher, RandomState};

/// Texts, each at most once, with a value each. Neither may hold control characters.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    /// One after the other: text, [`BEHIND_TEXT`], value, [`BEHIND_VALUE`].
    octets: String,
    /// Open addressing with linear probing; a power of two, at most half full, so that every search ends soon.
    slots: Vec<Slot>,
    len: usize,
    /// With keys of its own, so that nobody can choose texts that collide.
    hasher: RandomState,
}

/// A place in [`Texts::octets`]; free while its offset is [`FREE`].
#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    offset: u32,
}

const FREE: u32 = u32::MAX;
const BEHIND_TEXT: char = '\u{1f}';
const BEHIND_VALUE: char = '\u{1e}';

impl Texts {
    /// Takes in `text` with `value`; false when it is there already, or when there is no room: four gigabytes are full.
    pub(super) fn insert(&mut self, text: &str, value: &str) -> bool {
        if self.get(text).is_some() {
            return false;
        }
        let Some(offset) = u32::try_from(self.octets.len()).ok().filter(|offset| *offset != FREE) else {
            return false;
        };
        if self.slots.len() <= self.len * 2 {
            self.grow();
        }
        self.octets.push_str(text);
        self.octets.push(BEHIND_TEXT);
        self.octets.push_str(value);
        self.octets.push(BEHIND_VALUE);
        let hash = self.hash(text);
        place(&mut self.slots, Slot { hash, offset });
        self.len += 1;
        true
    }

    /// The value of `text`; `None` when it is not there.
    pub(super) fn get(&self, text: &str) -> Option<&str> {
        if self.len == 0 {
            return None;
        }
        let hash = self.hash(text);
        let taken = probe(&self.slots, hash).take_while(|slot| slot.offset != FREE);
        let same = taken.filter(|slot| slot.hash == hash);
        same.filter_map(|slot| self.value_at(slot.offset, text)).next()
    }

    pub(super) fn contains(&self, text: &str) -> bool {
        self.get(text).is_some()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value at `offset`, if the text there is `text`.
    fn value_at(&self, offset: u32, text: &str) -> Option<&str> {
        let here = self.octets.get(usize::try_from(offset).ok()?..)?;
        let behind = here.strip_prefix(text)?.strip_prefix(BEHIND_TEXT)?;
        behind.split(BEHIND_VALUE).next()
    }

    fn grow(&mut self) {
        let mut slots = vec![Slot { hash: 0, offset: FREE }; (self.slots.len() * 2).max(16)];
        for slot in self.slots.iter().filter(|slot| slot.offset != FREE) {
            place(&mut slots, *slot);
        }
        self.slots = slots;
    }

    fn hash(&self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        // Half of it is enough to tell texts apart, and to find a place among four billion.
        u32::try_from(hash >> 32).unwrap_or(0)
    }
}

/// Puts `slot` into the first free place of its search.
fn place(slots: &mut [Slot], slot: Slot) {
    let (first, len) = (start(slots.len(), slot.hash), slots.len());
    for step in 0..len {
        if let Some(here) = slots.get_mut((first + step) & (len - 1))
            && here.offset == FREE
        {
            *here = slot;
            return;
        }
    }
}

/// The slots that a text of this hash may be in, the likeliest first.
fn probe(slots: &[Slot], hash: u32) -> impl Iterator<Item = &Slot> {
    let (head, tail) = slots.split_at_checked(start(slots.len(), hash)).unwrap_or((slots, &[]));
    tail.iter().chain(head)
}

/// Where the search for a text of this hash begins among so many slots, a power of two.
fn start(slots: usize, hash: u32) -> usize {
    usize::try_from(hash).unwrap_or(0) & slots.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_is_there_and_nothing_else() {
        let mut texts = Texts::default();
        assert!(!texts.contains("") && texts.is_empty());
        for number in 0..10_000 {
            assert!(texts.insert(&format!("text-{number}"), &format!("value-{number}")));
            assert!(!texts.insert(&format!("text-{number}"), "another"), "{number} twice");
        }
        assert!(texts.insert("", "of nothing"));
        assert_eq!(texts.len, 10_001);
        for number in 0..10_000 {
            assert_eq!(texts.get(&format!("text-{number}")), Some(format!("value-{number}").as_str()));
        }
        assert_eq!(texts.get(""), Some("of nothing"));
        for absent in ["text-", "text-10000", "text-1 ", "ext-1", "value-1", "text-1\u{1f}value-1"] {
            assert_eq!(texts.get(absent), None, "{absent}");
        }
    }
}
