//! The content of one part, looked at while it goes by.

use super::archive::{Archive, Findings, Kind};
use super::real_type::real_type;
use super::transfer::{Encoding, Transfer};
use super::urls::{Url, Urls};
use super::uuencode::{Found, Lines};
use super::{EntriesResult, MAX_ENTRIES, MAX_PARTS, MAX_TEXT, MAX_UNPACKED, Part, extension};

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
    pub(super) scratch: Vec<u8>,
    /// The files in the text that was read last, one more than the message may have parts at the most.
    pub(super) inside: Vec<Part>,
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
            inside: Vec::new(),
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
    encoding: Encoding,
    head: Vec<u8>,
    look: Look,
    /// Whether there is a zip archive all the same, behind something else.
    behind: Option<Archive>,
}

/// What is looked for in a part.
#[derive(Debug)]
enum Look {
    /// Its beginning is not all there.
    Undecided,
    Archive(Archive),
    Text(Box<Text>),
    /// Nothing that is known by its beginning.
    Nothing,
}

/// What is looked for in a text.
#[derive(Debug, Default)]
struct Text {
    /// The text so far, for its URLs.
    kept: Vec<u8>,
    /// Files in it, where it is one that they may be in, and the one that is being read.
    lines: Option<Lines>,
    file: Option<Box<Leaf>>,
}

impl Leaf {
    pub(super) const fn new(part: Part, transfer: Transfer) -> Self {
        let encoding = Encoding::new(transfer);
        Self { part, encoding, head: Vec::new(), look: Look::Undecided, behind: None }
    }

    /// Takes a line, or a piece of one, as it arrived.
    pub(super) fn write(&mut self, piece: &[u8], budget: &mut Budget) {
        let mut plain = std::mem::take(&mut budget.scratch);
        self.encoding.decode(piece, &mut plain);
        self.take(&plain, budget);
        plain.clear();
        budget.scratch = plain;
    }

    pub(super) fn finish(mut self, at_end: bool, budget: &mut Budget) -> Part {
        if at_end {
            self.write(b"", budget);
        }
        if matches!(self.look, Look::Undecided) {
            self.decide(budget);
        }
        real_type(&self.head).clone_into(&mut self.part.real_type);
        match std::mem::replace(&mut self.look, Look::Nothing) {
            Look::Archive(archive) => self.end_archive(archive, budget),
            Look::Text(text) => self.end_text(*text, budget),
            Look::Undecided | Look::Nothing => {}
        }
        self.end_behind(budget);
        self.part
    }

    fn end_archive(&mut self, archive: Archive, budget: &mut Budget) {
        let findings = archive.finish(&self.part.name, budget);
        self.conclude(findings, budget);
    }

    fn end_text(&mut self, mut text: Text, budget: &mut Budget) {
        budget.urls.search(&text.kept, self.is_html());
        if let Some(lines) = text.lines.take() {
            lines.finish(|found| text.file = see_file(text.file.take(), found, budget));
        }
    }

    /// An archive without files is none.
    fn end_behind(&mut self, budget: &mut Budget) {
        let Some(archive) = self.behind.take() else { return };
        let findings = archive.finish(&self.part.name, budget);
        if !findings.entries.is_empty() {
            self.conclude(findings, budget);
        }
    }

    /// Takes decoded octets.
    pub(super) fn take(&mut self, plain: &[u8], budget: &mut Budget) {
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
        let by_name = self.part.names().find_map(|name| Kind::by_extension(&extension(name)));
        let kind = Kind::of(&self.head).or(by_name);
        let is_text = self.part.content_type.starts_with("text/");
        self.look = match kind {
            Some(kind) => Look::Archive(Archive::new(kind)),
            None if is_text => Look::Text(Box::new(Text::of(&self.part))),
            None => Look::Nothing,
        };
        // A text without a name is nothing but a text.
        let is_text_alone = matches!(self.look, Look::Text(_)) && self.part.name.is_empty();
        if kind != Some(Kind::Zip) && !is_text_alone {
            self.behind = Some(by_name.map_or_else(Archive::behind, Archive::new));
        }
        let head = std::mem::take(&mut self.head);
        self.look_at(&head, budget);
        self.head = head;
    }

    fn look_at(&mut self, plain: &[u8], budget: &mut Budget) {
        match &mut self.look {
            Look::Archive(archive) => archive.write(plain, budget),
            Look::Text(text) => text.write(plain, budget),
            Look::Undecided | Look::Nothing => {}
        }
        if let Some(archive) = &mut self.behind {
            archive.write(plain, budget);
        }
    }

    /// Adds what was found in an archive, of which a part may be two at once.
    fn conclude(&mut self, findings: Findings, budget: &mut Budget) {
        let Findings { mut entries, mut result, encrypted, has_macros } = findings;
        if entries.len() > budget.entries {
            entries.truncate(budget.entries);
            result = EntriesResult::Truncated;
        }
        budget.entries -= entries.len();
        self.part.entries.append(&mut entries);
        self.part.entries_result = self.part.entries_result.and(result);
        self.part.encrypted |= encrypted;
        self.part.has_macros |= has_macros;
    }

    fn is_html(&self) -> bool {
        self.part.content_type == "text/html" || self.part.real_type == "text/html"
    }
}

impl Text {
    fn of(part: &Part) -> Self {
        Self { lines: (part.content_type == "text/plain").then(Lines::default), ..Self::default() }
    }

    fn write(&mut self, plain: &[u8], budget: &mut Budget) {
        let room = budget.text.min(MAX_PART_TEXT - self.kept.len().min(MAX_PART_TEXT));
        let taken = plain.get(..room.min(plain.len())).unwrap_or_default();
        budget.unsearched |= taken.len() < plain.len();
        budget.text -= taken.len();
        self.kept.extend_from_slice(taken);
        if let Some(lines) = &mut self.lines {
            lines.write(plain, |found| self.file = see_file(self.file.take(), found, budget));
        }
    }
}

/// What becomes of the file that is being read in a text.
fn see_file(file: Option<Box<Leaf>>, found: Found, budget: &mut Budget) -> Option<Box<Leaf>> {
    match (file, found) {
        (_, Found::Begin(name)) => {
            let part = Part {
                attached: true,
                extension: extension(&name),
                name,
                content_type: "application/octet-stream".to_owned(),
                ..Part::default()
            };
            Some(Box::new(Leaf::new(part, Transfer::Identity)))
        }
        (Some(mut file), Found::Data(octets)) => {
            file.take(&octets, budget);
            Some(file)
        }
        (Some(file), Found::End) => {
            let part = file.finish(false, budget);
            if budget.inside.len() <= MAX_PARTS {
                budget.inside.push(part);
            }
            None
        }
        (None, Found::Data(_) | Found::End) => None,
    }
}
