//! The body behind DATA: where it ends, and its dots (RFC 5321 4.1.1.4, 4.5.2).

use memchr::memmem;

use super::reply::{Code, EnhancedCode, Reply};

/// Takes a message from a stream of bytes, without the dots that were added for transparency.
///
/// **Invariant: CRLF, dot, CRLF is the only end**, and a bare CR, a bare LF or a NUL is an error, so that no receiver behind us can see
/// an end that we did not see. It is a machine of states, not a scan of buffers: the same bytes give the same message and the same verdict
/// however they were cut into segments.
///
/// # Line ends that are normalised
///
/// With [`LineEnds::Normalise`] a bare CR and a bare LF become CRLF, each for itself, before anybody else sees the message. What
/// ends a message stays the same five octets *as they came over the wire*: CRLF, dot, CRLF. A lone dot between any other line ends
/// is a line of the message, and stays there as a dot.
///
/// Why not take LF, dot, LF for an end as well, as the client's own lines would suggest? Whoever may send through that client
/// chooses what its messages say. A relay that knows CRLF alone passes `LF . LF` on as text, dots and all, and the octets behind
/// it would be commands here: smuggling, with our help. With the five octets alone, we end a message where a strict client ended it.
/// A client that does end its messages with bare LFs is left waiting and hears 421, and its mail stays with it.
///
/// The upstream cannot see another end than we did: it gets the normalised message, in which every line ends with CRLF, and whose
/// lone dots the [`DotStuffer`] doubles. Dots are unstuffed behind any line end, since to such a client each of them is one.
#[derive(Debug)]
pub struct DataDecoder {
    state: State,
    line_ends: LineEnds,
    limit: u64,
    /// Octets of the message so far, without added dots.
    size: u64,
    /// Octets taken from the wire so far.
    taken: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Before the first octet of a line.
    LineStart,
    /// Behind a dot that begins a line.
    Dot,
    /// Behind a dot and a CR that begin a line.
    DotCr,
    /// Before the first octet of a line whose CRLF is of our making.
    LooseStart,
    /// Behind a dot that begins such a line.
    LooseDot,
    /// Inside a line.
    Text,
    /// Behind a CR inside a line, which was taken and not given away yet.
    Cr,
    /// Behind the end of the message.
    Ended,
    /// Behind an error.
    Failed,
}

/// What a CR or an LF on its own is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LineEnds {
    /// An error, which ends the session.
    #[default]
    Strict,
    /// A line end, made a CRLF; for clients that the operator named.
    Normalise,
}

/// What a [`DataDecoder`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event<'a> {
    /// The next bytes of the message, never empty.
    Bytes(&'a [u8]),
    /// The message is complete. What stands behind it in the input is the client's next command.
    End {
        /// Octets of the whole message, those beyond the limit included, added dots not.
        size: u64,
        /// Whether it was larger than the limit; its [`Event::Bytes`] ended there.
        too_large: bool,
    },
}

/// What may not be in a message: the client's fault, always. Offsets count the octets behind DATA's CRLF as they came over the wire,
/// from 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DataError {
    /// A CR without its LF.
    #[error("bare CR in the message at octet {offset}")]
    BareCr {
        /// Where it stands.
        offset: u64,
    },
    /// An LF without its CR.
    #[error("bare LF in the message at octet {offset}")]
    BareLf {
        /// Where it stands.
        offset: u64,
    },
    /// A NUL octet.
    #[error("NUL in the message at octet {offset}")]
    Nul {
        /// Where it stands.
        offset: u64,
    },
}

impl DataDecoder {
    /// A decoder that gives away at most `limit` octets. A larger message is read to its end all the same, since what is left of it
    /// would otherwise be taken for commands.
    pub const fn new(limit: u64) -> Self {
        Self::with_line_ends(limit, LineEnds::Strict)
    }

    /// The same, for a client whose line ends are as said.
    pub const fn with_line_ends(limit: u64, line_ends: LineEnds) -> Self {
        Self { state: State::LineStart, line_ends, limit, size: 0, taken: 0 }
    }

    /// Takes the next event from the front of `input`; `None` when all of it was taken.
    ///
    /// After [`Event::End`] nothing more is taken. After an error everything is taken and nothing comes of it: the session closes.
    pub fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Option<Result<Event<'a>, DataError>> {
        while let Some(&next) = input.first() {
            let found = match (self.state, next) {
                (State::LineStart, b'.') => self.advance(input, State::Dot),
                (State::Dot, b'\r') => self.advance(input, State::DotCr),
                (State::LooseStart, b'.') => self.advance(input, State::LooseDot),
                (State::Dot, b'\n') | (State::LooseDot, b'\r' | b'\n') => self.lone_dot(),
                (State::LineStart | State::Dot | State::LooseStart | State::LooseDot, _) => {
                    self.enter(State::Text)
                }
                (State::DotCr, b'\n') => self.end(input),
                (State::Cr, b'\n') => self.end_line(input),
                (State::DotCr | State::Cr, _) => self.bare_cr_before(),
                (State::Text, _) => self.text(input),
                (State::Ended, _) => return None,
                (State::Failed, _) => {
                    *input = &[];
                    None
                }
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Whether the message has passed the limit already: nothing more of it will be given away.
    pub const fn is_too_large(&self) -> bool {
        self.size > self.limit
    }

    fn text<'a>(&mut self, input: &mut &'a [u8]) -> Option<Result<Event<'a>, DataError>> {
        let (length, stop) = text_run(input);
        match stop {
            Stop::Bad(bad) if length == 0 => return self.odd(bad, input),
            Stop::Bad(_) | Stop::Input => {}
            Stop::LineStart => self.state = State::LineStart,
            Stop::Cr => self.state = State::Cr,
        }
        let bytes = self.take(input, length);
        if stop == Stop::Cr {
            self.take(input, 1);
        }
        self.give(bytes)
    }

    /// An octet that may not be there, or is a line end from this client.
    fn odd<'a>(&mut self, bad: Bad, input: &mut &'a [u8]) -> Option<Result<Event<'a>, DataError>> {
        if self.line_ends == LineEnds::Strict || bad == Bad::Nul {
            return Some(Err(self.fail(bad, self.taken)));
        }
        self.take(input, 1);
        self.state = State::LooseStart;
        self.give(b"\r\n")
    }

    /// A CR was taken, and no LF follows it.
    fn bare_cr_before<'a>(&mut self) -> Option<Result<Event<'a>, DataError>> {
        if self.line_ends == LineEnds::Strict {
            return Some(Err(self.fail(Bad::Cr, self.taken.saturating_sub(1))));
        }
        let line: &[u8] = if self.state == State::DotCr { b".\r\n" } else { b"\r\n" };
        self.state = State::LooseStart;
        self.give(line)
    }

    /// A dot on a line of its own which is no end: a line of the message. In a strict message its line end is the next octet's error.
    fn lone_dot<'a>(&mut self) -> Option<Result<Event<'a>, DataError>> {
        self.state = State::Text;
        match self.line_ends {
            LineEnds::Strict => None,
            LineEnds::Normalise => self.give(b"."),
        }
    }

    /// What of `bytes` lies within the limit.
    fn give<'a>(&mut self, bytes: &'a [u8]) -> Option<Result<Event<'a>, DataError>> {
        let room = usize::try_from(self.limit.saturating_sub(self.size)).unwrap_or(usize::MAX);
        self.size = self.size.saturating_add(bytes.len() as u64);
        let given = bytes.get(..room).unwrap_or(bytes);
        if given.is_empty() { None } else { Some(Ok(Event::Bytes(given))) }
    }

    /// The CR of this CRLF came with an earlier segment, so that both are given from here.
    fn end_line<'a>(&mut self, input: &mut &'a [u8]) -> Option<Result<Event<'a>, DataError>> {
        self.take(input, 1);
        self.state = State::LineStart;
        self.give(b"\r\n")
    }

    fn end<'a>(&mut self, input: &mut &'a [u8]) -> Option<Result<Event<'a>, DataError>> {
        self.take(input, 1);
        self.state = State::Ended;
        Some(Ok(Event::End { size: self.size, too_large: self.is_too_large() }))
    }

    fn advance<'a>(&mut self, input: &mut &'a [u8], state: State) -> Option<Result<Event<'a>, DataError>> {
        self.take(input, 1);
        self.enter(state)
    }

    const fn enter<'a>(&mut self, state: State) -> Option<Result<Event<'a>, DataError>> {
        self.state = state;
        None
    }

    const fn fail(&mut self, bad: Bad, offset: u64) -> DataError {
        self.state = State::Failed;
        match bad {
            Bad::Cr => DataError::BareCr { offset },
            Bad::Lf => DataError::BareLf { offset },
            Bad::Nul => DataError::Nul { offset },
        }
    }

    fn take<'a>(&mut self, input: &mut &'a [u8], count: usize) -> &'a [u8] {
        let taken = input.split_off(..count).unwrap_or_default();
        self.taken = self.taken.saturating_add(taken.len() as u64);
        taken
    }
}

impl DataError {
    /// A stable name for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BareCr { .. } => "bare-cr",
            Self::BareLf { .. } => "bare-lf",
            Self::Nul { .. } => "nul",
        }
    }

    /// What the client hears before the connection closes: 550 5.5.2.
    pub fn reply(self) -> Reply {
        Reply::new(Code::literal::<550>(), Some(EnhancedCode::new(5, 5, 2)), &self.to_string())
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Bad {
    Cr,
    Lf,
    Nul,
}

/// Why a run of text ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    /// The input ends inside a line.
    Input,
    /// The next line begins with a dot, or with the next input.
    LineStart,
    /// The input ends with a CR.
    Cr,
    /// The next octet may not be there.
    Bad(Bad),
}

/// How many octets from the front of `bytes`, which is inside a line, go into the message as they are. A run goes over line ends, so
/// that a large message comes in slices of segment size, not of line size.
fn text_run(bytes: &[u8]) -> (usize, Stop) {
    let mut rest = bytes;
    while let Some(at) = memchr::memchr3(b'\r', b'\n', 0, rest) {
        let odd = rest.get(at..).unwrap_or_default();
        let length = bytes.len().saturating_sub(odd.len());
        match odd {
            [b'\r', b'\n'] | [b'\r', b'\n', b'.', ..] => return (length.saturating_add(2), Stop::LineStart),
            [b'\r', b'\n', next @ ..] => rest = next,
            [b'\r'] => return (length, Stop::Cr),
            [b'\r', ..] => return (length, Stop::Bad(Bad::Cr)),
            [b'\n', ..] => return (length, Stop::Bad(Bad::Lf)),
            _ => return (length, Stop::Bad(Bad::Nul)),
        }
    }
    (bytes.len(), Stop::Input)
}

/// Makes a message fit to follow DATA: doubles each dot that begins a line, and ends it (RFC 5321 4.5.2).
///
/// Only CRLF begins a line here too: the message is one that a [`DataDecoder`] has let through.
#[derive(Debug)]
pub struct DotStuffer {
    tail: Tail,
}

/// How the message so far ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tail {
    /// With CRLF, or it has not begun.
    LineEnd,
    /// With a CR.
    Cr,
    /// With anything else.
    Text,
}

impl DotStuffer {
    /// A stuffer before the first octet of a message.
    pub const fn new() -> Self {
        Self { tail: Tail::LineEnd }
    }

    /// Appends `chunk`, the next piece of the message, to `out` as it goes over the wire. Pieces may be of any size.
    pub fn stuff(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let rest = self.stuff_seam(chunk, out);
        let mut copied = 0;
        for at in memmem::find_iter(rest, b"\r\n.") {
            let line_start = at.saturating_add(2);
            out.extend_from_slice(rest.get(copied..line_start).unwrap_or_default());
            out.push(b'.');
            copied = line_start;
        }
        out.extend_from_slice(rest.get(copied..).unwrap_or_default());
        self.tail = self.tail.behind(chunk);
    }

    /// Appends what ends the message: its last CRLF if it has none, and the dot on a line of its own.
    pub fn finish(self, out: &mut Vec<u8>) {
        if self.tail != Tail::LineEnd {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }

    /// Does what the search for CRLF and dot cannot see because the three were cut apart; gives back what is left to search.
    fn stuff_seam<'a>(&self, chunk: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        match (self.tail, chunk) {
            (Tail::LineEnd, [b'.', ..]) => {
                out.push(b'.');
                chunk
            }
            (Tail::Cr, [b'\n', rest @ ..]) if rest.starts_with(b".") => {
                out.extend_from_slice(b"\n.");
                rest
            }
            _ => chunk,
        }
    }
}

impl Default for DotStuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl Tail {
    const fn behind(self, chunk: &[u8]) -> Self {
        match (self, chunk) {
            (tail, []) => tail,
            (Self::Cr, [b'\n']) | (_, [.., b'\r', b'\n']) => Self::LineEnd,
            (_, [.., b'\r']) => Self::Cr,
            _ => Self::Text,
        }
    }
}

#[cfg(test)]
mod tests;
