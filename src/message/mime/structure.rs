//! The structure of a message: its header, boundaries, and where parts begin and end (RFC 2046 5.1).

use super::fields::Head;
use super::inspect::{Budget, Leaf};
use super::{Contents, MAX_DEPTH, MAX_PARTS, Part, extension};
use crate::message::header::Header;

/// A line is looked at in pieces of at most so many octets; longer ones are no boundaries.
const MAX_LINE: usize = 8 * 1024;
/// Octets of one part's header that are read.
const MAX_FIELDS: usize = 64 * 1024;

/// Reads a message piece by piece.
#[derive(Debug)]
pub struct Scanner {
    contents: Contents,
    frames: Vec<Frame>,
    state: State,
    budget: Budget,
    /// The beginning of a line that is not all there.
    line: Vec<u8>,
    /// Whether `line`, or what comes next, is the beginning of a line.
    at_line_start: bool,
    /// Octets of the body that went by.
    passed: u64,
}

/// What the octets at hand belong to.
#[derive(Debug)]
enum State {
    /// The header of a part, read so far.
    Fields(Vec<u8>),
    /// The content of a part.
    Leaf(Box<Leaf>),
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

impl Scanner {
    /// For the message with this header; its body is what comes next.
    pub fn new(header: &Header) -> Self {
        let mut scanner = Self {
            contents: Contents::default(),
            frames: Vec::new(),
            state: State::Unseen,
            budget: Budget::default(),
            line: Vec::new(),
            at_line_start: true,
            passed: 0,
        };
        let values = |name: &str| header.named(name).map(|field| field.unfolded_bytes()).collect();
        scanner.begin(Head::of(values));
        scanner
    }

    /// Takes the next octets of the body.
    pub fn push(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let room = MAX_LINE - self.line.len();
            let end = memchr::memchr(b'\n', octets).map_or(octets.len(), |at| at + 1).min(room);
            let (piece, rest) = octets.split_at(end);
            octets = rest;
            let is_whole = piece.ends_with(b"\n") || end == room;
            match (self.line.is_empty(), is_whole) {
                (true, true) => self.piece(piece),
                (_, false) => self.line.extend_from_slice(piece),
                (false, true) => {
                    let mut line = std::mem::take(&mut self.line);
                    line.extend_from_slice(piece);
                    self.piece(&line);
                    line.clear();
                    self.line = line;
                }
            }
        }
    }

    /// The message is over.
    pub fn finish(mut self) -> Contents {
        let rest = std::mem::take(&mut self.line);
        self.piece(&rest);
        if let State::Fields(lines) = &self.state {
            let head = Head::read(lines);
            self.begin(head);
        }
        self.end_leaf(true);
        self.leave(0);
        self.contents.urls = self.budget.take_urls();
        self.contents.urls_truncated = self.budget.is_out_of_urls();
        self.contents
    }

    /// A line with its end, or a piece of a line that is too long.
    fn piece(&mut self, piece: &[u8]) {
        let starts = std::mem::replace(&mut self.at_line_start, piece.ends_with(b"\n"));
        if starts
            && piece.starts_with(b"--")
            && let Some((frame, is_last)) = self.boundary(piece)
        {
            self.cross(frame, is_last);
        } else {
            self.content(starts, piece);
        }
        self.passed += piece.len() as u64;
    }

    fn content(&mut self, starts: bool, piece: &[u8]) {
        match &mut self.state {
            State::Unseen => {}
            State::Leaf(leaf) => leaf.write(piece, &mut self.budget),
            State::Fields(lines) if starts && piece.trim_ascii().is_empty() => {
                let head = Head::read(lines);
                self.begin(head);
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
    fn cross(&mut self, frame: usize, is_last: bool) {
        self.end_leaf(false);
        self.leave(if is_last { frame } else { frame + 1 });
        self.state = if is_last { State::Unseen } else { State::Fields(Vec::new()) };
    }

    /// Leaves all frames but the outermost `kept`.
    fn leave(&mut self, kept: usize) {
        for frame in self.frames.drain(kept.min(self.frames.len())..) {
            if let Frame::Message { part, began } = frame
                && let Some(part) = self.contents.parts.get_mut(part)
            {
                part.size = self.passed - began;
            }
        }
    }

    /// A part's header is over, and its content begins.
    fn begin(&mut self, head: Head) {
        self.state = State::Unseen;
        let (is_deep, is_many) = (self.frames.len() >= MAX_DEPTH, self.contents.parts.len() >= MAX_PARTS);
        let holds_parts = head.content_type.starts_with("multipart/") && !head.boundary.is_empty();
        let is_message = matches!(head.content_type.as_str(), "message/rfc822" | "message/global");
        if holds_parts && !is_deep {
            return self.frames.push(Frame::Multipart { boundary: head.boundary });
        }
        let is_hidden = head.names.more || head.encodings_differ;
        self.contents.truncated |= is_many || is_hidden || (is_deep && (holds_parts || is_message));
        if is_many {
            return;
        }
        if is_message && head.transfer.is_identity() && !is_deep {
            self.frames.push(Frame::Message { part: self.contents.parts.len(), began: self.passed });
            self.contents.parts.push(part_of(head).0);
            self.state = State::Fields(Vec::new());
            return;
        }
        let (part, transfer) = part_of(head);
        self.state = State::Leaf(Box::new(Leaf::new(part, transfer)));
    }

    /// The content of a part is over; `at_end` of the message, and not at a boundary, to which the last line end belongs.
    fn end_leaf(&mut self, at_end: bool) {
        if let State::Leaf(leaf) = std::mem::replace(&mut self.state, State::Unseen) {
            self.contents.parts.push(leaf.finish(at_end, &mut self.budget));
            let room = MAX_PARTS.saturating_sub(self.contents.parts.len());
            let inside = std::mem::take(&mut self.budget.inside);
            self.contents.truncated |= inside.len() > room;
            self.contents.parts.extend(inside.into_iter().take(room));
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

fn part_of(head: Head) -> (Part, super::transfer::Transfer) {
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
