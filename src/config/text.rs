//! Files of the operator's, read whole and within bounds.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum TextError {
    /// The operating system says no.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Longer than anybody would write.
    #[error("the file is larger than {0}")]
    TooLarge(String),
    /// Not text.
    #[error("the file is not UTF-8 text")]
    NotUtf8,
}

/// The text of the file at `path`, if it is at most `longest` bytes.
///
/// # Errors
/// The file cannot be read, is longer, or is not UTF-8.
pub(super) fn read_text(path: &Path, longest: u64) -> Result<String, TextError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(longest.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > longest {
        return Err(TextError::TooLarge(crate::units::size_text(longest)));
    }
    String::from_utf8(bytes).map_err(|_| TextError::NotUtf8)
}
