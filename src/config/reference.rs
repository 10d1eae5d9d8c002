//! The reference of all keys, as `config/README.md` has it: the words about a key stand there once, for people and for programs.
//! A test of the project holds its table to what is read.

use std::collections::BTreeMap;

/// The page.
const PAGE: &str = include_str!("../../config/README.md");

/// What sections are for; their keys have rows of their own.
const SECTIONS: &[(&str, &str)] = &[
    ("listeners", "Where clients connect, each listener under a name of your choice."),
    ("listeners.NAME.tls", "TLS towards clients."),
    ("listeners.NAME.tls.certificates", "Certificates with their keys; the client's SNI chooses."),
    ("listeners.NAME.tls.client_certificates", "Whether clients are asked who they are."),
    ("listeners.NAME.policies", "Which policies the listener takes; all of them unless said otherwise."),
    ("listeners.NAME.limits", "What clients may take of the listener."),
    ("listeners.NAME.timeouts", "How long clients may take."),
    ("listeners.NAME.inquiries", "Who answers VRFY, EXPN and HELP."),
    ("listeners.NAME.bare_newlines", "Whose bare CR and LF are taken for line ends."),
    ("upstreams", "The servers that mail goes to, each under a name of your choice."),
    ("upstreams.NAME.tls", "TLS towards the mail server."),
    ("upstreams.NAME.tls.certificate", "What we show when the mail server asks who we are."),
    ("upstreams.NAME.timeouts", "How long the mail server may take."),
    ("policies", "Where policies are, and how they are bent."),
    ("policies.lists", "Lists that scripts may ask, each under its name."),
    ("policies.exceptions", "Rules that are softened for some, for a reason."),
    ("policies.domains", "What single domains of recipients wish."),
    ("policies.limits", "What policies may use up."),
    ("quarantine", "Where mail is kept that policies keep back."),
    ("spool", "Where messages wait while they pass."),
    ("authentication", "SPF, DKIM, DMARC and ARC."),
    ("authentication.seal", "Seals (ARC) what is accepted."),
    ("decisions", "How decisions are kept, for `gatepost explain` and `replay`."),
    ("decisions.rotate", "When the file of decisions is put aside."),
    ("dns", "How names are looked up."),
    ("state", "Where policies' memory is kept."),
    ("admin", "The operator's side door."),
    ("log", "What is logged, and how."),
    ("shutdown", "How Gatepost ends."),
];

/// The table of keys, by key.
#[derive(Debug)]
pub(super) struct Reference(BTreeMap<&'static str, Row>);

/// What the table says of a key. Cells are Markdown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    kind: &'static str,
    default: &'static str,
    meaning: &'static str,
}

impl Reference {
    /// The reference that belongs to this program.
    pub(super) fn shipped() -> Self {
        let table = PAGE.split_once("\n## Keys\n").map_or("", |(_, behind)| behind);
        let table = table.split_once("\n## ").map_or(table, |(table, _)| table);
        Self(table.lines().filter_map(row).collect())
    }

    /// What is said of the key at `path`, names being `NAME`.
    pub(super) fn row(&self, path: &str) -> Option<&Row> {
        self.0.get(path)
    }

    /// What is said of the section at `path`.
    pub(super) fn section(&self, path: &str) -> Option<&'static str> {
        SECTIONS.iter().find(|(section, _)| *section == path).map(|(_, words)| *words)
    }
}

fn row(line: &'static str) -> Option<(&'static str, Row)> {
    let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim);
    let key = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
    let (kind, default, meaning) = (cells.next()?, cells.next()?, cells.next()?);
    Some((key, Row { kind, default, meaning }))
}

impl Row {
    /// All that is said, in one text.
    pub(super) fn words(&self) -> String {
        let mut words = plain(self.meaning);
        if !words.ends_with(['.', ':']) {
            words.push('.');
        }
        words += &format!(" Type: {}.", plain(self.kind));
        match self.default {
            "" => {}
            "required" => words += " Required.",
            default => words += &format!(" Default: {}.", plain(default)),
        }
        words
    }

    /// The least and the most that is taken, as they are written: `number, 1 to 20`.
    pub(super) fn range(&self) -> Option<(&'static str, &'static str)> {
        let (_, range) = self.kind.split_once(", ")?;
        range.split_once(" to ")
    }

    /// The default, when the cell is nothing but that.
    pub(super) fn default_value(&self) -> Option<&'static str> {
        self.default.strip_prefix('`')?.strip_suffix('`').filter(|value| !value.contains('`'))
    }
}

/// Markdown without its links, which lead nowhere from an editor: `[text](where)` is `text`.
fn plain(cell: &str) -> String {
    let mut out = String::with_capacity(cell.len());
    let mut rest = cell;
    while let Some((before, link)) = rest.split_once('[') {
        let target = link.split_once("](").and_then(|(text, behind)| Some((text, behind.split_once(')')?.1)));
        out.push_str(before);
        match target.filter(|(text, _)| !text.contains('[')) {
            Some((text, behind)) => {
                out.push_str(text);
                rest = behind;
            }
            None => {
                out.push('[');
                rest = link;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read() {
        let reference = Reference::shipped();
        let signatures = reference.row("authentication.max_signatures").unwrap();
        assert_eq!((signatures.range(), signatures.default_value()), (Some(("1", "20")), Some("8")));
        let hostname = reference.row("hostname").unwrap().words();
        assert!(hostname.starts_with("Our full name") && hostname.ends_with("Required."), "{hostname}");
        assert!(reference.row("listeners").is_none() && reference.section("listeners").is_some());
    }

    #[test]
    fn links_become_words() {
        let cases = [
            ("see [above](#x).", "see above."),
            ("`[]`", "`[]`"),
            ("`[a]` [b](c) [d", "`[a]` b [d"),
            ("[::]:25 (x)", "[::]:25 (x)"),
        ];
        for (markdown, words) in cases {
            assert_eq!(plain(markdown), words);
        }
    }
}
