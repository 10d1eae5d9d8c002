//! Texts that are looked for in a stream.

use memchr::memmem;

/// Looks for a few texts at once, whatever pieces the stream comes in.
#[derive(Debug)]
pub(in super::super) struct Search {
    needles: &'static [&'static [u8]],
    found: u32,
    /// The end of what went by: the beginning of a needle may be in it.
    tail: Vec<u8>,
}

impl Search {
    pub(super) const fn new(needles: &'static [&'static [u8]]) -> Self {
        Self { needles, found: 0, tail: Vec::new() }
    }

    pub(super) fn write(&mut self, octets: &[u8]) {
        let longest = self.needles.iter().map(|needle| needle.len()).max().unwrap_or_default();
        self.tail.extend_from_slice(octets);
        for (index, needle) in self.needles.iter().enumerate() {
            if memmem::find(&self.tail, needle).is_some() {
                self.found |= 1 << index;
            }
        }
        let kept = self.tail.len().min(longest.saturating_sub(1));
        self.tail.drain(..self.tail.len() - kept);
    }

    /// Whether the needle of this index went by.
    pub(super) const fn has_found(&self, index: u32) -> bool {
        self.found & (1 << index) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needles_are_found_across_pieces() {
        for cut in 1..12 {
            let mut search = Search::new(&[b"needle", b"pin"]);
            b"haystack with a needle".chunks(cut).for_each(|piece| search.write(piece));
            assert!(search.has_found(0) && !search.has_found(1), "{cut}");
        }
    }
}
