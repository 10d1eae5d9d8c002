//! Whether what was heard is what was expected, and what to show when it is not.

use similar::{ChangeTag, TextDiff};

use super::pattern::{Pattern, ReplyLine};

/// Whether the lines of a reply are the expected ones.
///
/// A single expected line speaks about the last line of a reply, and those before it stay open. Where lines that go on
/// (`250-`) are expected, all lines are, except that `250-...` stands for any number of them.
pub(super) fn reply_matches(expected: &[ReplyLine], heard: &[String]) -> bool {
    match (expected, heard) {
        ([only], [.., last]) => only.is_anything() || only.matches(last),
        _ => lines_match(expected, heard, ReplyLine::is_open, |line, heard| line.matches(heard)),
    }
}

/// Whether the lines of a message are the expected ones; a `...` alone stands for any number of lines.
pub(super) fn text_matches(expected: &[Pattern], lines: &[String]) -> bool {
    lines_match(expected, lines, Pattern::is_anything, |pattern, line| pattern.matches(line))
}

/// Whether `lines` are `expected`, where an expected line that is `open` stands for any number of lines.
fn lines_match<E>(
    expected: &[E],
    lines: &[String],
    open: impl Fn(&E) -> bool + Copy,
    fits: impl Fn(&E, &str) -> bool + Copy,
) -> bool {
    // The usual walk over a pattern with wildcards: on a mismatch, the last open line takes one line more.
    let (mut at, mut line, mut retry) = (0, 0, None);
    loop {
        match (expected.get(at), lines.get(line)) {
            (None, None) => return true,
            (Some(pattern), _) if open(pattern) => {
                retry = Some((at + 1, line + 1));
                at += 1;
            }
            (Some(pattern), Some(text)) if fits(pattern, text) => (at, line) = (at + 1, line + 1),
            _ => match retry {
                Some((after, next)) if next <= lines.len() => {
                    (at, line) = (after, next);
                    retry = Some((after, next + 1));
                }
                _ => return false,
            },
        }
    }
}

/// The difference between what was expected and what came, one line each, in the form of a patch.
///
/// An expected line that fits a line that came is shown as that line, so that only what differs stands out.
pub(super) fn difference(expected: &[String], fits: impl Fn(&str, &str) -> bool, came: &[String]) -> String {
    let mut left: &[String] = came;
    let mut shown = Vec::with_capacity(expected.len());
    for wanted in expected {
        match left.iter().position(|line| fits(wanted, line)) {
            Some(at) => {
                shown.extend(left.get(at).cloned());
                left = left.get(at + 1..).unwrap_or_default();
            }
            None => shown.push(wanted.clone()),
        }
    }
    let (old, new): (Vec<&str>, Vec<&str>) =
        (shown.iter().map(String::as_str).collect(), came.iter().map(String::as_str).collect());
    let diff = TextDiff::from_slices(&old, &new);
    let mut out = String::new();
    for group in diff.grouped_ops(3) {
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let mark = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            out.push_str(&format!("  {mark} {}\n", change.value()));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Vec<String> {
        text.split('/').map(str::to_owned).collect()
    }

    #[test]
    fn replies() {
        let cases = [
            ("250 ok", "250 ok", true),
            ("250 ...", "250-a/250-b/250 c", true),
            ("250 b", "250-a/250 c", false),
            ("...", "220-a/220 b", true),
            ("250-a/250 b", "250-a/250 b", true),
            ("250-a/250 b", "250-a/250-x/250 b", false),
            ("250-a/250 b", "250 b", false),
            ("250-.../250 b", "250 b", true),
            ("250-.../250-b/250 c", "250-a/250-b/250-b/250 c", true),
            ("250-.../250-b/250 c", "250-a/250-b/250-d/250 c", false),
            ("250-a/250-.../250 c", "250-a/250-b/250 c", true),
            ("550 5.1.1 ...", "550 5.1.1 no such user", true),
        ];
        for (expected, heard, matches) in cases {
            let expected: Vec<_> = expected.split('/').map(|line| ReplyLine::new(line).unwrap()).collect();
            assert_eq!(reply_matches(&expected, &reply(heard)), matches, "{expected:?} on {heard}");
        }
    }

    #[test]
    fn texts() {
        let cases = [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            (".../b", "x/y/b", true),
            (".../b/...", "b", true),
            ("a/...", "a", true),
            ("a/.../b/.../c", "a/b/x/b/c", true),
            ("a/.../b", "a/c", false),
            ("...", "", true),
            ("Received: .../x", "Received: from y/x", true),
        ];
        for (expected, lines, matches) in cases {
            let patterns: Vec<_> = expected.split('/').map(Pattern::new).collect();
            assert_eq!(text_matches(&patterns, &reply(lines)), matches, "{expected} on {lines}");
        }
    }

    #[test]
    fn only_what_differs_stands_out() {
        let fits = |wanted: &str, line: &str| Pattern::new(wanted).matches(line);
        let shown = difference(&reply("S: 250-a.../S: 250 x"), fits, &reply("S: 250-abc/S: 250 y"));
        assert_eq!(shown, "    S: 250-abc\n  - S: 250 x\n  + S: 250 y\n");
    }
}
