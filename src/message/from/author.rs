//! The one author of a message: whose name its readers see, if all of them see the same.
//!
//! Programs differ in how they read a broken address field, and spoofers live on the difference: one program checks one
//! address, the next one shows another. So this reader takes only what can be read in one way: a From field with a single
//! `addr-spec` or `phrase <addr-spec>` of RFC 5322 3.4, also with blanks in the brackets and before the colon (4.5), and even then only if
//! mail-parser, which is as lenient as the programs of readers, finds the same address. A name may be as people write it, with
//! a comma or an `@` that ought to be in quotes, where whoever takes it for an address finds no domain in it. All else has
//! no author.

use super::super::header::{Field, Header};
use super::{Addresses, MAX_FROM, canonical_domain, shown};

/// A longer From field is no name and address of anybody.
const MAX_VALUE: usize = 4096;
/// RFC 5322 sets no depth of comments; people need none.
const MAX_COMMENT_DEPTH: usize = 4;

/// Whose name the message bears.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Author {
    /// The part before the `@`.
    pub local_part: String,
    /// The domain in lower case and A-labels, without a trailing dot.
    pub domain: String,
}

/// Why there is no author.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoAuthor {
    /// No From field, or no address with the name of a domain in it.
    None,
    /// Several From fields or several addresses.
    Several,
    /// Readers may come to different answers.
    Ambiguous,
}

impl Header {
    /// The one author.
    ///
    /// # Errors
    /// There is none, there are several, or it cannot be said.
    pub fn author(&self) -> Result<Author, NoAuthor> {
        self.author_among(&self.addresses("from", MAX_FROM))
    }

    /// The one author of a message whose From fields have these addresses for a lenient reader.
    pub(super) fn author_among(&self, lenient: &Addresses) -> Result<Author, NoAuthor> {
        let mut fields = self.named("from");
        let field = fields.next().ok_or(NoAuthor::None)?;
        if fields.next().is_some() {
            return Err(NoAuthor::Several);
        }
        // Behind such a line some readers would find another From.
        if self.is_cut_short() {
            return Err(NoAuthor::Ambiguous);
        }
        // Octets of other character sets in a name do no harm.
        let text = String::from_utf8_lossy(field.raw_value());
        let strict = match (Reader { rest: &text }).mailbox() {
            Ok(strict) if !is_doubtful(&field, &text) => strict,
            _ => return Err(without_author(&field, lenient)),
        };
        if agree(&strict, lenient, &text) { Ok(strict) } else { Err(NoAuthor::Ambiguous) }
    }
}

/// What to call a field that is not in the strict form.
fn without_author(field: &Field<'_>, lenient: &Addresses) -> NoAuthor {
    let value = field.unfolded_bytes();
    let one_at_most = |octet: u8| memchr::memchr_iter(octet, &value).nth(1).is_none();
    match lenient.list.as_slice() {
        // Nothing that anybody could take for an address.
        list if list.iter().all(|one| one.domain.is_empty()) && one_at_most(b'@') && !lenient.grouped => {
            NoAuthor::None
        }
        list if list.len() > 1 => NoAuthor::Several,
        _ => NoAuthor::Ambiguous,
    }
}

/// Whether both found the same, and nothing was hidden in encoded words: controls in what a name stands for show as U+FFFD.
fn agree(strict: &Author, lenient: &Addresses, text: &str) -> bool {
    let (names, addresses): (Vec<_>, Vec<_>) = lenient.list.iter().partition(|one| one.address.is_empty());
    let [one] = addresses.as_slice() else { return false };
    // What a comma cut off the name.
    if names
        .iter()
        .any(|name| name.display.contains(['@', '\u{ff20}', '\u{fe6b}', char::REPLACEMENT_CHARACTER]))
    {
        return false;
    }
    let odd = |text: &str| text.matches(char::REPLACEMENT_CHARACTER).count();
    let quoted = |text: &str| {
        text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) == Some(&strict.local_part)
    };
    // mail-parser takes what is quoted for a name, also where it is a local part.
    let same_local_part = match one.local_part.as_str() {
        "" => one.display.ends_with(&strict.local_part),
        local_part => local_part == strict.local_part || quoted(local_part),
    };
    let same = one.domain == strict.domain && same_local_part;
    !lenient.grouped && !lenient.more && same && odd(&one.display) <= odd(text)
}

/// The field is not in the strict form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Unreadable;

/// What is still to be read.
struct Reader<'v> {
    rest: &'v str,
}

/// A word of a phrase or of an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Word<'v> {
    Atom(&'v str),
    Quoted(&'v str),
}

/// Whether already the form of the field is doubtful: a fold before the colon, a line of blanks alone, controls, no end.
fn is_doubtful(field: &Field<'_>, text: &str) -> bool {
    let mut behind_name = field.whole().iter().skip(field.name().len());
    let is_tight = behind_name.find(|octet| !matches!(octet, b' ' | b'\t')) == Some(&b':');
    let mut lines = text.split("\r\n");
    let controls = lines.clone().any(|line| line.chars().any(|c| c.is_control() && c != '\t'));
    let blank_fold = lines.by_ref().skip(1).any(|line| line.trim_matches([' ', '\t']).is_empty());
    !is_tight || controls || blank_fold || text.len() > MAX_VALUE
}

impl<'v> Reader<'v> {
    /// The whole value: `[phrase] <addr-spec>` or `addr-spec`, with comments around it.
    fn mailbox(&mut self) -> Result<Author, Unreadable> {
        let before = self.rest;
        if let Some(author) = self.bare() {
            return Ok(author);
        }
        self.rest = before;
        self.phrase()?;
        self.rest = self.rest.strip_prefix('<').ok_or(Unreadable)?;
        self.skip_in_brackets()?;
        let author = self.addr_spec()?;
        self.skip_in_brackets()?;
        self.rest = self.rest.strip_prefix('>').ok_or(Unreadable)?;
        self.end()?;
        Ok(author)
    }

    fn bare(&mut self) -> Option<Author> {
        self.skip().ok()?;
        let author = self.addr_spec().ok()?;
        self.end().ok()?;
        Some(author)
    }

    fn end(&mut self) -> Result<(), Unreadable> {
        self.skip()?;
        if self.rest.is_empty() { Ok(()) } else { Err(Unreadable) }
    }

    /// Without blanks and comments inside: readers differ in what they make of them.
    fn addr_spec(&mut self) -> Result<Author, Unreadable> {
        // An encoded word stands for another text, a quoted `@` for another address.
        let (Word::Atom(local_part) | Word::Quoted(local_part)) = self.word()?;
        if local_part.contains(['@', '<', '>', '\\']) || local_part.contains("=?") {
            return Err(Unreadable);
        }
        self.rest = self.rest.strip_prefix('@').ok_or(Unreadable)?;
        let Word::Atom(domain) = self.word()? else { return Err(Unreadable) };
        let canonical = canonical_domain(domain);
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_') || !c.is_ascii();
        if canonical.is_empty() || !domain.chars().all(is_name) || !is_dotted(canonical.as_str()) {
            return Err(Unreadable);
        }
        Ok(Author { local_part: shown(local_part), domain: canonical })
    }

    /// A display name, up to the bracket of the address. An `@` or a comma that stands outside quotes could make an address of it, or of a
    /// part of it: then there is no other `@`, also none in quotes, as some programs do not look at those.
    fn phrase(&mut self) -> Result<(), Unreadable> {
        let (before, mut has_comma, mut has_at) = (self.rest, false, false);
        self.skip()?;
        while !self.rest.starts_with('<') {
            match self.rest.chars().next() {
                Some('@') => {
                    has_at = true;
                    self.at()?;
                }
                // Brackets belong in quotes, but nobody takes them for an address.
                Some(sign @ (',' | '[' | ']')) => {
                    has_comma |= sign == ',';
                    self.rest = self.rest.get(1..).unwrap_or_default();
                }
                _ => _ = self.word()?,
            }
            self.skip()?;
        }
        let length = before.len() - self.rest.len();
        let ats = before.get(..length).ok_or(Unreadable)?.matches('@').count();
        let allowed = match (has_at, has_comma) {
            (true, false) => 1,
            (_, true) => 0,
            (false, false) => usize::MAX,
        };
        if ats <= allowed { Ok(()) } else { Err(Unreadable) }
    }

    /// An `@` in a display name, and what stands behind it: the domain of the address, or a word that is nobody's domain, as it has
    /// no dot.
    fn at(&mut self) -> Result<(), Unreadable> {
        self.rest = self.rest.strip_prefix('@').ok_or(Unreadable)?;
        self.skip()?;
        let Word::Atom(shown) = self.word()? else { return Err(Unreadable) };
        self.skip()?;
        let shown = shown.trim_end_matches('\'');
        let domain = canonical_domain(shown);
        let is_no_domain =
            !domain.is_empty() && !domain.contains('.') && !shown.contains('.') && !shown.contains("=?");
        // RFC 5322 4.4: `example . org` is a domain too.
        let goes_on = self.rest.starts_with(['.', ':']);
        let is_the_same = || self.bracketed_domain().is_some_and(|known| shown.eq_ignore_ascii_case(known));
        if !goes_on && (is_no_domain || is_the_same()) { Ok(()) } else { Err(Unreadable) }
    }

    /// What stands behind the last `@` in the brackets.
    fn bracketed_domain(&self) -> Option<&'v str> {
        let (_, address) = self.rest.split_once('<')?;
        let (address, _) = address.split_once('>')?;
        Some(address.rsplit_once('@')?.1.trim())
    }

    /// An atom, dots included, or a quoted string.
    fn word(&mut self) -> Result<Word<'v>, Unreadable> {
        if let Some(rest) = self.rest.strip_prefix('"') {
            let end = quote_end(rest).ok_or(Unreadable)?;
            self.rest = rest.get(end + 1..).ok_or(Unreadable)?;
            return Ok(Word::Quoted(rest.get(..end).ok_or(Unreadable)?));
        }
        let end = self.rest.find(|c| !is_atext(c) && c != '.').unwrap_or(self.rest.len());
        let (atom, rest) =
            self.rest.split_at_checked(end).filter(|(atom, _)| !atom.is_empty()).ok_or(Unreadable)?;
        self.rest = rest;
        Ok(Word::Atom(atom))
    }

    /// As [`skip`](Self::skip), but comments with a dot in them could be taken for a part of the domain.
    fn skip_in_brackets(&mut self) -> Result<(), Unreadable> {
        let before = self.rest;
        self.skip()?;
        let skipped = before.get(..before.len() - self.rest.len()).ok_or(Unreadable)?;
        if skipped.contains('.') { Err(Unreadable) } else { Ok(()) }
    }

    /// Goes over blanks, folds and comments. A comment that could be taken for an address is not gone over.
    fn skip(&mut self) -> Result<(), Unreadable> {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
            if !self.rest.starts_with('(') {
                return Ok(());
            }
            let end = comment_end(self.rest).ok_or(Unreadable)?;
            let (comment, rest) = self.rest.split_at_checked(end).ok_or(Unreadable)?;
            if comment.contains(['@', '<', '>', '\\']) {
                return Err(Unreadable);
            }
            self.rest = rest;
        }
    }
}

/// Where the closing quote is.
fn quote_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// Where the text goes on behind the comment that it begins with.
fn comment_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' if depth == MAX_COMMENT_DEPTH => return None,
            '(' => depth += 1,
            ')' if depth == 1 => return Some(at + 1),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// RFC 5322 3.2.3, and RFC 6532 3.2.
const fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || !c.is_ascii()
        || matches!(
            c,
            '!' | '#'
                | '$'
                | '%'
                | '&'
                | '\''
                | '*'
                | '+'
                | '-'
                | '/'
                | '='
                | '?'
                | '^'
                | '_'
                | '`'
                | '{'
                | '|'
                | '}'
                | '~'
        )
}

/// Whether the text has no empty part between dots.
fn is_dotted(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty())
}

#[cfg(test)]
mod tests;
