//! Files in texts: uuencode (POSIX `uuencode`), which mail programs undo that are older than MIME, or want to be.
//!
//! ```text
//! begin 644 invoice.exe
//! M35J0``,````$````__\``+@`````````0```
//! `
//! end
//! ```

use super::names::Names;

/// A longer line is none of these.
const MAX_LINE: usize = 512;

/// Reads the lines of a text that comes in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginning of a line that is not all there.
    line: Vec<u8>,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// In the text.
    #[default]
    Outside,
    /// Behind a line that begins a file of this name, if what follows is data.
    Begun(String),
    /// In the file.
    Inside,
}

/// What a text holds.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// A file of this name begins.
    Begin(String),
    /// These are its next octets.
    Data(Vec<u8>),
    /// It is over.
    End,
}

impl Lines {
    /// Takes the next octets of the text, and hands to `found` what they hold.
    pub(super) fn write(&mut self, mut octets: &[u8], mut found: impl FnMut(Found)) {
        while let Some(end) = memchr::memchr(b'\n', octets) {
            let (piece, rest) = octets.split_at(end);
            octets = rest.get(1..).unwrap_or_default();
            if self.line.is_empty() {
                self.line(piece, &mut found);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(piece.get(..piece.len().min(MAX_LINE)).unwrap_or_default());
                self.line(&line, &mut found);
                line.clear();
                self.line = line;
            }
        }
        // One octet more than a line may have tells that it is too long.
        let room = (MAX_LINE + 1).saturating_sub(self.line.len());
        self.line.extend_from_slice(octets.get(..octets.len().min(room)).unwrap_or_default());
    }

    /// The text is over.
    pub(super) fn finish(mut self, mut found: impl FnMut(Found)) {
        let rest = std::mem::take(&mut self.line);
        self.line(&rest, &mut found);
        if matches!(self.state, State::Inside) {
            found(Found::End);
        }
    }

    fn line(&mut self, line: &[u8], found: &mut impl FnMut(Found)) {
        if matches!(self.state, State::Outside) && !line.starts_with(b"begin ") {
            return;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let data = decoded(line);
        self.state = match (std::mem::take(&mut self.state), data) {
            (State::Outside, _) => begun(line).map_or(State::Outside, State::Begun),
            (State::Begun(name), Some(data)) => {
                found(Found::Begin(name));
                found(Found::Data(data));
                State::Inside
            }
            // What only looked like a beginning; another one may follow it.
            (State::Begun(_), None) => begun(line).map_or(State::Outside, State::Begun),
            (State::Inside, Some(data)) => {
                found(Found::Data(data));
                State::Inside
            }
            (State::Inside, None) => {
                found(Found::End);
                begun(line).map_or(State::Outside, State::Begun)
            }
        };
    }
}

/// The name in `begin 644 NAME`; some take `begin  NAME` for the same.
fn begun(line: &[u8]) -> Option<String> {
    let rest = line.get(..line.len().min(MAX_LINE))?.strip_prefix(b"begin ")?;
    let mode = rest.iter().take_while(|octet| (b'0'..=b'7').contains(octet)).count();
    let name = rest.get(mode..)?.strip_prefix(b" ").filter(|_| mode == 0 || (3..=4).contains(&mode))?;
    let mut names = Names::default();
    names.add(&String::from_utf8_lossy(name));
    names.all.pop()
}

/// The octets of a line of data; `None` for any other line, and for the one without octets that ends a file.
fn decoded(line: &[u8]) -> Option<Vec<u8>> {
    let value = |octet: &u8| (0x20..=0x60).contains(octet).then(|| (octet - 0x20) & 0x3f);
    let (length, rest) = line.split_first().filter(|_| line.len() <= MAX_LINE)?;
    let length = usize::from(value(length)?);
    let values: Vec<u8> = rest.iter().map(value).collect::<Option<_>>()?;
    // Some drop blanks at the end, which stand for zero; some add an octet that is a checksum.
    if length == 0 || values.is_empty() || values.len() > length.div_ceil(3) * 4 + 2 {
        return None;
    }
    let mut octets: Vec<u8> = values.chunks(4).flat_map(group).collect();
    octets.resize(length, 0);
    Some(octets)
}

/// Three octets of at most four values.
fn group(values: &[u8]) -> [u8; 3] {
    let value = |index: usize| values.get(index).copied().unwrap_or_default();
    [value(0) << 2 | value(1) >> 4, value(1) << 4 | value(2) >> 2, value(2) << 6 | value(3)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, cut: usize) -> Vec<Found> {
        let (mut lines, mut all) = (Lines::default(), Vec::new());
        text.as_bytes().chunks(cut).for_each(|piece| lines.write(piece, |found| all.push(found)));
        lines.finish(|found| all.push(found));
        all
    }

    #[test]
    fn files_are_found_wherever_the_text_is_cut() {
        let begin = || Found::Begin("a b.exe".to_owned());
        let data = |octets: &[u8]| Found::Data(octets.to_vec());
        let table = [
            ("Hi!\r\nbegin 644 a b.exe\r\n#0V%T\r\n`\r\nend\r\n", vec![begin(), data(b"Cat"), Found::End]),
            ("begin 0755 a b.exe\n#0V%T\n!00\nend", vec![begin(), data(b"Cat"), data(b"A"), Found::End]),
            ("begin  a b.exe\n#0V%T", vec![begin(), data(b"Cat"), Found::End]),
            (
                "begin 644 x\nbegin 644 a b.exe\n#0V%T\nbegin 644 a b.exe\n$0V%T``\n",
                vec![begin(), data(b"Cat"), Found::End, begin(), data(b"Cat\0"), Found::End],
            ),
            ("begin 644 a.exe\nis how such files begin\n", vec![]),
            ("begin 64 a.exe\n#0V%T\n", vec![]),
            ("begin 644 \n#0V%T\n", vec![]),
            (" begin 644 a.exe\n#0V%T\n", vec![]),
            ("begin 644 a.exe\n#0V%T0V%T0V%T\n", vec![]),
            ("begin 644 a.exe", vec![]),
        ];
        for (text, expected) in table {
            for cut in 1..=text.len() {
                assert_eq!(found(text, cut), expected, "{text:?} in pieces of {cut}");
            }
        }
    }

    #[test]
    fn long_lines_are_no_data() {
        let text = format!("begin 644 a.exe\n{}\n#0V%T\n", "M".repeat(100_000));
        assert_eq!(found(&text, 1_000), []);
        let mut lines = Lines::default();
        lines.write(text.replace('\n', "").as_bytes(), |_| {});
        assert!(lines.line.len() <= MAX_LINE + 1);
    }
}
