//! The content of one part, looked at while it goes by.

use super::archive::{Archive, Findings, Kind};
use super::real_type::real_type;
use super::transfer::Transfer;
use super::urls::{Url, Urls};
use super::{EntriesResult, MAX_ENTRIES, MAX_TEXT, MAX_UNPACKED, Part};

/// What is kept of the beginning of a part, to see what it is.
const HEAD: usize = 4 * 1024;
/// What is kept of a text: a longer one is cut, within what the message may have in all.
const MAX_PART_TEXT: usize = 256 * 1024;

/// What one message may cost.
#[derive(Debug)]
pub(super) struct Budget {
    /// Octets that archives may still be unpacked to.
    pub(super) unpacked: u64,
    /// Entries that may still be told.
    pub(super) entries: usize,
    text: usize,
    unsearched: bool,
    urls: Urls,
    scratch: Vec<u8>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            unpacked: MAX_UNPACKED,
            entries: MAX_ENTRIES,
            text: MAX_TEXT,
            unsearched: false,
            urls: Urls::default(),
            scratch: Vec::new(),
        }
    }
}

impl Budget {
    pub(super) fn take_urls(&mut self) -> Vec<Url> {
        std::mem::take(&mut self.urls.found)
    }

    /// Whether there are URLs that are not told, or may be.
    pub(super) const fn is_out_of_urls(&self) -> bool {
        self.unsearched || self.urls.more
    }
}

/// A part that is being read.
#[derive(Debug)]
pub(super) struct Leaf {
    part: Part,
    transfer: Transfer,
    /// The line end that belongs to the part, unless a boundary follows.
    held: &'static [u8],
    head: Vec<u8>,
    look: Look,
}

/// What is looked for in a part.
#[derive(Debug)]
enum Look {
    /// Its beginning is not all there.
    Undecided,
    Archive(Archive),
    /// URLs, in the text so far.
    Text(Vec<u8>),
    Nothing,
}

impl Leaf {
    pub(super) const fn new(part: Part, transfer: Transfer) -> Self {
        Self { part, transfer, held: b"", head: Vec::new(), look: Look::Undecided }
    }

    /// Takes a line, or a piece of one, as it arrived.
    pub(super) fn write(&mut self, piece: &[u8], budget: &mut Budget) {
        let (content, end): (_, &'static [u8]) = match piece {
            [content @ .., b'\r', b'\n'] => (content, b"\r\n"),
            [content @ .., b'\n'] => (content, b"\n"),
            content => (content, b""),
        };
        let mut plain = std::mem::take(&mut budget.scratch);
        self.transfer.decode(std::mem::replace(&mut self.held, end), &mut plain);
        self.transfer.decode(content, &mut plain);
        self.take(&plain, budget);
        plain.clear();
        budget.scratch = plain;
    }

    pub(super) fn finish(mut self: Box<Self>, at_end: bool, budget: &mut Budget) -> Part {
        if at_end && !self.held.is_empty() {
            self.write(b"", budget);
        }
        if matches!(self.look, Look::Undecided) {
            self.decide(budget);
        }
        real_type(&self.head).clone_into(&mut self.part.real_type);
        match std::mem::replace(&mut self.look, Look::Nothing) {
            Look::Archive(archive) => {
                let findings = archive.finish(&self.part.name, budget);
                self.conclude(findings, budget);
            }
            Look::Text(text) => budget.urls.search(&text, self.is_html()),
            Look::Undecided | Look::Nothing => {}
        }
        self.part
    }

    /// Takes decoded octets.
    fn take(&mut self, plain: &[u8], budget: &mut Budget) {
        self.part.size += plain.len() as u64;
        let room = HEAD - self.head.len();
        let (to_head, rest) = plain.split_at(room.min(plain.len()));
        self.head.extend_from_slice(to_head);
        match &mut self.look {
            Look::Undecided if self.head.len() == HEAD => {
                self.decide(budget);
                self.look_at(rest, budget);
            }
            Look::Undecided => {}
            _ => self.look_at(plain, budget),
        }
    }

    /// Says what to look for, and looks at the beginning.
    fn decide(&mut self, budget: &mut Budget) {
        self.look = match Kind::of(&self.head).or_else(|| Kind::by_extension(&self.part.extension)) {
            Some(kind) => Look::Archive(Archive::new(kind)),
            None if self.part.content_type.starts_with("text/") => Look::Text(Vec::new()),
            None => Look::Nothing,
        };
        let head = std::mem::take(&mut self.head);
        self.look_at(&head, budget);
        self.head = head;
    }

    fn look_at(&mut self, plain: &[u8], budget: &mut Budget) {
        match &mut self.look {
            Look::Archive(archive) => archive.write(plain, budget),
            Look::Text(text) => {
                let room = budget.text.min(MAX_PART_TEXT - text.len().min(MAX_PART_TEXT));
                let taken = plain.get(..room.min(plain.len())).unwrap_or_default();
                budget.unsearched |= taken.len() < plain.len();
                budget.text -= taken.len();
                text.extend_from_slice(taken);
            }
            Look::Undecided | Look::Nothing => {}
        }
    }

    fn conclude(&mut self, findings: Findings, budget: &mut Budget) {
        let Findings { mut entries, mut result, encrypted, has_macros } = findings;
        if entries.len() > budget.entries {
            entries.truncate(budget.entries);
            result = EntriesResult::Truncated;
        }
        budget.entries -= entries.len();
        self.part.entries = entries;
        self.part.entries_result = result;
        self.part.encrypted = encrypted;
        self.part.has_macros = has_macros;
    }

    fn is_html(&self) -> bool {
        self.part.content_type == "text/html" || self.part.real_type == "text/html"
    }
}
