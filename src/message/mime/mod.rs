//! What a message holds: its parts, what is inside their archives, and the addresses of pages in its texts.
//!
//! [`Scanner`] reads a message once, from its header to its last octet, in pieces of any size. It keeps none of the content:
//! of each part a few kilobytes at its beginning, of an archive the list of its entries. Everything that it keeps is bounded
//! by the constants of this page, whatever the message holds, and its work is linear in the message's size and in what its
//! compressed archives unpack to, which is bounded too. Nothing recurses but messages that are encoded as a whole, and these to a
//! depth of [`MAX_ENCODED`].
//!
//! It is for looking only, and looks as the mail programs of recipients do: lenient where a strict reader would see nothing.

mod archive;
mod fields;
mod inspect;
mod names;
mod real_type;
mod structure;
#[cfg(test)]
mod tests;
mod transfer;
mod urls;
mod uuencode;

use serde::{Deserialize, Serialize};

pub use self::structure::Scanner;
pub use self::urls::Url;

/// Parts within parts that are looked into (RFC 2046 5.1 sets no bound).
pub const MAX_DEPTH: usize = 32;
/// Messages in messages, each encoded as a whole, that are looked into. RFC 2046 5.2.1 allows none; some programs send one.
pub const MAX_ENCODED: usize = 3;
/// Parts of one message that are told.
pub const MAX_PARTS: usize = 1_000;
/// Entries of the archives of one message that are told, all archives together.
pub const MAX_ENTRIES: usize = 4_000;
/// Different URLs of one message that are told.
pub const MAX_URLS: usize = 100;
/// Octets that the compressed archives of one message are unpacked to, all together.
pub const MAX_UNPACKED: u64 = 64 << 20;
/// Octets of text that are searched for URLs, in all parts together.
pub const MAX_TEXT: usize = 1 << 20;

/// What a message holds.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Contents {
    /// Its parts that have content of their own, in order. A message in a message is a part, and so are that one's parts.
    pub parts: Vec<Part>,
    /// The addresses of pages in its plain and HTML texts, each once, in order.
    pub urls: Vec<Url>,
    /// Whether there are more parts than are told, deeper ones, more names of one part, or one whose encoding is told in two ways.
    pub truncated: bool,
    /// Whether there are more URLs than are told, or texts that were not searched for them to their end.
    #[serde(default)]
    pub urls_truncated: bool,
}

/// One part.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its file name, decoded (RFC 2231, RFC 2047); empty if it has none.
    pub name: String,
    /// The names that other mail programs may take, where the header of the part has several: as `name` and `filename`, twice, in
    /// two fields, or so that it depends on whether RFC 2231 is known. Each once, at most 7.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_names: Vec<String>,
    /// What follows the last dot of the name, in lower case, without blanks and dots at its end, which some systems drop;
    /// empty if there is no dot.
    pub extension: String,
    /// The type that it says it has, in lower case, without parameters; `text/plain` where it says none (RFC 2045 5.2).
    pub content_type: String,
    /// The type that its content has; empty where the content shows none.
    pub real_type: String,
    /// Octets, decoded.
    pub size: u64,
    /// Whether a mail program shows it as a file: it says so, has a name, or is no text.
    pub attached: bool,
    /// Whether it, or anything in it, can only be opened with a password.
    pub encrypted: bool,
    /// Whether it is a document with macros.
    pub has_macros: bool,
    /// The names in an archive, one level deep.
    pub entries: Vec<Entry>,
    /// How far `entries` can be relied on.
    pub entries_result: EntriesResult,
}

/// A file in an archive.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name with its folders; octets that are not UTF-8 are U+FFFD.
    pub name: String,
    /// As of a [`Part`].
    pub extension: String,
    /// Octets, unpacked, as the archive says.
    pub size: u64,
}

/// How far the entries of a part can be relied on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntriesResult {
    /// All are there.
    Complete,
    /// There are more.
    Truncated,
    /// The list of names is encrypted.
    Encrypted,
    /// The archive is damaged, or its parts contradict each other.
    Broken,
    /// It is no archive of a kind that is looked into: zip (also as office documents and Java), tar, gzip, tar in gzip.
    #[default]
    NotArchive,
}

impl EntriesResult {
    /// The word in policies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Truncated => "truncated",
            Self::Encrypted => "encrypted",
            Self::Broken => "broken",
            Self::NotArchive => "not_archive",
        }
    }

    /// How far those of two archives in one part can be relied on together: as far as those of the worse one.
    fn and(self, other: Self) -> Self {
        use EntriesResult::{Broken, Complete, Encrypted, NotArchive, Truncated};
        let worst_first = [Broken, Truncated, Encrypted, Complete];
        worst_first.into_iter().find(|one| [self, other].contains(one)).unwrap_or(NotArchive)
    }
}

impl Part {
    /// All its names, the likeliest first; none if it has none.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [&self.name].into_iter().chain(&self.other_names).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The extensions of all its names, each once; none if no name has one.
    pub fn extensions(&self) -> impl Iterator<Item = String> {
        let mut all: Vec<String> = Vec::new();
        for extension in self.names().map(extension) {
            if !extension.is_empty() && !all.contains(&extension) {
                all.push(extension);
            }
        }
        all.into_iter()
    }
}

impl Entry {
    fn new(name: &str, size: u64) -> Self {
        Self { name: name.to_owned(), extension: extension(name), size }
    }
}

/// What makes a file of `name` run: Windows drops dots and blanks at the end, and so may others.
fn extension(name: &str) -> String {
    let name = name.trim_end_matches(|c: char| c == '.' || c.is_whitespace() || c.is_control());
    let file = name.rsplit(['/', '\\']).next().unwrap_or_default();
    file.rsplit_once('.').map(|(_, extension)| extension.trim().to_lowercase()).unwrap_or_default()
}
