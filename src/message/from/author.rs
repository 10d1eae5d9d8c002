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
        let mut fields = self.named("from");
        let field = fields.next().ok_or(NoAuthor::None)?;
        if fields.next().is_some() {
            return Err(NoAuthor::Several);
        }
        // Behind such a line some readers would find another From.
        if self.is_cut_short() {
            return Err(NoAuthor::Ambiguous);
        }
        let lenient = self.addresses("from", MAX_FROM);
        // Octets of other character sets in a name do no harm.
        let text = String::from_utf8_lossy(field.raw_value());
        let strict = match (Reader { rest: &text }).mailbox() {
            Ok(strict) if !is_doubtful(&field, &text) => strict,
            _ => return Err(without_author(&field, &lenient)),
        };
        if agree(&strict, &lenient, &text) { Ok(strict) } else { Err(NoAuthor::Ambiguous) }
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
            ("From : a@example.org", "a@example.org"),
            ("From \t: A <a@example.org>", "a@example.org"),
            ("From: Foo < a@example.org >", "a@example.org"),
            ("From: Foo <\r\n a@example.org\t>", "a@example.org"),
            ("From: Foo <a@example.org (work)>", "a@example.org"),
            ("From: Foo <\"jane doe\"@example.org>", "jane doe@example.org"),
            ("From: \"jane doe\"@example.org", "jane doe@example.org"),
        ] {
            assert_eq!(author(field).as_deref(), Ok(seen), "{field:?}");
        }
    }

    #[test]
    fn authors_as_people_write_them() {
        for field in [
            "From: Name (Company) <a@example.org>",
            "From: =?UTF-8?B?SsO8cmdlbg==?= =?UTF-8?Q?M=C3=BCller?= <a@example.org>",
            "From: 'Name' <a@example.org>",
            "From: Name [bot] - Dept./2 <a@example.org>",
            "From: [EXT] Name<a@example.org>",
            "From: 'a@example.org' <a@example.org>",
            "From: \"'a@other.example' via List\" <a@example.org>",
            "From: \"A \\\"B\\\" C\" <a@example.org>",
            "From: \u{1f600} Na\u{ef}ve <a@example.org>",
            "From: \"\u{1f600}\"<a@example.org>",
            "From: Dr. A. B. C <a@example.org> ",
            "From: <a@example.org> (Name)",
            "From:\ta@example.org",
            "From: \"A\"\r\n\t<a@example.org>",
            "From: =?utf-8?Q?a=2C_b?=\r\n =?utf-8?Q?_c?= <a@example.org>",
            "From: A & B | C <a@example.org>",
            "From: !%*+-/{}~ <a@example.org>",
            "From: Foo, Inc. <a@example.org>",
            "From: Foo, Bar, and Co., Ltd. (sales) <a@example.org>",
            "From: =?utf-8?q?M=C3=BCller?=, Inc. <a@example.org>",
            "From: Doe, Jane <a@example.org>",
            "From: \"Foo\", Inc. <a@example.org>",
            "From: Foo @ Bar <a@example.org>",
            "From: Foo@Bar <a@example.org>",
            "From: @foo <a@example.org>",
        ] {
            assert_eq!(author(field).as_deref(), Ok("a@example.org"), "{field:?}");
        }
        for (field, seen) in [
            ("From: a..b.@example.org", "a..b.@example.org"),
            ("From: \"a..b.\"@example.org", "a..b.@example.org"),
            ("From: <.a@example.org>", ".a@example.org"),
            ("From: <a/b=c@example.org>", "a/b=c@example.org"),
        ] {
            assert_eq!(author(field).as_deref(), Ok(seen), "{field:?}");
        }
        let latin1 = b"From: J\xfcrgen <a@example.org>\r\n\r\n";
        assert!(Header::of_message(latin1, 1 << 20).unwrap().author().is_ok());
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
            ("46-64 fold before the colon", "From\r\n : a@legit.example"),
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
            ("68 encoded in quotes", "From: \"=?utf-8?q?b=40legit.example,?=\"@evil.example"),
            ("68 quoted @ in brackets", "From: A <\"b@legit.example\"@evil.example>"),
            ("a name with an address", "From: b @ legit.example <a@evil.example>"),
            ("a name with an address", "From: b@legit . example <a@evil.example>"),
            ("a name with an address", "From: b @ legit\u{3002}example <a@evil.example>"),
            ("a name with an address", "From: b @ =?utf-8?q?legit=2Eexample?= <a@evil.example>"),
            ("a name with an address", "From: \"b@legit.example\" @ Bar <a@evil.example>"),
            ("a name with an address", "From: b@legit.example, Inc. <a@evil.example>"),
            ("a name with an address", "From: \"b@legit.example\", Inc. <a@evil.example>"),
            ("a name with an address", "From: Inc., \"b@legit.example\" <a@evil.example>"),
            ("a name with an address", "From: =?utf-8?q?b=40legit.example?=, Inc. <a@evil.example>"),
            ("a name with a route", "From: x, @legit:b <a@evil.example>"),
            ("two addresses", "From: x, <b@legit.example>, <a@evil.example>"),
            ("a comment with a domain", "From: <b@legit.example (.evil.example)>"),
            ("a comment in the address", "From: <b(x)@legit.example>"),
            ("a blank in the domain", "From: <b@legit. example>"),
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
