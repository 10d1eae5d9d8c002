//! Zip archives (APPNOTE 6.3): the central directory at the end, and the headers in front of the files.
//!
//! Readers go by the one or by the others. Where they differ, both are told, and the archive is broken.

use std::collections::HashSet;

use memchr::memmem;

use super::super::{EntriesResult, Entry};
use super::{Findings, MAX_ENTRIES};

/// The end of the archive that is kept. A directory that is larger is told in part.
const TAIL: usize = 1 << 20;
/// The same of what hardly is one.
const TAIL_BEHIND: usize = 128 << 10;
/// A header in front of a file, with name and extra field, is at most so long.
const MAX_LOCAL: usize = 30 + 2 * 0xffff;

const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const ENTRY: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
/// The extra field with the name in UTF-8 (APPNOTE 4.6.9).
const UNICODE_PATH: u16 = 0x7075;

/// What is kept of an archive while it goes by.
#[derive(Debug)]
pub(in super::super) struct Listing {
    tail: Vec<u8>,
    /// How much of the end is kept.
    kept: usize,
    cut: bool,
    /// The headers in front of the files; `None` where nothing says that this is an archive, but perhaps its end.
    locals: Option<Locals>,
}

impl Listing {
    /// Of what is an archive, whole or not.
    pub(super) fn whole() -> Self {
        Self { tail: Vec::new(), kept: TAIL, cut: false, locals: Some(Locals::default()) }
    }

    /// Of what may have an archive behind something else.
    pub(super) const fn behind() -> Self {
        Self { tail: Vec::new(), kept: TAIL_BEHIND, cut: false, locals: None }
    }

    pub(super) fn write(&mut self, octets: &[u8]) {
        if let Some(locals) = &mut self.locals {
            locals.write(octets);
        }
        self.tail.extend_from_slice(octets);
        if self.tail.len() > 2 * self.kept {
            self.tail.drain(..self.tail.len() - self.kept);
            self.cut = true;
        }
    }

    pub(super) fn finish(mut self) -> Findings {
        let directory = self.directory();
        let Some(locals) = self.locals.take() else {
            let is_archive =
                |found: &Findings| found.result != EntriesResult::Broken && !found.entries.is_empty();
            return with_macros(directory.filter(is_archive).unwrap_or_default());
        };
        let broken = || Findings { result: EntriesResult::Broken, ..Findings::default() };
        let mut findings = directory.unwrap_or_else(broken);
        let known: HashSet<String> = findings.entries.iter().map(|entry| entry.name.clone()).collect();
        let hidden = locals.entries.into_iter().filter(|entry| !known.contains(&entry.name));
        let hidden: Vec<_> = hidden.take(MAX_ENTRIES.saturating_sub(known.len())).collect();
        if !hidden.is_empty() && findings.result == EntriesResult::Complete {
            findings.result = EntriesResult::Broken;
        }
        findings.entries.extend(hidden);
        with_macros(findings)
    }

    /// The central directory; `None` if there is none.
    fn directory(&self) -> Option<Findings> {
        let end = self.end()?;
        let (size, total, directory_end) = self.extent(end)?;
        let start = usize::try_from(size).ok().and_then(|size| directory_end.checked_sub(size));
        let (start, is_all) = match start {
            Some(start) => (start, true),
            // What is kept begins within the directory.
            None if self.cut => (memmem::find(&self.tail, ENTRY)?, false),
            None => return None,
        };
        let mut findings = Findings { result: EntriesResult::Complete, ..Findings::default() };
        let read = read_entries(self.tail.get(start..directory_end)?, &mut findings);
        if findings.result == EntriesResult::Complete {
            findings.result = match is_all {
                false => EntriesResult::Truncated,
                true if read != total => EntriesResult::Broken,
                true => EntriesResult::Complete,
            };
        }
        Some(findings)
    }

    /// Where the end record is: the last one whose comment ends with the file, else the last one.
    fn end(&self) -> Option<usize> {
        let from = self.tail.len().saturating_sub(22 + 0xffff);
        let window = self.tail.get(from..)?;
        let ends = memmem::find_iter(window, END).map(|at| from + at);
        let fits = |at: &usize| {
            u16_at(&self.tail, at + 20).is_some_and(|len| at + 22 + usize::from(len) == self.tail.len())
        };
        ends.clone().filter(fits).last().or_else(|| ends.last())
    }

    /// Size of the directory, number of its entries, and where it ends.
    fn extent(&self, end: usize) -> Option<(u64, u64, usize)> {
        let (total, size) = (u16_at(&self.tail, end + 10)?, u32_at(&self.tail, end + 12)?);
        if total != u16::MAX && size != u32::MAX {
            return Some((size.into(), total.into(), end));
        }
        match memmem::rfind(self.tail.get(..end)?, END_64) {
            Some(wide) => Some((u64_at(&self.tail, wide + 40)?, u64_at(&self.tail, wide + 32)?, wide)),
            None => Some((size.into(), total.into(), end)),
        }
    }
}

fn with_macros(mut findings: Findings) -> Findings {
    findings.has_macros = findings.entries.iter().any(|entry| holds_macros(&entry.name));
    findings
}

/// Reads the entries of a directory into `findings`, and says how many it has.
fn read_entries(directory: &[u8], findings: &mut Findings) -> u64 {
    let (mut at, mut read) = (0, 0);
    while let Some(record) = directory.get(at..).filter(|rest| rest.starts_with(ENTRY)) {
        let Some((entries, length)) = read_entry(record, findings) else { break };
        if findings.entries.len() + entries.len() > MAX_ENTRIES {
            findings.result = EntriesResult::Truncated;
            break;
        }
        findings.entries.extend(entries.into_iter().filter(|entry| !entry.name.ends_with('/')));
        at += length;
        read += 1;
    }
    read
}

/// The entry in a record under each of its names, and the length of the record.
fn read_entry(record: &[u8], findings: &mut Findings) -> Option<(Vec<Entry>, usize)> {
    let flags = u16_at(record, 8)?;
    let size = u64::from(u32_at(record, 24)?);
    let [name, extra, comment] = [28, 30, 32].map(|at| u16_at(record, at).map(usize::from));
    let (name_end, extra, comment) = (46 + name?, extra?, comment?);
    findings.encrypted |= flags & 1 != 0;
    if flags & (1 << 13) != 0 {
        findings.result = EntriesResult::Encrypted;
    }
    let name = String::from_utf8_lossy(record.get(46..name_end)?);
    let mut entries = vec![Entry::new(&name, size)];
    if let Some(path) = unicode_path(record.get(name_end..name_end + extra)?).filter(|path| *path != *name) {
        entries.push(Entry::new(&path, size));
    }
    Some((entries, name_end + extra + comment))
}

fn unicode_path(mut extra: &[u8]) -> Option<String> {
    while let (Some(id), Some(size)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let content = extra.get(4..4 + usize::from(size))?;
        if id == UNICODE_PATH {
            return content.get(5..).map(|path| String::from_utf8_lossy(path).into_owned());
        }
        extra = extra.get(4 + usize::from(size)..)?;
    }
    None
}

/// VBA projects and sheets of Excel 4 macros in OOXML, Basic in OpenDocument.
fn holds_macros(name: &str) -> bool {
    let name = name.to_lowercase();
    name.ends_with("vbaproject.bin") || name.starts_with("xl/macrosheets/") || name.starts_with("basic/")
}

/// The headers in front of the files, as far as each says where the next one is.
#[derive(Debug)]
struct Locals {
    entries: Vec<Entry>,
    header: Vec<u8>,
    /// Octets until the next header; `None` when it cannot be known any more.
    skip: Option<u64>,
}

impl Default for Locals {
    fn default() -> Self {
        Self { entries: Vec::new(), header: Vec::new(), skip: Some(0) }
    }
}

impl Locals {
    fn write(&mut self, mut octets: &[u8]) {
        while let Some(skip) = self.skip
            && !octets.is_empty()
        {
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(octets.len());
            self.skip = Some(skip - skipped as u64);
            octets = octets.get(skipped..).unwrap_or_default();
            if octets.is_empty() {
                return;
            }
            let wanted = self.wanted();
            let taken = wanted.saturating_sub(self.header.len()).min(octets.len());
            self.header.extend_from_slice(octets.get(..taken).unwrap_or_default());
            octets = octets.get(taken..).unwrap_or_default();
            if self.header.len() == self.wanted() {
                self.skip = self.next();
                self.header.clear();
            }
        }
    }

    /// How long the header is, as far as it is known.
    fn wanted(&self) -> usize {
        match (u16_at(&self.header, 26), u16_at(&self.header, 28)) {
            (Some(name), Some(extra)) => (30 + usize::from(name) + usize::from(extra)).min(MAX_LOCAL),
            _ => 30,
        }
    }

    /// Takes down the header that is complete, and says how long its content is.
    fn next(&mut self) -> Option<u64> {
        let header = self.header.as_slice();
        if !header.starts_with(LOCAL) || self.entries.len() == MAX_ENTRIES {
            return None;
        }
        let (flags, packed, size) = (u16_at(header, 6)?, u32_at(header, 18)?, u32_at(header, 22)?);
        let name_end = 30 + usize::from(u16_at(header, 26)?);
        let name = String::from_utf8_lossy(header.get(30..name_end)?);
        if !name.ends_with('/') {
            self.entries.push(Entry::new(&name, size.into()));
        }
        // With a data descriptor, or in zip64, the size stands elsewhere.
        let is_known = flags & (1 << 3) == 0 && packed != u32::MAX;
        is_known.then_some(packed.into())
    }
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(octets.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(octets.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(octets: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(octets.get(at..at + 8)?.try_into().ok()?))
}
