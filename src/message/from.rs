//! What the fields of a header say, decoded: addresses, subject, date, message id.
//!
//! mail-parser reads them, as leniently as the mail programs of the people who will see them. This is for looking only:
//! nothing that was decoded here is ever written into a message.

mod author;

use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, Address as Parsed, HeaderValue};

pub use self::author::{Author, NoAuthor};
use super::header::{Field, Header};

/// More addresses than this in From are an attack on whoever shows or checks one of them.
pub const MAX_FROM: usize = 16;
/// As many recipients as a transaction may have by default.
pub const MAX_ADDRESSES: usize = 1000;

/// No more octets of one field are decoded.
const MAX_DECODED: usize = 64 * 1024;
/// No more encoded words of one field: for each that has no end, mail-parser reads to the end of the field and comes back.
const MAX_ENCODED_WORDS: usize = 256;

/// All addresses of the fields of one name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Addresses {
    /// In the order of the header; groups are dissolved.
    pub list: Vec<Address>,
    /// There were more than are in `list`.
    pub more: bool,
    /// Some were written in group syntax (RFC 5322 3.4), which in From makes it ambiguous whom to believe (RFC 6854).
    pub grouped: bool,
}

/// One entry of an address field. Text that is not an address is an entry too, with an empty `address`: some reader may
/// show it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Address {
    /// The name and the comments beside the address, decoded; empty if there are none.
    pub display: String,
    /// As it was written, without comments and blanks.
    pub address: String,
    /// What stands before the last `@`; the whole address if there is none.
    pub local_part: String,
    /// The domain in lower case, in A-labels, without a trailing dot; empty if there is none or if it is not the name of a
    /// domain.
    pub domain: String,
}

impl Header {
    /// The addresses of all From fields, at most [`MAX_FROM`]. Where they have one author, whose name has a comma in it or whose local
    /// part is in quotes, that one.
    pub fn from_addresses(&self) -> Addresses {
        self.from_addresses_and_author().0
    }

    /// [`from_addresses`](Self::from_addresses), and the [`author`](Self::author).
    pub fn from_addresses_and_author(&self) -> (Addresses, Result<Author, NoAuthor>) {
        let found = self.addresses("from", MAX_FROM);
        let author = self.author_among(&found);
        let is_plain = match found.list.as_slice() {
            [] => true,
            [one] => !one.local_part.is_empty() || one.domain.is_empty(),
            _ => false,
        };
        match &author {
            Ok(one) if !is_plain => (found.of_one(one), author),
            _ => (found, author),
        }
    }

    /// The addresses of all fields of that name (To, Cc, Reply-To...), at most `limit`.
    pub fn addresses(&self, name: &str, limit: usize) -> Addresses {
        let mut found = Addresses::default();
        for field in self.named(name) {
            if found.more {
                break;
            }
            found.add(&field, limit);
        }
        found
    }

    /// The subject, decoded; the first one if there are several, empty if there is none.
    pub fn subject(&self) -> String {
        self.named("subject").next().map(|field| field.decoded()).unwrap_or_default()
    }

    /// The date of the first Date field, if it has one that exists.
    pub fn date(&self) -> Option<jiff::Timestamp> {
        let line = Line::of(&self.named("date").next()?);
        let HeaderValue::DateTime(date) = MessageStream::new(&line.octets).parse_date() else {
            return None;
        };
        if date.is_valid() { jiff::Timestamp::from_second(date.to_timestamp()).ok() } else { None }
    }

    /// The id in the first Message-ID field, without its angle brackets.
    pub fn message_id(&self) -> Option<String> {
        let line = Line::of(&self.named("message-id").next()?);
        let id = MessageStream::new(&line.octets).parse_id();
        let first = match &id {
            HeaderValue::Text(id) => id,
            HeaderValue::TextList(ids) => ids.first()?,
            _ => return None,
        };
        Some(shown(first))
    }
}

impl Field<'_> {
    /// The value on one line, encoded words decoded (RFC 2047); octets that are not UTF-8 and control characters (also such
    /// as an encoded word smuggled in) become U+FFFD. At most the first 64 KiB.
    pub fn decoded(&self) -> String {
        let line = Line::of(self);
        match MessageStream::new(&line.octets).parse_unstructured() {
            HeaderValue::Text(text) => shown(&text),
            _ => String::new(),
        }
    }
}

impl Addresses {
    /// The only address, by all names: mail-parser takes a local part in quotes for a name.
    fn of_one(self, author: &Author) -> Self {
        let names = self.list.iter().map(|one| one.display.as_str()).filter(|name| !name.is_empty());
        let mut display = names.collect::<Vec<_>>().join(", ");
        let mut list: Vec<_> = self.list.into_iter().filter(|one| !one.address.is_empty()).collect();
        if let [one] = list.as_mut_slice() {
            if one.local_part.is_empty() {
                let name = display.strip_suffix(&author.local_part).unwrap_or(&display);
                display = name.trim_end().to_owned();
                one.local_part = format!("\"{}\"", author.local_part);
                one.address.insert_str(0, &one.local_part);
            }
            one.display = display;
        }
        Self { list, ..self }
    }

    fn add(&mut self, field: &Field<'_>, limit: usize) {
        let line = Line::of(field);
        let HeaderValue::Address(parsed) = MessageStream::new(&line.octets).parse_address() else {
            self.more |= line.cut;
            return;
        };
        self.grouped |= matches!(parsed, Parsed::Group(_));
        let mut entries = parsed.into_list();
        if line.cut {
            // The last one is probably the first half of an address, which must not be taken for a whole one.
            entries.pop();
        }
        let room = limit.saturating_sub(self.list.len());
        self.more |= line.cut || entries.len() > room;
        self.list.extend(entries.iter().take(room).map(Address::of));
    }
}

impl Address {
    fn of(entry: &Addr<'_>) -> Self {
        let address = shown(entry.address.as_deref().unwrap_or_default());
        let (local_part, domain) = address.rsplit_once('@').unwrap_or((&address, ""));
        Self {
            display: shown(entry.name.as_deref().unwrap_or_default()),
            local_part: local_part.to_owned(),
            domain: canonical_domain(domain),
            address,
        }
    }
}

/// Empty for what is not a domain name: an address literal, forbidden characters, a bogus A-label.
fn canonical_domain(domain: &str) -> String {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    idna::domain_to_ascii_cow(domain.as_bytes(), idna::AsciiDenyList::URL)
        .map(|ascii| ascii.into_owned())
        .unwrap_or_default()
}

/// Without control characters, which have no place on a screen, in a log or in a header.
fn shown(text: &str) -> String {
    let clean = |character: char| match character {
        '\t' => ' ',
        character if character.is_control() => char::REPLACEMENT_CHARACTER,
        character => character,
    };
    text.trim().chars().map(clean).collect()
}

/// The value of a field on one line, bounded, with the line end that mail-parser wants.
struct Line {
    octets: Vec<u8>,
    cut: bool,
}

impl Line {
    fn of(field: &Field<'_>) -> Self {
        let mut octets = field.unfolded_bytes();
        let words = memchr::memmem::find_iter(&octets, b"=?").nth(MAX_ENCODED_WORDS);
        let end = words.unwrap_or(octets.len()).min(MAX_DECODED);
        let cut = end < octets.len();
        octets.truncate(end);
        octets.push(b'\n');
        Self { octets, cut }
    }
}

#[cfg(test)]
mod tests;
