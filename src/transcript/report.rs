//! What came of a run: numbers for a machine, differences for a person.

use std::fmt;
use std::path::{Path, PathBuf};

use super::play::Failure;
use crate::diagnostic::Diagnostic;

/// What came of running transcripts.
#[derive(Clone, Debug, Default)]
pub struct Report {
    passed: usize,
    /// In the order of the files.
    failed: Vec<(PathBuf, Vec<Failed>)>,
}

/// One thing that went wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Failed {
    /// The transcript or its policies cannot be used.
    Unusable(Diagnostic),
    /// The dialogue went another way.
    Run(Failure),
}

impl Report {
    pub(super) fn add(&mut self, file: &Path, failed: Vec<Failed>) {
        if failed.is_empty() {
            self.passed += 1;
            return;
        }
        let at = self.failed.partition_point(|(other, _)| other.as_path() < file);
        self.failed.insert(at, (file.to_owned(), failed));
    }

    /// How many transcripts went as they say.
    pub const fn passed(&self) -> usize {
        self.passed
    }

    /// How many did not, those that could not be read included.
    pub const fn failed(&self) -> usize {
        self.failed.len()
    }

    /// Whether all went as they say.
    pub const fn is_success(&self) -> bool {
        self.failed.is_empty()
    }

    /// What went otherwise, in the order of the files.
    pub fn problems(&self) -> impl Iterator<Item = Problem<'_>> {
        self.failed.iter().flat_map(|(file, failed)| failed.iter().map(move |one| problem(file, one)))
    }

    /// The failures for a terminal: each with file and line, the dialogue up to there, and the difference. Empty when there
    /// are none. With `color`, styled by ANSI sequences.
    pub fn failures(&self, color: bool) -> String {
        let each = |(file, failed): &(PathBuf, Vec<Failed>)| {
            failed.iter().map(|one| rendered(file, one, color)).collect::<String>()
        };
        self.failed.iter().map(each).collect()
    }
}

/// The closing line: `N passed, N failed`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed.len())
    }
}

/// One thing that went otherwise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem<'r> {
    /// The transcript.
    pub file: &'r Path,
    /// Its line; 0 for what concerns the whole.
    pub line: usize,
    /// In one sentence.
    pub what: &'r str,
    /// The dialogue up to there, and the difference.
    pub shown: &'r str,
}

fn problem<'r>(file: &'r Path, failed: &'r Failed) -> Problem<'r> {
    match failed {
        Failed::Unusable(diagnostic) => Problem {
            file: &diagnostic.file,
            line: diagnostic.position.map_or(0, |position| position.line),
            what: &diagnostic.message,
            shown: diagnostic.help.as_deref().unwrap_or_default(),
        },
        Failed::Run(failure) => {
            Problem { file, line: failure.line, what: &failure.what, shown: &failure.shown }
        }
    }
}

fn rendered(file: &Path, failed: &Failed, color: bool) -> String {
    match failed {
        Failed::Unusable(diagnostic) => format!("{}\n\n", diagnostic.render(color)),
        Failed::Run(failure) => {
            let place = match failure.line {
                0 => file.display().to_string(),
                line => format!("{}:{line}", file.display()),
            };
            let (bold, off) = if color { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
            let shown: String = failure.shown.lines().map(|line| painted(line, color)).collect();
            format!("{bold}{place}: {}{off}\n{shown}\n", failure.what)
        }
    }
}

/// A line of a difference in the colours of a patch.
fn painted(line: &str, color: bool) -> String {
    let paint = match line.trim_start().chars().next() {
        _ if !color || !line.starts_with("  ") || line.starts_with("    ") => "",
        Some('-') => "\u{1b}[31m",
        Some('+') => "\u{1b}[32m",
        _ => "",
    };
    let off = if paint.is_empty() { "" } else { "\u{1b}[0m" };
    format!("{paint}{line}{off}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_and_the_order_of_failures() {
        let mut report = Report::default();
        let failure = |line| {
            vec![Failed::Run(Failure {
                line,
                what: "something else".to_owned(),
                shown: "    C: x\n  - S: a\n  + S: b\n".to_owned(),
            })]
        };
        report.add(Path::new("b.smtp"), failure(3));
        report.add(Path::new("c.smtp"), Vec::new());
        report.add(Path::new("a.smtp"), failure(0));
        assert_eq!(report.to_string(), "1 passed, 2 failed");
        assert!(!report.is_success());
        let expected = "\
a.smtp: something else
    C: x
  - S: a
  + S: b

b.smtp:3: something else
    C: x
  - S: a
  + S: b

";
        assert_eq!(report.failures(false), expected);
        assert!(report.failures(true).contains("\u{1b}[31m  - S: a\u{1b}[0m\n"));
    }
}
