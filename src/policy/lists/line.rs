//! One line of a file of entries: the entry, until when it counts, and a comment.

use jiff::civil::Date;

/// What a line of a list says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) struct Line<'t> {
    /// The entry; empty on a line that says nothing.
    pub(in super::super) entry: &'t str,
    /// The last day on which it counts, in UTC.
    pub(in super::super) until: Option<Date>,
}

impl<'t> Line<'t> {
    /// Reads `ENTRY [until DATE] [# comment]`.
    ///
    /// # Errors
    /// The part that should be a date, and what is wrong with it.
    pub(in super::super) fn parse(line: &'t str) -> Result<Self, (&'t str, String)> {
        let text = without_comment(line).trim();
        if let Some(word) = text.get(text.len().saturating_sub(5)..).filter(|_| text.ends_with(" until")) {
            return Err((word, "`until` wants a day behind it: write it as 2027-03-31".to_owned()));
        }
        let Some((entry, date)) = text.rsplit_once(" until ") else {
            return Ok(Self { entry: text, until: None });
        };
        let date = date.trim();
        match day(date) {
            Some(until) => Ok(Self { entry: entry.trim_end(), until: Some(until) }),
            None => Err((date, format!("`{}` is no day: write it as 2027-03-31", date.escape_debug()))),
        }
    }
}

/// The line without what stands behind a `#` at its beginning or behind a blank. Within a word `#` is a letter like any other,
/// as it is in addresses (RFC 5322 3.2.3).
pub(in super::super) fn without_comment(line: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| {
        line.get(..*at).is_none_or(|head| !head.ends_with(|c: char| !c.is_whitespace()))
    };
    let comment = line.match_indices('#').find(begins);
    comment.and_then(|(at, _)| line.get(..at)).unwrap_or(line)
}

/// A day as in RFC 3339, `2027-03-31`.
pub(in super::super) fn day(text: &str) -> Option<Date> {
    let shape = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if shape { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_days_and_comments() {
        let until = |text: &str| Some(text.parse::<Date>().unwrap());
        for (line, entry, date) in [
            ("", "", None),
            ("   # nothing", "", None),
            ("#", "", None),
            ("  example.org  ", "example.org", None),
            ("example.org # a partner", "example.org", None),
            ("example.org\t# a partner", "example.org", None),
            ("a#b@example.org", "a#b@example.org", None),
            ("192.0.2.0/24 until 2027-03-31", "192.0.2.0/24", until("2027-03-31")),
            ("192.0.2.1  until  2027-03-31  # old", "192.0.2.1", until("2027-03-31")),
            ("example.org # until 2027-03-31", "example.org", None),
        ] {
            assert_eq!(Line::parse(line), Ok(Line { entry, until: date }), "{line}");
        }
        for (line, place) in [
            ("example.org until tomorrow", "tomorrow"),
            ("example.org until", "until"),
            ("example.org until  # when?", "until"),
            ("example.org until 2027-02-30", "2027-02-30"),
            ("example.org until 20270331", "20270331"),
            ("example.org until 2027-03-31T00:00", "2027-03-31T00:00"),
        ] {
            let (found, problem) = Line::parse(line).unwrap_err();
            assert_eq!(found, place);
            assert!(problem.contains("write it as 2027-03-31"), "{problem}");
        }
    }
}
