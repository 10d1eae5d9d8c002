//! Lines: how the bytes of a client become commands (RFC 5321 2.3.8, 4.5.3.1.4).

use std::fmt;

use zeroize::Zeroizing;

use super::reply::{Code, EnhancedCode, Reply};

/// How many octets of a bad line are remembered, to know what it was meant to be.
const REMEMBERED: usize = 8;

/// A line that reaches this many octets without an end is no command line of anybody's; see [`LineDecoder::is_flood`].
pub const FLOOD: usize = 2048;

/// Takes command lines from a stream of bytes.
///
/// **Invariant: nothing but CRLF ends a line.** What stands behind a stray CR, LF or NUL belongs to the same bad line and is never
/// taken for a command, whatever a peer's lenient parser would make of it. The same bytes give the same lines and errors however they
/// were cut into segments.
///
/// A line may be a password (RFC 4954): what is kept of it is overwritten before its memory goes, and never shown.
pub struct LineDecoder {
    max: usize,
    state: State,
    /// The octets of the line so far, without its CR; at most `max` of them.
    kept: Zeroizing<Vec<u8>>,
    /// How many octets of the line have been taken, those that were skipped included.
    seen: usize,
    flood: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Inside a line that is good so far, or before its first octet.
    Reading,
    /// As before, and its last octet was a CR.
    ReadingCr,
    /// Inside a line that was reported as bad.
    Skipping,
    /// As before, and its last octet was a CR.
    SkippingCr,
}

/// Why a line is none: the client's fault, always.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LineError {
    /// The line reached the decoder's limit without an end.
    #[error("line too long")]
    TooLong,
    /// A CR without its LF.
    #[error("bare CR in a command")]
    BareCr,
    /// An LF without its CR.
    #[error("bare LF in a command; lines end with CRLF")]
    BareLf,
    /// A NUL octet.
    #[error("NUL in a command")]
    Nul,
}

impl LineDecoder {
    /// A decoder for lines of at most `max` octets, CRLF included. RFC 5321 4.5.3.1.4 has 512, extensions need more for some
    /// commands; the limit of each command is in [`TABLE`](super::command::TABLE), so that [`FLOOD`] is a good hard limit here.
    pub fn new(max: usize) -> Self {
        Self { max, state: State::Reading, kept: Zeroizing::default(), seen: 0, flood: false }
    }

    /// Takes the next line, without its CRLF, from the front of `input`; `None` when all of it was taken and no line is complete.
    ///
    /// A bad line is reported once, as soon as its first bad octet is seen, and the rest of it up to its CRLF is skipped by the
    /// calls that follow.
    pub fn decode(&mut self, input: &mut &[u8]) -> Option<Result<Vec<u8>, LineError>> {
        while let Some(&next) = input.first() {
            let found = match self.state {
                State::Reading => self.read(input),
                State::ReadingCr if next == b'\n' => Some(Ok(self.finish_line(input))),
                State::ReadingCr => Some(Err(self.fail(LineError::BareCr))),
                State::Skipping => self.skip(input),
                State::SkippingCr if next == b'\n' => {
                    self.finish_line(input);
                    None
                }
                State::SkippingCr => {
                    self.state = State::Skipping;
                    None
                }
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Whether a line has reached [`FLOOD`] octets, or the decoder's own limit if that is higher, without an end: the client is not
    /// speaking SMTP, and the session should say 500 and close. Stays true until [`reset`](Self::reset).
    pub const fn is_flood(&self) -> bool {
        self.flood
    }

    /// Whether the bad line that was reported last begins with `word`, of at most 8 octets and in any case.
    pub fn began_with(&self, word: &[u8]) -> bool {
        self.kept.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
    }

    /// Whether the decoder stands between two lines: nothing is kept and nothing is being skipped.
    pub const fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// Forgets everything that was kept, as STARTTLS demands (RFC 3207 4.2).
    pub fn reset(&mut self) {
        *self = Self::new(self.max);
    }

    fn read(&mut self, input: &mut &[u8]) -> Option<Result<Vec<u8>, LineError>> {
        let room = self.max.saturating_sub(self.seen).min(input.len());
        let window = input.get(..room).unwrap_or_default();
        let text = memchr::memchr3(b'\r', b'\n', 0, window).unwrap_or(room);
        let good = self.take(input, text);
        keep(&mut self.kept, good);
        if text == room {
            return self.check_length().map(Err);
        }
        let error = match self.take(input, 1) {
            b"\r" => {
                self.state = State::ReadingCr;
                return self.check_length().map(Err);
            }
            b"\n" => LineError::BareLf,
            _ => LineError::Nul,
        };
        Some(Err(self.fail(error)))
    }

    fn skip(&mut self, input: &mut &[u8]) -> Option<Result<Vec<u8>, LineError>> {
        let text = memchr::memchr(b'\r', input);
        self.take(input, text.map_or(input.len(), |at| at.saturating_add(1)));
        if text.is_some() {
            self.state = State::SkippingCr;
        }
        self.watch_flood();
        None
    }

    /// Reports a line that is full and has no end yet. Its last octet may be the CR of the CRLF that comes too late.
    fn check_length(&mut self) -> Option<LineError> {
        if self.seen < self.max {
            return None;
        }
        let cr = self.state == State::ReadingCr;
        self.watch_flood();
        self.fail(LineError::TooLong);
        if cr {
            self.state = State::SkippingCr;
        }
        Some(LineError::TooLong)
    }

    fn watch_flood(&mut self) {
        self.flood |= self.seen >= self.max.max(FLOOD);
    }

    fn fail(&mut self, error: LineError) -> LineError {
        self.state = State::Skipping;
        // The rest may be a secret.
        let begin: Vec<u8> = self.kept.iter().take(REMEMBERED).copied().collect();
        self.kept = Zeroizing::new(begin);
        error
    }

    fn finish_line(&mut self, input: &mut &[u8]) -> Vec<u8> {
        self.take(input, 1);
        self.state = State::Reading;
        self.seen = 0;
        std::mem::take(&mut *self.kept)
    }

    fn take<'a>(&mut self, input: &mut &'a [u8], count: usize) -> &'a [u8] {
        let taken = input.split_off(..count).unwrap_or_default();
        self.seen = self.seen.saturating_add(taken.len());
        taken
    }
}

/// What is kept is not for anybody's eyes.
impl fmt::Debug for LineDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { max, state, seen, flood, .. } = self;
        f.debug_struct("LineDecoder")
            .field("max", max)
            .field("state", state)
            .field("seen", seen)
            .field("flood", flood)
            .finish_non_exhaustive()
    }
}

/// Appends `more` to `kept`. A vector that grows by itself would leave a copy of what it held behind.
fn keep(kept: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    let needed = kept.len().saturating_add(more.len());
    if needed > kept.capacity() {
        let room = needed.max(kept.capacity().saturating_mul(2));
        let mut larger = Zeroizing::new(Vec::with_capacity(room));
        larger.extend_from_slice(kept);
        *kept = larger;
    }
    kept.extend_from_slice(more);
}

impl LineError {
    /// A stable name for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLong => "line-too-long",
            Self::BareCr => "bare-cr",
            Self::BareLf => "bare-lf",
            Self::Nul => "nul",
        }
    }

    /// What the client hears: 500 5.5.2 (RFC 5321 4.5.3.1.9).
    pub fn reply(self) -> Reply {
        Reply::new(Code::literal::<500>(), Some(EnhancedCode::new(5, 5, 2)), &self.to_string())
    }
}

#[cfg(test)]
mod tests;
