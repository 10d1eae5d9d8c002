//! Diagnostics for programs: JSON, and the commands that GitHub's runners read from a job's output.

use serde::Serialize;

use super::Diagnostic;

/// One diagnostic as JSON has it. Places are counted from 1, in characters; what is not known is left out.
#[derive(Serialize)]
struct Told<'d> {
    severity: &'static str,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<usize>,
    message: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'d str>,
}

/// All diagnostics as one JSON array. Holds no line of the files.
pub fn json(found: &[Diagnostic]) -> String {
    let told: Vec<_> = found.iter().map(told).collect();
    // Texts and numbers only: there is nothing in it that JSON could not say.
    serde_json::to_string_pretty(&told).unwrap_or_else(|_| "[]".to_owned())
}

fn told(diagnostic: &Diagnostic) -> Told<'_> {
    Told {
        severity: diagnostic.severity.name(),
        file: diagnostic.file.display().to_string(),
        line: diagnostic.position.map(|position| position.line),
        column: diagnostic.position.map(|position| position.column),
        length: diagnostic.position.map(|position| position.len),
        message: &diagnostic.message,
        help: diagnostic.help.as_deref(),
    }
}

/// One line for each diagnostic, which GitHub shows beside the lines of a change.
pub fn github(found: &[Diagnostic]) -> String {
    let lines = found.iter().map(|diagnostic| {
        let place = diagnostic.position.map_or_else(String::new, |position| {
            format!(
                ",line={},col={},endColumn={}",
                position.line,
                position.column,
                position.column + position.len
            )
        });
        let help = diagnostic.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
        let message = data(&format!("{}{help}", diagnostic.message));
        let file = property(&diagnostic.file.display().to_string());
        format!("::{} file={file}{place}::{message}", diagnostic.severity.name())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A message ends with its line, and `%` begins an escape.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// In a property colons and commas are taken, too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Position;
    use super::*;

    fn found() -> Vec<Diagnostic> {
        let text: Arc<str> = "secret: 1\n".into();
        vec![
            Diagnostic::error("a,b.yaml", "no \"x\"\n100%")
                .at(&text, Position::new(1, 9, 1))
                .with_help("try y"),
            Diagnostic::warning("c.rhai", "odd"),
        ]
    }

    #[test]
    fn json_has_everything_but_the_source() {
        let told: serde_json::Value = serde_json::from_str(&json(&found())).unwrap();
        let first = serde_json::json!({
            "severity": "error", "file": "a,b.yaml", "line": 1, "column": 9, "length": 1,
            "message": "no \"x\"\n100%", "help": "try y"
        });
        let second = serde_json::json!({ "severity": "warning", "file": "c.rhai", "message": "odd" });
        assert_eq!(told, serde_json::json!([first, second]));
        assert_eq!(json(&[]), "[]");
    }

    #[test]
    fn github_gets_one_line_for_each() {
        let expected = "::error file=a%2Cb.yaml,line=1,col=9,endColumn=10::no \"x\"%0A100%25; try y\n::warning file=c.rhai::odd";
        assert_eq!(github(&found()), expected);
    }
}
