//! A table: from keys to values.

use std::borrow::Cow;

use super::entry;
use super::line::without_comment;
use super::texts::Texts;

/// Values of one key. A script gets them as one array.
const MAX_VALUES: usize = 1_000;
/// Between two values.
const BETWEEN: &str = "\u{1d}";

/// A table, ready to be asked.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Table(Texts);

impl Table {
    /// Adds a key with its values, or says what is wrong with them.
    pub(in super::super) fn add(&mut self, key: &str, values: &[&str]) -> Result<(), String> {
        let has_control = |text: &str| text.chars().any(char::is_control);
        if key.is_empty() {
            return Err("the key is missing".to_owned());
        }
        if has_control(key) || values.iter().any(|value| has_control(value)) {
            return Err(format!("the key `{}` or its value has control characters", key.escape_debug()));
        }
        if values.iter().all(|value| value.is_empty()) {
            return Err(format!("the key `{key}` has no value"));
        }
        if values.len() > MAX_VALUES {
            return Err(format!("the key `{key}` has more than {MAX_VALUES} values"));
        }
        let filled = values.iter().filter(|value| !value.is_empty());
        let values: Vec<_> = filled.map(|value| value_as_seen(value)).collect();
        let is_new = self.0.insert(&as_seen(key), &values.join(BETWEEN));
        if is_new { Ok(()) } else { Err(format!("the key `{key}` is there twice")) }
    }

    /// Adds the line `KEY: VALUE, VALUE  # comment`; one that says nothing adds nothing.
    pub(in super::super) fn add_line(&mut self, line: &str) -> Result<(), String> {
        let text = without_comment(line).trim();
        if text.is_empty() {
            return Ok(());
        }
        // A colon within the key, as IPv6 addresses have them, is followed by no blank.
        let split = text.split_once(": ").or_else(|| text.split_once(':'));
        let Some((key, values)) = split else {
            return Err("this is no line of a table: write it as `KEY: VALUE, VALUE`".to_owned());
        };
        let values: Vec<_> = values.split(',').map(str::trim).collect();
        self.add(key.trim(), &values)
    }

    /// The values of `key`, in their order; none when it is not there.
    pub(in super::super) fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(&as_seen(key)).into_iter().flat_map(|values| values.split(BETWEEN))
    }

    /// Whether `key` is there.
    pub(in super::super) fn contains(&self, key: &str) -> bool {
        self.0.contains(&as_seen(key))
    }
}

/// A key in the form in which it is compared: an address and a domain as scripts see them, everything in lower case.
fn as_seen(key: &str) -> Cow<'_, str> {
    let ready = !key.starts_with('@') && key.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase());
    if ready { key.into() } else { seen(key).unwrap_or_else(|| key.to_lowercase()).into() }
}

/// A value: one that is an address or a domain in the form in which scripts see those, so that `==` and `in` find it.
fn value_as_seen(value: &str) -> String {
    seen(value).unwrap_or_else(|| value.to_owned())
}

/// The address or domain that `text` is, as scripts see it; `@example.org` is the domain, as in lists, and `*@Example.org` and
/// `.Example.org` stay what they are, but in lower case.
fn seen(text: &str) -> Option<String> {
    match text.rsplit_once('@') {
        Some(("", domain)) => domain_with_end(domain),
        Some(("*", domain)) => Some(format!("*@{}", domain_with_end(domain)?)),
        Some((local_part, domain)) => entry::address(local_part, domain),
        None => match text.strip_prefix('.') {
            Some(parent) => Some(format!(".{}", domain_with_end(parent)?)),
            None => domain_with_end(text),
        },
    }
}

/// A domain with a top-level domain that is a word: `25.5MiB` and `1.2.3` are none.
fn domain_with_end(text: &str) -> Option<String> {
    let is_word = |last: &str| last.len() >= 2 && last.starts_with(char::is_alphabetic);
    let has_end = text.rsplit_once('.').is_some_and(|(_, last)| is_word(last));
    entry::domain(text).filter(|_| has_end).map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lines: &[&str]) -> Table {
        let mut table = Table::default();
        for line in lines {
            table.add_line(line).unwrap();
        }
        table
    }

    fn values(table: &Table, key: &str) -> Vec<String> {
        table.values(key).map(str::to_owned).collect()
    }

    #[test]
    fn keys_are_found_however_they_are_written() {
        let table = table(&[
            "# logins",
            "",
            "Jane: Jane@Example.org, jd@bücher.example   # sales",
            "postmaster@example.org:a@example.org",
            "bücher.example: 25.5MiB, v1.2, Office.Example.NET",
            "2001:db8::1: mail.example.org",
            "spaces: some Words,, other ones,",
            "joe: @Example.org, *@Example.net, .Example.com, @everyone, .Profile",
            "@Example.info: info@example.org",
        ]);
        for (key, wanted) in [
            ("jane", &["jane@example.org", "jd@xn--bcher-kva.example"][..]),
            ("JANE", &["jane@example.org", "jd@xn--bcher-kva.example"]),
            ("Postmaster@EXAMPLE.org", &["a@example.org"]),
            ("xn--bcher-kva.example", &["25.5MiB", "v1.2", "office.example.net"]),
            ("BÜCHER.example", &["25.5MiB", "v1.2", "office.example.net"]),
            ("2001:DB8::1", &["mail.example.org"]),
            ("spaces", &["some Words", "other ones"]),
            ("joe", &["example.org", "*@example.net", ".example.com", "@everyone", ".Profile"]),
            ("@example.info", &["info@example.org"]),
            ("example.info", &["info@example.org"]),
            ("", &[]),
            ("jan", &[]),
            ("example.org", &[]),
        ] {
            assert_eq!(values(&table, key), wanted, "{key}");
            assert_eq!(table.contains(key), !wanted.is_empty(), "{key}");
        }
    }

    #[test]
    fn what_is_no_line_of_a_table_is_refused() {
        for (line, problem) in [
            ("jane", "this is no line of a table"),
            (": x", "the key is missing"),
            ("jane:", "the key `jane` has no value"),
            ("jane: , ,", "the key `jane` has no value"),
            ("ja\u{1d}ne: x", "has control characters"),
            ("jane: a\u{1d}b", "has control characters"),
        ] {
            let found = Table::default().add_line(line).unwrap_err();
            assert!(found.contains(problem), "{line}: {found}");
        }
        let mut table = table(&["jane: a"]);
        assert_eq!(table.add_line("Jane: b"), Err("the key `Jane` is there twice".to_owned()));
        let many = vec!["x"; MAX_VALUES + 1];
        assert!(table.add("many", &many).unwrap_err().contains("more than 1000 values"));
    }
}
