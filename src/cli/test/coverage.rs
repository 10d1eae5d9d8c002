//! Which lines and rules no test reached, for people and for programs.

use serde_json::{Value, json};

use crate::policy::Coverage;

/// One line for each file, and one for all rules that never spoke.
pub(super) fn as_text(coverage: &Coverage) -> String {
    let mut text = String::new();
    for file in coverage.files() {
        let reached = file.lines - file.unreached.len();
        text += &format!("{}: {reached} of {} lines", file.file, file.lines);
        if !file.unreached.is_empty() {
            text += &format!(", never reached: {}", ranges(&file.unreached));
        }
        text.push('\n');
    }
    let (silent, rules) = coverage.silent_rules();
    text += &format!("{} of {rules} rules", rules - silent.len());
    if !silent.is_empty() {
        text += &format!(", never spoke: {}", silent.join(", "));
    }
    text.push('\n');
    text
}

pub(super) fn as_json(coverage: &Coverage) -> Value {
    let files = coverage
        .files()
        .into_iter()
        .map(|file| json!({ "file": &*file.file, "lines": file.lines, "unreached": file.unreached }));
    let (silent, rules) = coverage.silent_rules();
    let silent: Vec<&str> = silent.iter().map(|rule| &**rule).collect();
    json!({ "files": files.collect::<Vec<_>>(), "rules": rules, "silent_rules": silent })
}

/// `3, 5-7, 9`.
fn ranges(lines: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for line in lines {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *line => *last = *line,
            _ => ranges.push((*line, *line)),
        }
    }
    let shown = ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_follow_each_other_are_a_range() {
        assert_eq!(ranges(&[3, 5, 6, 7, 9, 10]), "3, 5-7, 9-10");
        assert_eq!(ranges(&[]), "");
    }
}
