//! The structure of a message: its header, boundaries, and where parts begin and end (RFC 2046 5.1).

use super::fields::Head;
use super::inspect::{Budget, Leaf};
use super::transfer::{Encoding, Transfer};
use super::{Contents, MAX_DEPTH, MAX_ENCODED, MAX_PARTS, Part, extension};
use crate::message::header::Header;

/// A line is looked at in pieces of at most so many octets; longer ones are no boundaries.
const MAX_LINE: usize = 8 * 1024;
/// Octets of one part's header that are read.
const MAX_FIELDS: usize = 64 * 1024;

/// Reads a message piece by piece.
#[derive(Debug)]
pub struct Scanner {
    reader: Reader,
    tally: Tally,
}

/// What has been found so far, and what more may cost.
#[derive(Debug, Default)]
struct Tally {
    contents: Contents,
    budget: Budget,
}

/// Where in the lines of a message we are.
#[derive(Debug)]
struct Reader {
    frames: Vec<Frame>,
    state: State,
    /// The beginning of a line that is not all there.
    line: Vec<u8>,
    /// Whether `line`, or what comes next, is the beginning of a line.
    at_line_start: bool,
    /// Octets of the body that went by.
    passed: u64,
    outside: Outside,
}

/// What a message is in.
#[derive(Clone, Copy, Debug, Default)]
struct Outside {
    /// Frames.
    depth: usize,
    /// Messages that are encoded as a whole.
    encoded: usize,
}

/// What the octets at hand belong to.
#[derive(Debug)]
enum State {
    /// The header of a part, read so far.
    Fields(Vec<u8>),
    /// The content of a part.
    Leaf(Box<Leaf>),
    /// A message in an encoding, which mail programs undo whatever RFC 2046 5.2.1 says.
    Encoded(Box<Encoded>),
    /// What nobody sees: preambles and epilogues.
    Unseen,
}

/// Something that parts are in.
#[derive(Debug)]
enum Frame {
    Multipart {
        boundary: Vec<u8>,
    },
    /// A message in a message: the index of its part, and what had passed when it began.
    Message {
        part: usize,
        began: u64,
    },
}

/// A message that is encoded as a whole.
#[derive(Debug)]
struct Encoded {
    /// The index of its part.
    part: usize,
    encoding: Encoding,
    /// It may be no message at all, but a file with this name.
    file: Leaf,
    reader: Reader,
}

impl Scanner {
    /// For the message with this header; its body is what comes next.
    pub fn new(header: &Header) -> Self {
        let mut scanner = Self { reader: Reader::new(Outside::default()), tally: Tally::default() };
        let values = |name: &str| header.named(name).map(|field| field.unfolded_bytes()).collect();
        scanner.reader.begin(Head::of(values), &mut scanner.tally);
        scanner
    }

    /// Takes the next octets of the body.
    pub fn push(&mut self, octets: &[u8]) {
        self.reader.push(octets, &mut self.tally);
    }

    /// The message is over.
    pub fn finish(mut self) -> Contents {
        self.reader.finish(&mut self.tally);
        let Tally { mut contents, mut budget } = self.tally;
        contents.urls = budget.take_urls();
        contents.urls_truncated = budget.is_out_of_urls();
        contents
    }
}

impl Reader {
    const fn new(outside: Outside) -> Self {
        Self {
            frames: Vec::new(),
            state: State::Unseen,
            line: Vec::new(),
            at_line_start: true,
            passed: 0,
            outside,
        }
    }

    fn push(&mut self, mut octets: &[u8], tally: &mut Tally) {
        while !octets.is_empty() {
            let room = MAX_LINE - self.line.len();
            let end = memchr::memchr(b'\n', octets).map_or(octets.len(), |at| at + 1).min(room);
            let (piece, rest) = octets.split_at(end);
            octets = rest;
            let is_whole = piece.ends_with(b"\n") || end == room;
            match (self.line.is_empty(), is_whole) {
                (true, true) => self.piece(piece, tally),
                (_, false) => self.line.extend_from_slice(piece),
                (false, true) => {
                    let mut line = std::mem::take(&mut self.line);
                    line.extend_from_slice(piece);
                    self.piece(&line, tally);
                    line.clear();
                    self.line = line;
                }
            }
        }
    }

    fn finish(&mut self, tally: &mut Tally) {
        let rest = std::mem::take(&mut self.line);
        self.piece(&rest, tally);
        if let State::Fields(lines) = &self.state {
            let head = Head::read(lines);
            self.begin(head, tally);
        }
        self.end_content(true, tally);
        self.leave(0, tally);
    }

    /// A line with its end, or a piece of a line that is too long.
    fn piece(&mut self, piece: &[u8], tally: &mut Tally) {
        let starts = std::mem::replace(&mut self.at_line_start, piece.ends_with(b"\n"));
        if starts
            && piece.starts_with(b"--")
            && let Some((frame, is_last)) = self.boundary(piece)
        {
            self.cross(frame, is_last, tally);
        } else {
            self.content(starts, piece, tally);
        }
        self.passed += piece.len() as u64;
    }

    fn content(&mut self, starts: bool, piece: &[u8], tally: &mut Tally) {
        match &mut self.state {
            State::Unseen => {}
            State::Leaf(leaf) => leaf.write(piece, &mut tally.budget),
            State::Encoded(encoded) => encoded.write(piece, tally),
            State::Fields(lines) if starts && piece.trim_ascii().is_empty() => {
                let head = Head::read(lines);
                self.begin(head, tally);
            }
            State::Fields(lines) => {
                let room = MAX_FIELDS.saturating_sub(lines.len());
                lines.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
            }
        }
    }

    /// The frame whose boundary this line is, the innermost first, and whether it is the last one.
    fn boundary(&self, line: &[u8]) -> Option<(usize, bool)> {
        let line = line.trim_ascii_end().strip_prefix(b"--")?;
        let frames = self.frames.iter().enumerate().rev();
        frames.filter_map(|(index, frame)| Some((index, frame.is_met_by(line)?))).next()
    }

    /// A boundary of `frames[frame]`: everything inside it is over.
    fn cross(&mut self, frame: usize, is_last: bool, tally: &mut Tally) {
        self.end_content(false, tally);
        self.leave(if is_last { frame } else { frame + 1 }, tally);
        self.state = if is_last { State::Unseen } else { State::Fields(Vec::new()) };
    }

    /// Leaves all frames but the outermost `kept`.
    fn leave(&mut self, kept: usize, tally: &mut Tally) {
        for frame in self.frames.drain(kept.min(self.frames.len())..) {
            if let Frame::Message { part, began } = frame
                && let Some(part) = tally.contents.parts.get_mut(part)
            {
                part.size = self.passed - began;
            }
        }
    }

    /// A part's header is over, and its content begins.
    fn begin(&mut self, head: Head, tally: &mut Tally) {
        self.state = State::Unseen;
        let contents = &mut tally.contents;
        let holds_parts = head.content_type.starts_with("multipart/") && !head.boundary.is_empty();
        let is_message = matches!(head.content_type.as_str(), "message/rfc822" | "message/global");
        let is_encoded = is_message && !head.transfer.is_identity();
        let is_deep = self.outside.depth + self.frames.len() >= MAX_DEPTH
            || (is_encoded && self.outside.encoded >= MAX_ENCODED);
        if holds_parts && !is_deep {
            return self.frames.push(Frame::Multipart { boundary: head.boundary });
        }
        let (is_many, is_hidden) =
            (contents.parts.len() >= MAX_PARTS, head.names.more || head.encodings_differ);
        contents.truncated |= is_many || is_hidden || (is_deep && (holds_parts || is_message));
        if is_many {
            return;
        }
        let (part, transfer) = part_of(head);
        if is_message && !is_deep {
            self.open(contents.parts.len(), &part, transfer);
            return contents.parts.push(part);
        }
        self.state = State::Leaf(Box::new(Leaf::new(part, transfer)));
    }

    /// The message that will be the part of this index begins.
    fn open(&mut self, index: usize, part: &Part, transfer: Transfer) {
        if transfer.is_identity() {
            self.frames.push(Frame::Message { part: index, began: self.passed });
            self.state = State::Fields(Vec::new());
            return;
        }
        let Outside { depth, encoded } = self.outside;
        let outside = Outside { depth: depth + self.frames.len() + 1, encoded: encoded + 1 };
        self.state = State::Encoded(Box::new(Encoded::new(index, part, transfer, outside)));
    }

    /// The content of a part is over; `at_end` of the message, and not at a boundary, to which the last line end belongs.
    fn end_content(&mut self, at_end: bool, tally: &mut Tally) {
        match std::mem::replace(&mut self.state, State::Unseen) {
            State::Leaf(leaf) => tally.end_leaf(*leaf, at_end),
            State::Encoded(encoded) => encoded.finish(at_end, tally),
            State::Fields(_) | State::Unseen => {}
        }
    }
}

impl Tally {
    fn end_leaf(&mut self, leaf: Leaf, at_end: bool) {
        self.contents.parts.push(leaf.finish(at_end, &mut self.budget));
        let room = MAX_PARTS.saturating_sub(self.contents.parts.len());
        let inside = std::mem::take(&mut self.budget.inside);
        self.contents.truncated |= inside.len() > room;
        self.contents.parts.extend(inside.into_iter().take(room));
    }
}

impl Encoded {
    fn new(index: usize, part: &Part, transfer: Transfer, outside: Outside) -> Self {
        let mut reader = Reader::new(outside);
        reader.state = State::Fields(Vec::new());
        let file = Leaf::new(part.clone(), Transfer::Identity);
        Self { part: index, encoding: Encoding::new(transfer), file, reader }
    }

    /// Takes a line, or a piece of one, as it arrived.
    fn write(&mut self, piece: &[u8], tally: &mut Tally) {
        let mut plain = std::mem::take(&mut tally.budget.scratch);
        self.encoding.decode(piece, &mut plain);
        self.file.take(&plain, &mut tally.budget);
        self.reader.push(&plain, tally);
        plain.clear();
        tally.budget.scratch = plain;
    }

    fn finish(mut self, at_end: bool, tally: &mut Tally) {
        if at_end {
            self.write(b"", tally);
        }
        self.reader.finish(tally);
        if let Some(part) = tally.contents.parts.get_mut(self.part) {
            *part = self.file.finish(false, &mut tally.budget);
        }
    }
}

impl Frame {
    /// Whether `line`, without its `--`, is the boundary, and the last one.
    fn is_met_by(&self, line: &[u8]) -> Option<bool> {
        let Self::Multipart { boundary } = self else { return None };
        let rest = line.strip_prefix(boundary.as_slice())?;
        match rest {
            [] => Some(false),
            [b'-', b'-', ..] => Some(true),
            // Some mail programs look at the beginning of the line only.
            [b' ' | b'\t', ..] => Some(false),
            _ => None,
        }
    }
}

fn part_of(head: Head) -> (Part, Transfer) {
    let is_text = matches!(head.content_type.as_str(), "text/plain" | "text/html");
    let mut names = head.names.all.into_iter();
    let name = names.next().unwrap_or_default();
    let part = Part {
        attached: head.is_attachment || !name.is_empty() || !is_text,
        extension: extension(&name),
        name,
        other_names: names.collect(),
        content_type: head.content_type,
        ..Part::default()
    };
    (part, head.transfer)
}
