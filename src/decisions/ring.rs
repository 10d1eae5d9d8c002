//! The last decisions, in memory.

use std::collections::VecDeque;

use bytes::Bytes;
use memchr::memmem;

use super::query::Query;
use super::record::Decision;

/// What an entry takes beside its text, in octets.
const OVERHEAD: usize = 64;

/// The last decisions, as lines of JSON: bounded by their number and by their octets.
#[derive(Debug)]
pub(super) struct Ring {
    lines: VecDeque<Bytes>,
    octets: usize,
    most: usize,
    most_octets: usize,
}

impl Ring {
    pub(super) const fn new(most: usize, most_octets: usize) -> Self {
        Self { lines: VecDeque::new(), octets: 0, most, most_octets }
    }

    /// Keeps `line`, and lets go of the oldest that there is no room for.
    pub(super) fn push(&mut self, line: Bytes) {
        self.octets += line.len() + OVERHEAD;
        self.lines.push_back(line);
        while self.lines.len() > self.most || self.octets > self.most_octets {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.octets -= oldest.len() + OVERHEAD;
        }
    }

    /// Every line, the youngest first. Cheap: the lines are shared.
    pub(super) fn lines(&self) -> Vec<Bytes> {
        self.lines.iter().rev().cloned().collect()
    }
}

/// Those of `lines` that `query` wants, in their order and up to its limit.
pub(super) fn select(lines: impl IntoIterator<Item = Bytes>, query: &Query) -> Vec<Decision> {
    let most = if query.limit == 0 { usize::MAX } else { query.limit };
    let hint = query.hint().map(memmem::Finder::new);
    let may_match = |line: &Bytes| hint.as_ref().is_none_or(|hint| hint.find(line).is_some());
    let read = |line: Bytes| serde_json::from_slice::<Decision>(&line).ok();
    lines
        .into_iter()
        .filter(may_match)
        .filter_map(read)
        .filter(|found| query.matches(found))
        .take(most)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str) -> Bytes {
        let decision = Decision { id: id.to_owned(), ..Decision::default() };
        serde_json::to_vec(&decision).unwrap().into()
    }

    #[test]
    fn both_bounds_hold() {
        let mut ring = Ring::new(3, usize::MAX);
        ["a", "b", "c", "d"].iter().for_each(|id| ring.push(line(id)));
        let ids: Vec<_> = select(ring.lines(), &Query::default()).into_iter().map(|found| found.id).collect();
        assert_eq!(ids, ["d", "c", "b"]);
        let room = 2 * (line("a").len() + OVERHEAD);
        let mut ring = Ring::new(100, room);
        ["a", "b", "c"].iter().for_each(|id| ring.push(line(id)));
        assert_eq!(ring.lines().len(), 2);
        ring.push(Bytes::from(vec![b'x'; room]));
        assert!(
            ring.lines().is_empty() && ring.octets == 0,
            "one that is too large for all of it is not kept"
        );
        let mut ring = Ring::new(0, room);
        ring.push(line("a"));
        assert!(ring.lines().is_empty());
    }

    #[test]
    fn a_query_finds_the_youngest_first() {
        let lines = ["a", "b", "a"].map(line);
        assert_eq!(select(lines.clone(), &Query::id("a")).len(), 2);
        assert_eq!(select(lines, &Query { limit: 1, ..Query::id("a") }).len(), 1);
    }
}
