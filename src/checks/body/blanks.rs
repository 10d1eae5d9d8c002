//! White space by the relaxed rules (RFC 6376 3.4.4): none at the end of a line, a single space elsewhere.
//!
//! Every block of a body takes the same few steps, with no branch that depends on its bytes but whether all of them stay, so that
//! nobody can write a body that is slow to reduce.

use std::fmt;
use std::mem;

/// Bytes that are looked at together.
const BLOCK: usize = 64;
/// What decides about a blank: the two bytes behind it.
const AHEAD: usize = 2;
/// About how much is collected before it is handed on.
const ROOM: usize = 4096;

/// Reduces the white space of a body that comes in pieces.
///
/// Of every run of blanks the last one stays, as a space, unless a line end or the end of the body follows.
#[derive(Clone)]
pub(super) struct Blanks {
    /// What stays; a block fits behind it whenever one is looked at.
    reduced: Box<[u8; ROOM + BLOCK]>,
    length: usize,
    held: Held,
}

/// The end of a piece, on which the next one decides.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Held {
    #[default]
    Nothing,
    Blank,
    /// A blank with a CR behind it.
    BlankCr,
}

impl fmt::Debug for Blanks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blanks").field("held", &self.held).finish_non_exhaustive()
    }
}

impl Blanks {
    /// Before the first byte of a body.
    pub(super) fn new() -> Self {
        Self { reduced: Box::new([0; ROOM + BLOCK]), length: 0, held: Held::Nothing }
    }

    /// Takes the next bytes of the body, and gives `next` what stays of them, some KiB at a time.
    pub(super) fn write(&mut self, bytes: &[u8], mut next: impl FnMut(&[u8])) {
        let Some(first) = bytes.first() else { return };
        let settled = self.settle(*first, bytes.get(1));
        next(settled.kept);
        let mut rest = if settled.goes_on { self.hold(bytes) } else { b"" };
        while let Some(block) = rest.first_chunk() {
            self.reduce(block, &mut next);
            rest = rest.get(BLOCK..).unwrap_or_default();
        }
        while !rest.is_empty() {
            // Blanks behind the end stay no more than those in front of them, for which the one that is held stands.
            let mut block = [b' '; BLOCK + AHEAD];
            block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.reduce(&block, &mut next);
            rest = rest.get(BLOCK..).unwrap_or_default();
        }
        self.pass_on(&mut next);
    }

    /// What is left at the end of the body.
    pub(super) const fn finish(&self) -> &'static [u8] {
        match self.held {
            Held::Nothing | Held::Blank => b"",
            Held::BlankCr => b" \r",
        }
    }

    /// Decides on what was held, when `first` and perhaps a `second` byte follow.
    fn settle(&mut self, first: u8, second: Option<&u8>) -> Settled {
        let kept: &[u8] = match (mem::take(&mut self.held), first, second) {
            (Held::Blank, b'\r', None) => {
                self.held = Held::BlankCr;
                return Settled { kept: b"", goes_on: false };
            }
            (Held::Nothing, ..) | (Held::Blank, b' ' | b'\t', _) | (Held::Blank, b'\r', Some(b'\n')) => b"",
            (Held::Blank, ..) => b" ",
            (Held::BlankCr, b'\n', _) => b"\r",
            (Held::BlankCr, ..) => b" \r",
        };
        Settled { kept, goes_on: true }
    }

    /// The bytes without a CR on which, as on the blank in front of it, the next piece decides.
    fn hold<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        match bytes {
            [decided @ .., b'\r'] if decided.last().is_some_and(|last| is_blank(*last)) => {
                self.held = Held::BlankCr;
                decided
            }
            [.., b' ' | b'\t'] => {
                self.held = Held::Blank;
                bytes
            }
            _ => bytes,
        }
    }

    /// Takes the first bytes of `block`; the last ones only decide.
    fn reduce(&mut self, block: &[u8; BLOCK + AHEAD], next: &mut impl FnMut(&[u8])) {
        let (mut texts, mut stays) = ([0; BLOCK], [0; BLOCK]);
        let (_, behind) = block.split_at(1);
        let (_, second) = block.split_at(2);
        let bytes = block.iter().zip(behind).zip(second);
        // `&` and `|`, not `&&` and `||`: this way the compiler takes many bytes at once.
        for ((text, stays), ((&byte, &behind), &second)) in texts.iter_mut().zip(&mut stays).zip(bytes) {
            let goes_on = is_blank(behind) | ((behind == b'\r') & (second == b'\n'));
            *stays = u8::from(!(is_blank(byte) & goes_on));
            *text = if byte == b'\t' { b' ' } else { byte };
        }
        if self.length > ROOM {
            self.pass_on(next);
        }
        let room = self.reduced.get_mut(self.length..).and_then(<[u8]>::first_chunk_mut);
        self.length += room.map_or(0, |room| squeeze(room, &texts, &stays));
    }

    fn pass_on(&mut self, next: &mut impl FnMut(&[u8])) {
        next(self.reduced.get(..self.length).unwrap_or_default());
        self.length = 0;
    }
}

/// What became of the bytes that were held.
struct Settled {
    kept: &'static [u8],
    /// Whether the piece that follows is still to be looked at.
    goes_on: bool,
}

const fn is_blank(byte: u8) -> bool {
    (byte == b' ') | (byte == b'\t')
}

/// Writes those of `texts` that stay to the front of `room`, and says how many they are.
fn squeeze(room: &mut [u8; BLOCK], texts: &[u8; BLOCK], stays: &[u8; BLOCK]) -> usize {
    if stays.iter().fold(1, |all, stays| all & stays) == 1 {
        *room = *texts;
        return BLOCK;
    }
    let mut length = 0;
    for (text, stays) in texts.iter().zip(stays) {
        if let Some(to) = room.get_mut(length) {
            *to = *text;
        }
        length += usize::from(*stays);
    }
    length
}
