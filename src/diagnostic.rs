//! What is wrong with a file of the operator's, where, and what to do about it.
//!
//! Configuration, policies and lists all report in this one form. It is shown in two ways: [`Diagnostic::render`] for
//! the operator at a terminal, with the source line and a caret as rustc does, and [`Diagnostic::one_line`] for logs,
//! which never holds a source line, because that line may hold a secret.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// One error or warning about a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    /// Whether the file can be used all the same.
    pub severity: Severity,
    /// What is wrong, in one sentence without a full stop. Never a secret: it goes to logs.
    pub message: String,
    /// The file, as the operator named it.
    pub file: PathBuf,
    /// The whole text of the file, for the source line; `None` where it could not be read.
    pub text: Option<Arc<str>>,
    /// Where in the file; `None` when the file as a whole is meant.
    pub position: Option<Position>,
    /// The way out, such as the nearest name that exists. Goes to logs as well.
    pub help: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but hardly as it was meant.
    Warning,
}

impl Severity {
    /// The word that stands in front of the message.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A place in a file, counted in characters.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column of the first character that is meant, from 1.
    pub column: usize,
    /// How many characters are meant, all on that line. With 0, the caret points between two characters.
    pub len: usize,
}

impl Position {
    /// The place of `len` characters from `line` and `column` on, both counted from 1.
    pub const fn new(line: usize, column: usize, len: usize) -> Self {
        Self { line, column, len }
    }
}

impl Diagnostic {
    /// An error about `file` as a whole.
    pub fn error(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, file.into(), message.into())
    }

    /// A warning about `file` as a whole.
    pub fn warning(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, file.into(), message.into())
    }

    fn new(severity: Severity, file: PathBuf, message: String) -> Self {
        Self { severity, message, file, text: None, position: None, help: None }
    }

    /// The same about one place of the file, whose whole text is `text`.
    #[must_use]
    pub fn at(mut self, text: &Arc<str>, position: Position) -> Self {
        self.text = Some(Arc::clone(text));
        self.position = Some(position);
        self
    }

    /// The same about a place of a file whose text is not at hand.
    #[must_use]
    pub fn at_position(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    /// The same with a way out.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether the file cannot be used.
    pub const fn is_error(&self) -> bool {
        matches!(self.severity, Severity::Error)
    }

    /// The diagnostic for a terminal, several lines without a final line end: the message, the place, the source line
    /// with a caret, the way out. With `color`, styled by ANSI sequences.
    pub fn render(&self, color: bool) -> String {
        let file = printable(&self.file.display().to_string());
        let message = printable(&self.message);
        let title = match self.severity {
            Severity::Error => Level::ERROR.primary_title(message),
            Severity::Warning => Level::WARNING.primary_title(message),
        };
        let mut group = match (self.position, self.source()) {
            (Some(position), Some(line)) => title.element(snippet(position, line, &file)),
            (Some(position), None) => title.element(origin(&file, position)),
            (None, _) => title.element(Origin::path(file.as_str())),
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(printable(help)));
        }
        draw(group, color)
    }

    /// The diagnostic for a log, on one line: `file:line:column: message; help`. Holds no line of the file.
    pub fn one_line(&self) -> String {
        let mut out = printable(&self.file.display().to_string());
        if let Some(Position { line, column, .. }) = self.position {
            _ = write!(out, ":{line}:{column}");
        }
        _ = write!(out, ": {}", printable(&self.message));
        if let Some(help) = &self.help {
            _ = write!(out, "; {}", printable(help));
        }
        out
    }

    /// The source line at the position, where there is one. Just behind the last line there is an empty one, at which
    /// "unexpected end" points.
    fn source(&self) -> Option<&str> {
        let text = self.text.as_deref()?;
        let wanted = self.position?.line.checked_sub(1)?;
        text.split('\n').nth(wanted).map(|line| line.trim_end_matches('\r'))
    }
}

/// The one of `candidates` that `name` was probably meant to be: the same but for case, `-` and `_`, or at most a
/// third of its letters away.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Longer than any name that exists; keeps the quadratic comparison small.
    const LONGEST: usize = 64;
    let folded = fold(name);
    let letters = folded.chars().count();
    if letters > LONGEST {
        return None;
    }
    let allowed = letters.max(3) / 3;
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(name: &str) -> String {
    name.replace('-', "_").to_lowercase()
}

fn snippet<'a>(
    position: Position,
    line: &'a str,
    file: &'a str,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    Snippet::source(line)
        .line_start(position.line)
        .path(file)
        .annotation(AnnotationKind::Primary.span(span(line, position)))
}

/// The bytes of `line` that `position` means; empty at its end when it points behind it.
fn span(line: &str, position: Position) -> Range<usize> {
    let offset = |characters| line.char_indices().nth(characters).map_or(line.len(), |(at, _)| at);
    let first = position.column.saturating_sub(1);
    offset(first)..offset(first.saturating_add(position.len))
}

fn origin(file: &str, position: Position) -> Origin<'_> {
    Origin::path(file).line(position.line).char_column(position.column)
}

fn draw(group: Group<'_>, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

/// Control characters are shown as escapes, so that a file cannot draw on the operator's terminal or forge a log line.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

pub mod machine;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(line: usize, column: usize, len: usize) -> Diagnostic {
        let text: Arc<str> = "hostname: mx.example.org\r\nlisteners:\n  mx: { lisen: [] }\n".into();
        Diagnostic::error("gatepost.yaml", "unknown key `lisen`").at(&text, Position::new(line, column, len))
    }

    #[test]
    fn renders_like_rustc() {
        let rendered = sample(3, 9, 5).with_help("did you mean `listen`?").render(false);
        let expected = "\
error: unknown key `lisen`
 --> gatepost.yaml:3:9
  |
3 |   mx: { lisen: [] }
  |         ^^^^^
  |
  = help: did you mean `listen`?";
        assert_eq!(rendered, expected);
    }

    #[test]
    fn renders_without_text_or_position() {
        let whole = Diagnostic::warning("a.yaml", "odd");
        assert_eq!(whole.render(false), "warning: odd\n--> a.yaml");
        let placed = Diagnostic::error("a.yaml", "odd").at_position(Position::new(3, 4, 1));
        assert_eq!(placed.render(false), "error: odd\n--> a.yaml:3:4");
    }

    #[test]
    fn points_anywhere_without_failing() {
        for line in [0, 1, 2, 3, 4, 5, 900, usize::MAX] {
            for column in [0, 1, 17, 18, 900, usize::MAX] {
                for len in [0, 1, 5, usize::MAX] {
                    let rendered = sample(line, column, len).render(true);
                    assert!(rendered.contains("unknown key"), "{line}:{column}+{len}");
                }
            }
        }
    }

    #[test]
    fn caret_counts_characters_not_bytes() {
        let text: Arc<str> = "größe: 25\n".into();
        let rendered = Diagnostic::error("a", "no unit").at(&text, Position::new(1, 8, 2)).render(false);
        assert!(rendered.contains("1 | größe: 25\n  |        ^^"), "{rendered}");
    }

    #[test]
    fn colour_only_when_asked() {
        assert!(!sample(3, 9, 5).render(false).contains('\u{1b}'));
        assert!(sample(3, 9, 5).render(true).contains('\u{1b}'));
    }

    #[test]
    fn one_line_holds_no_source_and_no_control_characters() {
        let line = sample(3, 9, 5).with_help("try\nthis\u{1b}[1m").one_line();
        assert_eq!(line, "gatepost.yaml:3:9: unknown key `lisen`; try\\nthis\\u{1b}[1m");
    }

    #[test]
    fn controls_in_the_source_do_not_reach_the_terminal() {
        let text: Arc<str> = "a: \u{1b}[2J\n".into();
        let rendered =
            Diagnostic::error("a\u{1b}b", "x\u{7}").at(&text, Position::new(1, 1, 1)).render(false);
        assert!(!rendered.contains('\u{1b}') && !rendered.contains('\u{7}'), "{rendered:?}");
    }

    #[test]
    fn nearest_names() {
        let known = ["listen", "limits", "certificates", "session_per_ip", "tls"];
        let cases = [
            ("lisen", Some("listen")),
            ("Listen", Some("listen")),
            ("sessions-per-ip", Some("session_per_ip")),
            ("certifcates", Some("certificates")),
            ("tsl", Some("tls")),
            ("", None),
            ("quarantine", None),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }
}
