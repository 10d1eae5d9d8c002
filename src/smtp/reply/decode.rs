//! How a server's replies are read.

use super::{Code, EnhancedCode, Reply};

/// Octets of one line, CRLF included: four times what RFC 5321 4.5.3.1.5 allows.
const MAX_LINE: usize = 2048;
/// The same for a challenge of AUTH (RFC 4954 4), which is relayed whole.
const MAX_CHALLENGE: usize = super::super::auth::MAX_LINE;
/// With what a challenge begins.
const CHALLENGE: &[u8] = b"334";
/// Lines of one reply.
const MAX_LINES: usize = 128;
/// What is kept of a line's text, so that it makes a line of 512 octets again when it is relayed (RFC 5321 4.5.3.1.5).
pub(super) const MAX_TEXT: usize = 512 - "250 \r\n".len();

/// Takes replies from a stream of bytes.
///
/// It is strict about what decides (code, continuation, line ends) and forgiving about what is only read by people: each octet of the text
/// that is not printable ASCII becomes `?`, but for UTF-8 where it is expected. The same bytes give the same replies however they were cut into segments.
#[derive(Debug, Default)]
pub struct ReplyDecoder {
    /// The line so far; at most [`MAX_LINE`] octets, or [`MAX_CHALLENGE`].
    kept: Vec<u8>,
    /// The lines before it, of one code.
    lines: Vec<String>,
    code: Option<Code>,
    failed: Option<ReplyError>,
    utf8: bool,
}

/// Why bytes are no reply: the server's fault, always. The connection cannot be used any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReplyError {
    /// A line of more than 2048 octets, or a challenge of more than 12288.
    #[error("reply line too long")]
    LineTooLong,
    /// More than 128 lines.
    #[error("reply of more than {MAX_LINES} lines")]
    TooManyLines,
    /// A line that does not end with CRLF, or with something else than a space or a hyphen behind its code.
    #[error("malformed reply line")]
    BadLine,
    /// No three digits, or a code outside 200 to 599 (1yz has no meaning in SMTP, RFC 5321 4.2.1).
    #[error("no valid reply code")]
    BadCode,
    /// The lines of one reply carry different codes.
    #[error("the code changes between the lines of one reply")]
    CodeChanged,
}

impl ReplyDecoder {
    /// Whether text in UTF-8 is kept: only what answers a command of a transaction with SMTPUTF8 may have any (RFC 6531 3.7.4.1).
    pub const fn expect_utf8(&mut self, expected: bool) {
        self.utf8 = expected;
    }

    /// What [`expect_utf8`](Self::expect_utf8) was told last.
    pub const fn expects_utf8(&self) -> bool {
        self.utf8
    }

    /// Takes the next reply from the front of `input`, which keeps what stands behind it; `None` when all of it was taken and no reply is
    /// complete. An error is final: every further call gives it again.
    pub fn decode(&mut self, input: &mut &[u8]) -> Option<Result<Reply, ReplyError>> {
        if let Some(error) = self.failed {
            return Some(Err(error));
        }
        let found = self.read(input).transpose();
        if let Some(Err(error)) = found {
            self.failed = Some(error);
        }
        found
    }

    /// Whether the decoder stands between two replies, none begun and none broken.
    pub const fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.lines.is_empty() && self.failed.is_none()
    }

    fn read(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, ReplyError> {
        while self.take_line(input)? {
            let line = Line::parse(&self.kept)?;
            if self.code.is_some_and(|code| code != line.code) {
                return Err(ReplyError::CodeChanged);
            }
            if self.lines.len() == MAX_LINES {
                return Err(ReplyError::TooManyLines);
            }
            self.code = Some(line.code);
            let most = if line.code.get() == 334 { MAX_CHALLENGE } else { MAX_TEXT };
            self.lines.push(printable(line.text, self.utf8, most));
            let (code, last) = (line.code, line.last);
            self.kept.clear();
            if last {
                self.code = None;
                return Ok(Some(reply(code, std::mem::take(&mut self.lines))));
            }
        }
        Ok(None)
    }

    /// Moves octets of the current line from `input` into `kept`; whether the line is complete.
    fn take_line(&mut self, input: &mut &[u8]) -> Result<bool, ReplyError> {
        let end = memchr::memchr(b'\n', input).map(|at| at.saturating_add(1));
        let line = input.split_off(..end.unwrap_or(input.len())).unwrap_or_default();
        let length = self.kept.len().saturating_add(line.len());
        // The code may come octet by octet; no line is anywhere near the limit by then.
        let challenge = self.kept.iter().chain(line).take(CHALLENGE.len()).eq(CHALLENGE);
        if length > if challenge { MAX_CHALLENGE } else { MAX_LINE } {
            return Err(ReplyError::LineTooLong);
        }
        self.kept.extend_from_slice(line);
        Ok(end.is_some())
    }
}

/// One line of a reply, taken apart.
struct Line<'a> {
    code: Code,
    last: bool,
    text: &'a [u8],
}

impl<'a> Line<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, ReplyError> {
        let line = line.strip_suffix(b"\r\n").ok_or(ReplyError::BadLine)?;
        let (digits, rest) = line.split_first_chunk::<3>().ok_or(ReplyError::BadCode)?;
        let code = code(*digits).ok_or(ReplyError::BadCode)?;
        let (last, text) = match rest {
            // RFC 5321 4.2: a client should take a reply without text too.
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return Err(ReplyError::BadLine),
        };
        Ok(Self { code, last, text })
    }
}

fn code(digits: [u8; 3]) -> Option<Code> {
    let value = std::str::from_utf8(&digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit))?;
    Code::new(value.parse().ok()?)
}

/// The enhanced code leaves the text only when every line has the same, as RFC 2034 3 wants; otherwise the words stay as they came.
fn reply(code: Code, lines: Vec<String>) -> Reply {
    let enhanced = lines.first().and_then(|line| leading_enhanced(code, line));
    if enhanced.is_none() || lines.iter().any(|line| leading_enhanced(code, line) != enhanced) {
        return Reply { code, enhanced: None, lines };
    }
    let lines =
        lines.iter().map(|line| line.split_once(' ').map_or("", |(_, text)| text).to_owned()).collect();
    Reply { code, enhanced, lines }
}

pub(super) fn leading_enhanced(code: Code, line: &str) -> Option<EnhancedCode> {
    let word = line.split(' ').next()?;
    EnhancedCode::parse(word).filter(|enhanced| u16::from(enhanced.class) == code.get() / 100)
}

fn printable(text: &[u8], utf8: bool, most: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        let kept = |c: char| c == ' ' || c.is_ascii_graphic() || (utf8 && is_text_beyond_ascii(c));
        for c in chunk.valid().chars() {
            if kept(c) {
                out.push(c);
            } else {
                out.extend(std::iter::repeat_n('?', c.len_utf8()));
            }
        }
        out.extend(chunk.invalid().iter().map(|_| '?'));
    }
    out.truncate(out.floor_char_boundary(most));
    out
}

fn is_text_beyond_ascii(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && !c.is_whitespace()
}

#[cfg(test)]
mod tests;
