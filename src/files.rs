//! Files of the operator's: opened only where they are regular ones, without waiting, and read whole within a bound.
//!
//! What stands in the place of a file may be anything: a FIFO, whose opening waits for a writer who may never come, or a device
//! that never ends. A `check` or a reload that waits there is as bad as none.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// Opens the regular file at `path` for reading, and waits for nobody.
///
/// # Errors
/// It cannot be opened, or is no regular file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // Asked what it is when it is open: what is read is what was asked about, whatever is put in its place meanwhile.
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// The content of the regular file at `path`, if it is at most `longest` octets.
///
/// # Errors
/// As [`open`]; or it cannot be read, or is longer.
pub(crate) fn read(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    // With room for all of it and one octet more, so that nothing is moved while it is read: no copy of a secret is left behind.
    let room = file.metadata()?.len().min(longest).saturating_add(1);
    let mut octets = Vec::with_capacity(usize::try_from(room).unwrap_or(0));
    file.take(longest.saturating_add(1)).read_to_end(&mut octets)?;
    if u64::try_from(octets.len()).unwrap_or(u64::MAX) > longest {
        let message = format!("larger than {}", crate::units::size_text(longest));
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(octets)
}

/// The text of the regular file at `path`, without the byte order mark that some editors put in front of it (RFC 3629 6).
///
/// # Errors
/// As [`read`]; or it is not UTF-8.
pub(crate) fn read_text(path: &Path, longest: u64) -> io::Result<String> {
    let mut text = String::from_utf8(read(path, longest)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        // It may be a secret.
        drop(Zeroizing::new(error.into_bytes()));
        io::Error::new(io::ErrorKind::InvalidData, format!("not UTF-8 at byte {at}"))
    })?;
    if text.starts_with(MARK) {
        text.drain(..MARK.len_utf8());
    }
    Ok(text)
}

const MARK: char = '\u{feff}';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read_and_none_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "12345").unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
        assert_eq!(read(&at("file"), 5).unwrap(), b"12345");
        assert_eq!(read(&at("file"), 4).unwrap_err().to_string(), "larger than 4B");
        for odd in [at("fifo"), dir.path().to_owned(), "/dev/zero".into()] {
            assert_eq!(read(&odd, 5).unwrap_err().to_string(), "not a regular file", "{odd:?}");
        }
        assert_eq!(open(&at("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn one_mark_in_front_is_no_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text");
        for (text, rest) in [
            ("\u{feff}a\u{feff}", "a\u{feff}"),
            ("\u{feff}\u{feff}", "\u{feff}"),
            ("a\u{feff}", "a\u{feff}"),
            ("", ""),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_text(&path, 10).unwrap(), rest);
        }
        std::fs::write(&path, b"ab\xff").unwrap();
        assert_eq!(read_text(&path, 10).unwrap_err().to_string(), "not UTF-8 at byte 2");
    }
}
