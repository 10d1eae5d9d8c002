//! Fields of a line of text: `name=value`, in quotes where the value could be taken for more.
//!
//! What strangers said stands among them, and a sender is welcome to `event=transaction` in quotes of its own. So what holds a space, a
//! `=` or a quotation mark is quoted, as logfmt has it, and whoever cuts lines into fields finds those that are ours.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use super::is_deceptive;

/// Writes the message as it is, and behind it the other fields.
#[derive(Debug)]
pub(super) struct TextFields;

impl<'w> FormatFields<'w> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut pen = Pen { writer, begun: false, result: Ok(()) };
        fields.record(&mut pen);
        pen.result
    }
}

struct Pen<'w> {
    writer: Writer<'w>,
    begun: bool,
    result: fmt::Result,
}

impl Visit for Pen<'_> {
    /// Words of ours are in quotes, whatever they are.
    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, value, true);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, &format!("{value:?}"), false);
    }
}

impl Pen<'_> {
    fn write(&mut self, field: &Field, value: &str, is_word: bool) {
        // What the `log` crate says of itself, which stands before the message.
        if self.result.is_err() || field.name().starts_with("log.") {
            return;
        }
        self.result = self.try_write(field.name(), value, is_word);
        self.begun = true;
    }

    fn try_write(&mut self, name: &str, value: &str, is_word: bool) -> fmt::Result {
        if self.begun {
            self.writer.write_char(' ')?;
        }
        if name == "message" {
            return value.chars().try_for_each(|letter| self.letter(letter));
        }
        let name = name.trim_start_matches("r#");
        if self.writer.has_ansi_escapes() {
            write!(self.writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m")?;
        } else {
            write!(self.writer, "{name}=")?;
        }
        if is_word || is_ambiguous(value) { self.quoted(value) } else { self.writer.write_str(value) }
    }

    fn quoted(&mut self, value: &str) -> fmt::Result {
        self.writer.write_char('"')?;
        for letter in value.chars() {
            match letter {
                '"' | '\\' => write!(self.writer, "\\{letter}")?,
                letter => self.letter(letter)?,
            }
        }
        self.writer.write_char('"')
    }

    /// A character that acts on its neighbours is shown as an escape; most of them are already.
    fn letter(&mut self, letter: char) -> fmt::Result {
        if is_deceptive(letter) {
            write!(self.writer, "{}", letter.escape_unicode())
        } else {
            self.writer.write_char(letter)
        }
    }
}

/// Whether a value that stands there as it is could be taken for none, for several, or for a field.
fn is_ambiguous(value: &str) -> bool {
    let splits = |letter: char| letter.is_whitespace() || matches!(letter, '=' | '"') || is_deceptive(letter);
    value.is_empty() || value.contains(splits)
}
