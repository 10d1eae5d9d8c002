//! What is inside archives and documents, one level deep, without keeping them.

mod gzip;
mod search;
mod tar;
mod zip;

use self::gzip::Unpacker;
use self::search::Search;
use self::tar::Walk;
use self::zip::Listing;
use super::inspect::Budget;
use super::{EntriesResult, Entry};

/// Entries of one archive that are told.
const MAX_ENTRIES: usize = 1_000;

/// Extensions of files that are opened as zip archives, wherever in them the archive begins.
const ZIPS: [&str; 26] = [
    "apk", "docm", "docx", "dotm", "dotx", "ear", "jar", "odp", "ods", "odt", "potm", "potx", "ppam", "ppsm",
    "ppsx", "pptm", "pptx", "war", "xlam", "xlsb", "xlsm", "xlsx", "xltm", "xltx", "xpi", "zip",
];

/// The stream that every document of Office 97 to 2003 with macros has ([MS-OVBA] 2.2.1), and the one that holds an
/// encrypted document of later ones ([MS-OFFCRYPTO] 1.3), by their names in the directory.
const COMPOUND: [&[u8]; 2] =
    [b"_\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T\0", b"E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0"];
/// The entry of an encrypted PDF's trailer (ISO 32000 7.6.1).
const PDF: [&[u8]; 1] = [b"/Encrypt"];

/// What can be looked into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Zip,
    Gzip,
    Tar,
    /// [MS-CFB]: documents of Office 97 to 2003, and encrypted ones of later versions.
    Compound,
    Pdf,
}

impl Kind {
    /// What a file that begins with `head` is.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let is = |magic: &[u8]| head.starts_with(magic);
        if is(b"PK\x03\x04") || is(b"PK\x05\x06") || is(b"PK\x07\x08") {
            Some(Self::Zip)
        } else if is(b"\x1f\x8b\x08") {
            Some(Self::Gzip)
        } else if is(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
            Some(Self::Compound)
        } else if is(b"%PDF-") {
            Some(Self::Pdf)
        } else if tar::is_header(head) {
            Some(Self::Tar)
        } else {
            None
        }
    }

    /// What a file of this extension is opened as, whatever it begins with.
    pub(super) fn by_extension(extension: &str) -> Option<Self> {
        ZIPS.binary_search(&extension).is_ok().then_some(Self::Zip)
    }
}

/// One of them on its way.
#[derive(Debug)]
pub(super) enum Archive {
    Zip(Listing),
    Gzip(Box<Unpacker>),
    Tar(Walk),
    Compound(Search),
    Pdf(Search),
}

/// What was found in one.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) entries: Vec<Entry>,
    pub(super) result: EntriesResult,
    pub(super) encrypted: bool,
    pub(super) has_macros: bool,
}

impl Archive {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Zip => Self::Zip(Listing::whole()),
            Kind::Gzip => Self::Gzip(Box::default()),
            Kind::Tar => Self::Tar(Walk::default()),
            Kind::Compound => Self::Compound(Search::new(&COMPOUND)),
            Kind::Pdf => Self::Pdf(Search::new(&PDF)),
        }
    }

    /// For what does not begin as an archive, and may end as one: zip archives are opened by their end.
    pub(super) fn behind() -> Self {
        Self::Zip(Listing::behind())
    }

    pub(super) fn write(&mut self, octets: &[u8], budget: &mut Budget) {
        match self {
            Self::Zip(listing) => listing.write(octets),
            Self::Gzip(unpacker) => unpacker.write(octets, budget),
            Self::Tar(walk) => walk.write(octets),
            Self::Compound(search) | Self::Pdf(search) => search.write(octets),
        }
    }

    /// What was found; `name` is the file's own.
    pub(super) fn finish(self, name: &str, budget: &mut Budget) -> Findings {
        match self {
            Self::Zip(listing) => listing.finish(),
            Self::Gzip(unpacker) => unpacker.finish(name, budget),
            Self::Tar(walk) => walk.finish(),
            Self::Compound(search) => Findings {
                has_macros: search.has_found(0),
                encrypted: search.has_found(1),
                ..Findings::default()
            },
            Self::Pdf(search) => Findings { encrypted: search.has_found(0), ..Findings::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_in_order() {
        assert!(ZIPS.is_sorted());
        assert_eq!(Kind::by_extension("docm"), Some(Kind::Zip));
        assert_eq!(Kind::by_extension("doc"), None);
    }
}
