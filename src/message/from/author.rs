//! The one author of a message: whose name its readers see, if all of them see the same.
//!
//! Programs differ in how they read a broken address field, and spoofers live on the difference: one program checks one
//! address, the next one shows another. So this reader takes only what can be read in one way, a From field with a single
//! `addr-spec` or `phrase <addr-spec>` in the strict form of RFC 5322 3.4, and even then only if mail-parser, which is as lenient
//! as the programs of readers, finds the same address. All else has no author.

use super::super::header::{Field, Header};
use super::{Addresses, canonical_domain, shown};

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
        let mut fields = self.named("from");
        let field = fields.next().ok_or(NoAuthor::None)?;
        if fields.next().is_some() {
            return Err(NoAuthor::Several);
        }
        let lenient = self.from_addresses();
        let strict = Reader::new(&field).and_then(|mut reader| reader.mailbox().ok());
        let strict = strict.ok_or_else(|| without_author(&field, &lenient))?;
        if agree(&strict, &lenient) { Ok(strict) } else { Err(NoAuthor::Ambiguous) }
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

fn agree(strict: &Author, lenient: &Addresses) -> bool {
    let [one] = lenient.list.as_slice() else { return false };
    let same_local = one.local_part == strict.local_part;
    let clean = !one.display.contains(char::REPLACEMENT_CHARACTER);
    !lenient.grouped && !lenient.more && one.domain == strict.domain && same_local && clean
}

/// The field is not in the strict form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Unreadable;

/// What is still to be read.
struct Reader<'v> {
    rest: &'v str,
    /// The display name has had its address.
    shown: bool,
}

/// A word of a phrase or of an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Word<'v> {
    Atom(&'v str),
    Quoted,
}

impl Reader<'_> {
    /// `None` if already the form of the field is doubtful: blanks before the colon, a line of blanks alone, controls.
    fn new<'f>(field: &'f Field<'_>) -> Option<Reader<'f>> {
        let raw = field.raw_value();
        let is_tight = field.whole().get(field.name().len()) == Some(&b':');
        let text = std::str::from_utf8(raw).ok().filter(|text| is_tight && text.len() <= MAX_VALUE)?;
        let lines = text.split("\r\n");
        let blank_fold = lines.clone().skip(1).any(|line| line.trim_matches([' ', '\t']).is_empty());
        let controls = lines.clone().any(|line| line.chars().any(|c| c.is_control() && c != '\t'));
        (!blank_fold && !controls).then_some(Reader { rest: text, shown: false })
    }
}

impl<'v> Reader<'v> {
    /// The whole value: `[phrase] <addr-spec>` or `addr-spec`, with comments around it.
    fn mailbox(&mut self) -> Result<Author, Unreadable> {
        let before = self.rest;
        if let Some(author) = self.bare() {
            return Ok(author);
        }
        self.rest = before;
        self.skip()?;
        while !self.rest.starts_with('<') {
            self.phrase_word()?;
            self.skip()?;
        }
        self.rest = self.rest.strip_prefix('<').ok_or(Unreadable)?;
        let author = self.addr_spec()?;
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
        // A quoted local part is allowed, but mail-parser and others look for a name in it.
        let Word::Atom(local_part) = self.word()? else { return Err(Unreadable) };
        if !is_dotted(local_part) || local_part.contains("=?") {
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

    /// Of a display name. It has no `@` outside quotes, unless it is an address of the same domain, once: some programs would show what stands
    /// before it.
    fn phrase_word(&mut self) -> Result<(), Unreadable> {
        self.word()?;
        let Some(rest) = self.rest.strip_prefix('@') else { return Ok(()) };
        if std::mem::replace(&mut self.shown, true) {
            return Err(Unreadable);
        }
        let (_, address) = self.rest.split_once('<').ok_or(Unreadable)?;
        let (address, _) = address.split_once('>').ok_or(Unreadable)?;
        let (_, domain) = address.rsplit_once('@').ok_or(Unreadable)?;
        self.rest = rest;
        match self.word()? {
            Word::Atom(shown) if shown.eq_ignore_ascii_case(domain) => Ok(()),
            _ => Err(Unreadable),
        }
    }

    /// An atom, dots included, or a quoted string.
    fn word(&mut self) -> Result<Word<'v>, Unreadable> {
        if let Some(rest) = self.rest.strip_prefix('"') {
            let end = quote_end(rest).ok_or(Unreadable)?;
            self.rest = rest.get(end + 1..).ok_or(Unreadable)?;
            return Ok(Word::Quoted);
        }
        let end = self.rest.find(|c| !is_atext(c) && c != '.').unwrap_or(self.rest.len());
        let (atom, rest) =
            self.rest.split_at_checked(end).filter(|(atom, _)| !atom.is_empty()).ok_or(Unreadable)?;
        self.rest = rest;
        Ok(Word::Atom(atom))
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn author(fields: &str) -> Result<String, NoAuthor> {
        let header = Header::of_message(format!("{fields}\r\n\r\n").as_bytes(), 1 << 20).unwrap();
        header.author().map(|author| format!("{}@{}", author.local_part, author.domain))
    }

    #[test]
    fn authors_whom_everybody_sees() {
        for (field, seen) in [
            ("From: a@Example.org", "a@example.org"),
            ("from:a@example.org", "a@example.org"),
            ("From: A B <a@example.org>", "a@example.org"),
            ("From: John Q. Public <a@example.org>", "a@example.org"),
            ("From: \"x@evil.example\" <a@example.org>", "a@example.org"),
            ("From: \"A, B\" (sales) <a@example.org> (x)", "a@example.org"),
            ("From: A\r\n B\r\n\t<a@example.org>", "a@example.org"),
            ("From: a@example.org.", "a@example.org"),
            ("From: a@b\u{fc}cher.example", "a@xn--bcher-kva.example"),
            ("From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>", "j@example.org"),
            ("From: a@example.org (Ann (the) boss)", "a@example.org"),
            ("From: a@Example.org <a@example.org>", "a@example.org"),
            ("From: <a+b=c@example.org>", "a+b=c@example.org"),
        ] {
            assert_eq!(author(field).as_deref(), Ok(seen), "{field:?}");
        }
    }

    #[test]
    fn no_authors() {
        for field in [
            "Subject: x",
            "From:",
            "From: nobody",
            "From: <a>",
            "From: a@[192.0.2.1]",
            "From: a@xn--a",
            "From: a@",
        ] {
            assert_eq!(author(field), Err(NoAuthor::None), "{field:?}");
        }
    }

    #[test]
    fn several_authors() {
        for field in [
            "From: a@example.org\r\nFrom: b@example.org",
            "From: a@example.org\r\nFrom : b@example.net",
            "From: a@example.org, b@example.org",
            "From: a@example.org, b@example.net",
            "From: a@example.org, (x) b@example.net",
        ] {
            assert_eq!(author(field), Err(NoAuthor::Several), "{field:?}");
        }
    }

    /// Numbers are of the catalogue of attacks.
    #[test]
    fn authors_of_whom_readers_may_disagree() {
        for (row, field) in [
            ("46-64 space before the colon", "From : a@legit.example"),
            ("46-64 source route", "From: <@evil.example:a@legit.example>"),
            ("46-64 source route", "From: <@evil.example,@x.example:a@legit.example>"),
            ("46-64 quoted pair", "From: <b@legit.example>\\,<a@evil.example>"),
            ("46-64 precedence", "From: <a@evil.example><b@legit.example>"),
            ("46-64 trailing", "From: <b@legit.example> a@evil.example"),
            ("46-64 leading", "From: b@legit.example <a@evil.example>"),
            ("46-64 encoded", "From: =?utf-8?b?YUBsZWdpdC5leGFtcGxl?=@evil.example"),
            ("46-64 encoded, cut by NUL", "From: =?utf-8?q?a=40legit.example=00?= <a@evil.example>"),
            ("66 group", "From: legit.example: a@evil.example;"),
            ("66 group", "From: x: a@legit.example, b@evil.example;"),
            ("67 comment", "From: a@evil.example (b@legit.example)"),
            ("67 comment", "From: a(x)@legit.example"),
            ("67 comment", "From: <b@legit.example(>a@evil.example)"),
            ("68 quoted @", "From: \"b@legit.example\"@evil.example"),
            ("68 quoted @", "From: \"b@legit.example,\"@evil.example"),
            ("68 quoted", "From: \"a b\"@legit.example"),
            ("68 quoted", "From: \"ab\"@legit.example"),
            ("68 two @", "From: b@legit.example@evil.example"),
            ("72 blank in the address", "From: b@ legit.example"),
            ("76 CRLF encoded", "From: =?utf-8?q?x=0D=0AFrom:_b@legit.example?= <a@evil.example>"),
            ("a fold of blanks", "From: <b@legit.example>\r\n \r\n <a@evil.example>"),
            ("a backslash", "From: b\\@legit.example"),
        ] {
            let found = author(field);
            assert!(found.is_err(), "{row}: {field:?}: {found:?}");
        }
        let many = format!("From: {}last@legit.example", "a@evil.example, ".repeat(2999));
        assert_eq!(author(&many), Err(NoAuthor::Several), "77");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        /// Whoever passes for an author is the one that mail-parser sees, and the only one.
        #[test]
        fn mail_parser_sees_the_same(
            value in r#"((a@x\.example|b@y\.example|<a@x\.example>|<b@y\.example>)|["(),:;<>@\\ .=?]|[ab]|=\?utf-8\?q\?[a=@<>,0]{0,6}\?=|\r\n ){0,7}"#,
        ) {
            let header = Header::of_message(format!("From:{value}\r\n\r\n").as_bytes(), 1 << 20).unwrap();
            if let Ok(author) = header.author() {
                let seen = header.from_addresses();
                prop_assert_eq!(seen.list.len(), 1);
                prop_assert!(!seen.grouped && !seen.more);
                prop_assert_eq!(&seen.list[0].domain, &author.domain);
                // And no other address can be read out of what is left.
                let text = value.replace("\r\n", "");
                let outside = text.split('"').step_by(2).collect::<String>();
                prop_assert!(outside.matches('@').count() <= 2, "{:?}", value);
                prop_assert!(outside.matches('<').count() <= 1, "{:?}", value);
            }
        }

        #[test]
        fn no_octets_make_it_fall_over(value in prop::collection::vec(any::<u8>(), 0..80)) {
            let message = [b"From:", &value[..], b"\r\n"].concat();
            if let Some(header) = Header::of_message(&message, 1 << 20)
                && let Ok(author) = header.author()
            {
                prop_assert!(author.domain.is_ascii());
            }
        }
    }
}
