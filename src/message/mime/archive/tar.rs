//! Tar archives (POSIX.1-2017 pax, ustar, and GNU's long names).

use super::super::{EntriesResult, Entry};
use super::{Findings, MAX_ENTRIES};

const BLOCK: usize = 512;
/// Octets of a long name, or of extended headers, that are read.
const MAX_EXTENDED: usize = 64 * 1024;

/// Walks from header to header.
#[derive(Debug, Default)]
pub(in super::super) struct Walk {
    findings: Vec<Entry>,
    block: Vec<u8>,
    state: State,
    /// The name that an extension gives to the next entry.
    long_name: Option<String>,
    result: EntriesResult,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Header,
    /// Content, and the rest of its last block.
    Skip(u64),
    /// An extension: what it is, what is left of it with the rest of its block, its size, and what was read of it.
    Extended { flag: u8, left: u64, size: usize, text: Vec<u8> },
    /// The end, or damage: the rest does not matter.
    Over,
}

impl Walk {
    pub(super) fn write(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let taken = match &mut self.state {
                State::Over => return,
                State::Skip(left) => take(left, octets).len(),
                State::Extended { left, text, .. } => {
                    let piece = take(left, octets);
                    let room = MAX_EXTENDED.saturating_sub(text.len()).min(piece.len());
                    text.extend_from_slice(piece.get(..room).unwrap_or_default());
                    piece.len()
                }
                State::Header => {
                    let taken = (BLOCK - self.block.len()).min(octets.len());
                    self.block.extend_from_slice(octets.get(..taken).unwrap_or_default());
                    taken
                }
            };
            octets = octets.get(taken..).unwrap_or_default();
            self.advance();
        }
    }

    /// Goes on where something is complete.
    fn advance(&mut self) {
        match &mut self.state {
            State::Skip(0) => self.state = State::Header,
            State::Extended { flag, left: 0, size, text } => {
                text.truncate(*size);
                self.long_name = extended_name(*flag, text).or_else(|| self.long_name.take());
                self.state = State::Header;
            }
            State::Header if self.block.len() == BLOCK => {
                let block = std::mem::take(&mut self.block);
                self.header(&block);
            }
            _ => {}
        }
    }

    fn header(&mut self, block: &[u8]) {
        if block.iter().all(|&octet| octet == 0) {
            self.result = EntriesResult::Complete;
            self.state = State::Over;
            return;
        }
        let Some(size) = number(field(block, 124, 12)).filter(|_| is_header(block)) else {
            self.result = EntriesResult::Broken;
            self.state = State::Over;
            return;
        };
        let flag = block.get(156).copied().unwrap_or_default();
        let padded = size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64);
        if matches!(flag, b'L' | b'x') {
            let size = usize::try_from(size).unwrap_or(MAX_EXTENDED).min(MAX_EXTENDED);
            self.state = State::Extended { flag, left: padded, size, text: Vec::new() };
        } else {
            self.entry(block, flag, size);
            // Links and devices have no content, whatever their size says.
            self.state = State::Skip(if matches!(flag, b'1'..=b'6') { 0 } else { padded });
        }
        self.advance();
    }

    fn entry(&mut self, block: &[u8], flag: u8, size: u64) {
        let name = self.long_name.take().unwrap_or_else(|| name_of(block));
        if matches!(flag, b'5' | b'g' | b'K') {
            return;
        }
        if self.findings.len() == MAX_ENTRIES {
            self.result = EntriesResult::Truncated;
            self.state = State::Over;
            return;
        }
        self.findings.push(Entry::new(&name, size));
    }

    pub(super) fn finish(self) -> Findings {
        // An archive without its end may have lost entries. Many end without the blocks of zeros, though, just behind one.
        let ends_cleanly =
            matches!(self.state, State::Header) && self.block.is_empty() && !self.findings.is_empty();
        let result = match self.result {
            EntriesResult::NotArchive if ends_cleanly => EntriesResult::Complete,
            EntriesResult::NotArchive => EntriesResult::Broken,
            result => result,
        };
        Findings { entries: self.findings, result, ..Findings::default() }
    }
}

/// Whether `block` begins with a header: its checksum says so.
pub(super) fn is_header(block: &[u8]) -> bool {
    let Some(block) = block.get(..BLOCK) else { return false };
    let sum: u64 = block
        .iter()
        .enumerate()
        .map(|(at, &octet)| if (148..156).contains(&at) { u64::from(b' ') } else { u64::from(octet) })
        .sum();
    block.first() != Some(&0) && number(field(block, 148, 8)) == Some(sum)
}

/// As much of `octets` as belongs to what is left.
fn take<'o>(left: &mut u64, octets: &'o [u8]) -> &'o [u8] {
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(octets.len());
    *left -= taken as u64;
    octets.get(..taken).unwrap_or_default()
}

fn field(block: &[u8], start: usize, length: usize) -> &[u8] {
    block.get(start..start + length).unwrap_or_default()
}

/// A number in octal digits, or in GNU's binary form; nothing is 0.
fn number(field: &[u8]) -> Option<u64> {
    if let [0x80, rest @ ..] = field {
        return Some(rest.iter().fold(0_u64, |sum, &octet| (sum << 8) | u64::from(octet)));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches(|c: char| c == '\0' || c == ' ');
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

fn name_of(block: &[u8]) -> String {
    let text = |field: &[u8]| {
        let end = memchr::memchr(0, field).unwrap_or(field.len());
        String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
    };
    let (name, prefix) = (text(field(block, 0, 100)), text(field(block, 345, 155)));
    let is_ustar = field(block, 257, 6) == b"ustar\0";
    if is_ustar && !prefix.is_empty() { format!("{prefix}/{name}") } else { name }
}

/// The name in GNU's long name, or in a pax record `LENGTH path=NAME`.
fn extended_name(flag: u8, text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    if flag == b'L' {
        return Some(text.trim_end_matches('\0').to_owned());
    }
    let mut path = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(_, record)| record.strip_prefix("path="));
    path.next_back().map(str::to_owned)
}
