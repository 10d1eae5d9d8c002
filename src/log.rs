//! The log: where lines go, how they look, and how text from strangers is made harmless in them.
//!
//! Lines go to standard error, as text on a terminal and as one JSON object each otherwise, so that journald, Docker and
//! Kubernetes take them as they are. Where standard error is systemd's journal, each begins with its priority. Text that a client or an upstream chose is logged through [`safe`] only; bodies and
//! secrets are never logged.

mod journal;
mod json;
mod text;

use std::fmt;
use std::io::{IsTerminal, stderr};
use std::str::FromStr;
use std::sync::OnceLock;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use journal::Prioritized;
use text::TextFields;

pub use json::{escaped, safe_json};

/// The most characters of a stranger's text that one field of the log shows.
const MOST_SHOWN: usize = 256;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// [`Text`](Self::Text) on a terminal, else [`Json`](Self::Json).
    #[default]
    Auto,
    /// For people; in colour on a terminal, unless `NO_COLOR` is set.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// Which lines are written: a level for Gatepost and its libraries, or directives for parts of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Level(String);

/// A level that does not exist.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0:?} is no level; it is one of off, error, warn, info, debug, trace, or directives such as info,gatepost::dns=debug"
)]
pub struct LevelError(String);

/// The log cannot begin.
#[derive(Debug, thiserror::Error)]
#[error("the log cannot begin: {0}")]
pub struct InitError(#[from] tracing::subscriber::SetGlobalDefaultError);

impl Level {
    /// Reads `off`, `error`, `warn`, `info`, `debug` or `trace`, or directives (`warn,gatepost::dns=debug`).
    ///
    /// A plain level is Gatepost's own; its libraries are heard up to `warn`, since what they say at `info` and below
    /// concerns those who write them.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, LevelError> {
        if let Some(own) = level_named(text) {
            let libraries = own.min(LevelFilter::WARN);
            return Ok(Self(format!("{libraries},gatepost={own}")));
        }
        // The filter takes any lone word for a target, a misspelt level too.
        let plausible = text.split(',').all(|part| part.contains('=') || level_named(part).is_some());
        match EnvFilter::builder().parse(text) {
            Ok(_) if plausible => Ok(Self(text.to_owned())),
            _ => Err(LevelError(text.to_owned())),
        }
    }

    fn filter(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

fn level_named(word: &str) -> Option<LevelFilter> {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    levels.contains(&word).then(|| LevelFilter::from_str(word).ok()).flatten()
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for Level {
    fn default() -> Self {
        Self("warn,gatepost=info".to_owned())
    }
}

/// Sends every line from now on to standard error. Called once, by the commands that run for long.
///
/// # Errors
/// It was called before.
pub fn init(format: Format, level: &Level) -> Result<(), InitError> {
    let terminal = stderr().is_terminal();
    let form = match format {
        Format::Auto if terminal => Format::Text,
        Format::Auto => Format::Json,
        chosen => chosen,
    };
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let journal = journal::is_reached_by(stderr(), std::env::var("JOURNAL_STREAM").ok().as_deref());
    let look = Look { json: form == Format::Json, colour, journal };
    let (subscriber, volume) = subscriber(look, level, stderr);
    tracing::subscriber::set_global_default(subscriber)?;
    // There is one log, and it was just begun.
    let _ = VOLUME.set(volume);
    Ok(())
}

/// Which lines are written from now on, in place of what [`init`] was told. Without a log there is nothing to change.
pub fn set_level(level: &Level) {
    if let Some(Volume(set)) = VOLUME.get() {
        set(level.filter());
    }
}

/// Where the level of the log can be changed.
static VOLUME: OnceLock<Volume> = OnceLock::new();

struct Volume(Box<dyn Fn(EnvFilter) + Send + Sync>);

/// How lines look, once it is known where they go.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    json: bool,
    colour: bool,
    /// Whether they go to systemd's journal, which wants a priority and has the time.
    journal: bool,
}

fn subscriber<W>(look: Look, level: &Level, writer: W) -> (Box<dyn Subscriber + Send + Sync>, Volume)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_env_filter(level.filter()).with_writer(writer);
    if look.json {
        let lines = lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
        let lines = lines.map_event_format(|format| Prioritized::new(format, look.journal));
        let lines = lines.with_filter_reloading();
        let handle = lines.reload_handle();
        // It fails only once the log is gone, and then there is nothing to change.
        let set = move |filter| _ = handle.reload(filter);
        (Box::new(lines.finish()), Volume(Box::new(set)))
    } else if look.journal {
        let lines = lines.fmt_fields(TextFields).with_ansi(false).without_time();
        let lines = lines.map_event_format(|format| Prioritized::new(format, true)).with_filter_reloading();
        let handle = lines.reload_handle();
        let set = move |filter| _ = handle.reload(filter);
        (Box::new(lines.finish()), Volume(Box::new(set)))
    } else {
        let lines = lines.fmt_fields(TextFields).with_ansi(look.colour).with_filter_reloading();
        let handle = lines.reload_handle();
        let set = move |filter| _ = handle.reload(filter);
        (Box::new(lines.finish()), Volume(Box::new(set)))
    }
}

/// Shows text that a stranger chose so that it stays one line and says what it says.
///
/// Control characters, line separators, and characters that are invisible or turn the direction of writing are shown as
/// escapes in Rust's style; so is the backslash, which makes the escapes unambiguous. After 256 characters it ends with
/// `…`.
pub const fn safe(text: &str) -> Safe<'_> {
    Safe(text)
}

/// Text made harmless; see [`safe`].
#[derive(Clone, Copy, Debug)]
pub struct Safe<'t>(&'t str);

impl fmt::Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for (shown, letter) in self.0.chars().enumerate() {
            if shown == MOST_SHOWN {
                return f.write_char('…');
            }
            match letter {
                '\\' | '\n' | '\r' | '\t' => write!(f, "{}", letter.escape_default())?,
                deceptive if is_deceptive(deceptive) => write!(f, "{}", deceptive.escape_unicode())?,
                plain => f.write_char(plain)?,
            }
        }
        Ok(())
    }
}

/// Whether a character acts on a terminal or on its neighbours instead of being seen.
fn is_deceptive(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(json: bool, level: &str, write: impl FnOnce()) -> String {
        written_as(Look { json, ..Look::default() }, level, write)
    }

    fn written_as(look: Look, level: &str, write: impl FnOnce()) -> String {
        let page = Page::default();
        let pen = page.clone();
        let (subscriber, _) = subscriber(look, &Level::parse(level).unwrap(), move || pen.clone());
        tracing::subscriber::with_default(subscriber, write);
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_of_json_is_one_flat_object() {
        let line = written(true, "info", || {
            tracing::info!(target: "gatepost::proxy", helo = %safe("a\r\nb\u{1b}[31m"), code = 550, "refused");
        });
        assert_eq!(line.matches('\n').count(), 1);
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["level"], "INFO");
        assert_eq!(object["message"], "refused");
        assert_eq!(object["code"], 550);
        assert_eq!(object["helo"], r"a\r\nb\u{1b}[31m");
    }

    #[test]
    fn a_line_of_text_stays_one_line() {
        let line = written(false, "info", || {
            tracing::warn!(target: "gatepost::proxy", helo = %safe("x\n2026-01-01 INFO forged"), "refused");
        });
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.contains(r#"helo="x\\n2026-01-01 INFO forged""#), "{line}");
        assert!(!line.contains('\u{1b}'), "no colour was asked for");
    }

    /// Whoever cuts a line into fields finds ours alone.
    #[test]
    fn no_field_of_a_line_of_text_can_be_forged() {
        for journal in [false, true] {
            let lines = written_as(Look { journal, ..Look::default() }, "info", || {
                let sender = r#"<"a b event=transaction rule=x"@example.net>"#;
                tracing::info!(target: "gatepost::proxy", event = "refused", sender = %safe(sender), code = 501, "refused");
                tracing::info!(target: "gatepost::proxy", helo = %safe(""), reply = %safe("501 5.1.7 no"), "refused");
                tracing::info!(target: "gatepost::proxy", helo = %safe("a=b"), client = %"192.0.2.1", "refused");
                tracing::info!(target: "gatepost::proxy", helo = %safe("x\" y=\\\"z"), "re\nfused");
            });
            for fields in [
                r#"refused event="refused" sender="<\"a b event=transaction rule=x\"@example.net>" code=501"#,
                r#"refused helo="" reply="501 5.1.7 no""#,
                r#"refused helo="a=b" client=192.0.2.1"#,
                r#"re\u{a}fused helo="x\" y=\\\\\"z""#,
            ] {
                assert!(lines.lines().any(|line| line.ends_with(fields)), "{fields} in {lines}");
            }
        }
    }

    #[test]
    fn levels_are_gateposts_own_and_libraries_stay_quiet() {
        let talk = || {
            tracing::debug!(target: "gatepost::dns", "ours");
            tracing::info!(target: "hickory_resolver", "theirs");
            tracing::error!(target: "hickory_resolver", "trouble");
        };
        for (level, ours, theirs, trouble) in [
            ("debug", true, false, true),
            ("info", false, false, true),
            ("off", false, false, false),
            ("error,hickory_resolver=info", false, true, true),
        ] {
            let lines = written(false, level, talk);
            assert_eq!(lines.contains("ours"), ours, "{level}");
            assert_eq!(lines.contains("theirs"), theirs, "{level}");
            assert_eq!(lines.contains("trouble"), trouble, "{level}");
        }
    }

    /// The journal takes `<6>` off, so that what it keeps is the line alone.
    #[test]
    fn a_line_for_the_journal_begins_with_its_priority() {
        let talk = || {
            tracing::error!(target: "gatepost::proxy", "e");
            tracing::warn!(target: "gatepost::proxy", "w");
            tracing::info!(target: "gatepost::proxy", "i");
            tracing::debug!(target: "gatepost::proxy", "d");
        };
        for json in [true, false] {
            let lines = written_as(Look { json, colour: false, journal: true }, "debug", talk);
            let lines: Vec<&str> = lines.lines().collect();
            assert_eq!(lines.len(), 4);
            for (line, (priority, level)) in
                lines.iter().zip([("<3>", "ERROR"), ("<4>", "WARN"), ("<6>", "INFO"), ("<7>", "DEBUG")])
            {
                let rest = line.strip_prefix(priority).unwrap();
                if json {
                    assert_eq!(serde_json::from_str::<serde_json::Value>(rest).unwrap()["level"], level);
                } else {
                    assert!(rest.trim_start().starts_with(level), "no time, which the journal has: {rest}");
                }
            }
        }
    }

    #[test]
    fn the_level_changes_while_lines_are_written() {
        let page = Page::default();
        let pen = page.clone();
        let look = Look { json: true, ..Look::default() };
        let (subscriber, Volume(set)) = subscriber(look, &Level::default(), move || pen.clone());
        tracing::subscriber::with_default(subscriber, || {
            let talk = |what: &str| tracing::debug!(target: "gatepost::proxy", "{what}");
            talk("before");
            set(Level::parse("debug").unwrap().filter());
            talk("between");
            set(Level::parse("info").unwrap().filter());
            talk("behind");
        });
        let lines = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert!(
            lines.contains("between") && !lines.contains("before") && !lines.contains("behind"),
            "{lines}"
        );
    }

    #[test]
    fn what_is_no_level_is_an_error() {
        for wrong in
            ["", "inof", "3", "gatepost", "INFO", "warn,gatepost", "inof,gatepost=debug", "gatepost=loud"]
        {
            assert_eq!(Level::parse(wrong), Err(LevelError(wrong.to_owned())), "{wrong:?}");
        }
    }

    #[test]
    fn the_default_level_is_info() {
        assert_eq!(Level::parse("info").unwrap(), Level::default());
    }

    #[test]
    fn strangers_text_is_shown_as_it_is_and_no_more() {
        for (text, shown) in [
            ("mail.example.org", "mail.example.org"),
            ("Grüße", "Grüße"),
            ("a\0b", r"a\u{0}b"),
            (r"a\b", r"a\\b"),
            ("\u{202e}gro.elpmaxe", r"\u{202e}gro.elpmaxe"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("pay\u{200b}pal", r"pay\u{200b}pal"),
        ] {
            assert_eq!(safe(text).to_string(), shown);
        }
        assert_eq!(safe(&"x".repeat(MOST_SHOWN)).to_string(), "x".repeat(MOST_SHOWN));
        assert_eq!(safe(&"x".repeat(MOST_SHOWN + 1)).to_string(), format!("{}…", "x".repeat(MOST_SHOWN)));
    }

    proptest! {
        #[test]
        fn nothing_that_acts_comes_through(text in "(?s).{0,300}") {
            let shown = safe(&text).to_string();
            prop_assert!(!shown.chars().any(is_deceptive));
            let longest = r"\u{10ffff}".len();
            prop_assert!(shown.chars().count() <= MOST_SHOWN * longest + 1);
        }
    }
}
