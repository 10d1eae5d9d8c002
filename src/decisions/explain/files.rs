//! The files of a message, as far as a rule may have stumbled on one.

use crate::message::mime::{Contents, EntriesResult, Entry, Part};

/// Files that are named.
const NAMED: usize = 5;

/// Names the files whose kind is among `values` of the policy's settings, and archives that nobody can look into; without any, how
/// many parts there are.
pub(super) fn words(contents: &Contents, values: &[String]) -> Vec<String> {
    let is_listed = |kind: &String| !kind.is_empty() && values.contains(kind);
    let mut told: Vec<String> = Vec::new();
    for part in &contents.parts {
        let entries = part.entries.iter().filter(|entry| is_listed(&entry.extension));
        if part.extensions().any(|extension| is_listed(&extension))
            || is_listed(&part.real_type)
            || is_closed(part)
        {
            told.push(format!("It saw the file {}.", file(part)));
        }
        told.extend(entries.map(|entry| format!("It saw the file {} in {}.", packed(entry), file(part))));
    }
    let more = told.len().saturating_sub(NAMED);
    told.truncate(NAMED);
    if more > 0 {
        told.push(format!("It saw {more} more such files."));
    }
    if told.is_empty() {
        let urls = contents.urls.len();
        told.push(format!("It saw the message's {} parts and {urls} URLs.", contents.parts.len()));
    }
    told
}

/// By what a policy can know a file.
pub(super) fn kinds(contents: &Contents) -> impl Iterator<Item = String> {
    contents.parts.iter().flat_map(|part| {
        let entries = part.entries.iter().map(|entry| entry.extension.clone());
        part.extensions().chain([part.real_type.clone()]).chain(entries)
    })
}

fn is_closed(part: &Part) -> bool {
    let broken = matches!(
        part.entries_result,
        EntriesResult::Truncated | EntriesResult::Encrypted | EntriesResult::Broken
    );
    part.encrypted || broken
}

fn file(part: &Part) -> String {
    let names: Vec<_> = part.names().collect();
    let name = if names.is_empty() { "without a name".to_owned() } else { names.join(" or ") };
    let kind = if part.real_type.is_empty() { &part.content_type } else { &part.real_type };
    let password = if part.encrypted { ", with a password" } else { "" };
    format!("{name} ({kind}, {} octets{password})", part.size)
}

fn packed(entry: &Entry) -> String {
    format!("{} ({} octets)", entry.name, entry.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_in_question_is_named() {
        let part = |name: &str, extension: &str| Part {
            name: name.into(),
            extension: extension.into(),
            content_type: "application/octet-stream".into(),
            size: 9,
            ..Part::default()
        };
        let entry = Entry { name: "a/evil.exe".into(), extension: "exe".into(), size: 7 };
        let zip = Part { entries: vec![entry], ..part("all.zip", "zip") };
        let two = Part { other_names: vec!["b.exe".into()], ..part("a.txt", "txt") };
        let parts = vec![part("note.txt", "txt"), part("invoice.exe", "exe"), zip, two];
        let contents = Contents { parts, ..Contents::default() };
        assert_eq!(
            words(&contents, &["exe".to_owned()]),
            [
                "It saw the file invoice.exe (application/octet-stream, 9 octets).",
                "It saw the file a/evil.exe (7 octets) in all.zip (application/octet-stream, 9 octets).",
                "It saw the file a.txt or b.exe (application/octet-stream, 9 octets)."
            ]
        );
        assert_eq!(words(&contents, &[]), ["It saw the message's 4 parts and 0 URLs."]);
    }
}
