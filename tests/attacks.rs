//! Holds the table of attacks to the tests that it names.

// Functions that tests call are not tests to clippy; a panic is how they report.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::path::Path;

/// The rows of the catalogue.
const ROWS: std::ops::RangeInclusive<u32> = 1..=218;

fn table() -> Vec<Vec<String>> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| rows "));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// `46-64, 71` as numbers.
fn numbers(cell: &str) -> impl Iterator<Item = u32> {
    cell.split(", ").flat_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        first.parse::<u32>().unwrap()..=last.parse().unwrap()
    })
}

#[test]
fn every_row_is_there_once_and_in_order() {
    let found: Vec<u32> = table().iter().flat_map(|row| numbers(&row[0]).collect::<Vec<_>>()).collect();
    let mut sorted = found.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ROWS.collect::<Vec<_>>(), "{found:?}");
}

#[test]
fn every_test_that_is_named_exists() {
    for row in table() {
        let [_, _, _, tests] = row.as_slice() else { panic!("{row:?}") };
        if tests.starts_with("none: ") {
            continue;
        }
        for test in tests.split(", ") {
            let name = test.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
            assert!(exists(name.unwrap_or_else(|| panic!("{test} in {row:?}"))), "{test} in {row:?}");
        }
    }
}

/// Rows 108 to 167: no fault is left out at any step.
#[test]
fn each_step_of_the_upstream_breaks_in_each_way() {
    for step in ["banner", "ehlo", "mail", "rcpt", "data", "dot"] {
        for fault in ["rst", "close", "stall", "half", "halfmulti", "garbage", "421", "451", "badcode", "1xx"]
        {
            let file = format!("tests/transcripts/upstream-faults/{step}-{fault}.smtp");
            assert!(exists(&file), "{file}");
        }
    }
}

/// A function of a file, a file, or files that begin so.
fn exists(test: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Some((file, function)) = test.split_once("::") {
        let text = fs::read_to_string(root.join(file)).unwrap_or_default();
        return text.contains(&format!("fn {function}("));
    }
    let path = root.join(test);
    let (folder, start) = (path.parent().unwrap(), path.file_name().unwrap().to_string_lossy().into_owned());
    let transcripts = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    transcripts.map(|name| name.to_string_lossy().into_owned()).any(|name| name.starts_with(&start))
}
