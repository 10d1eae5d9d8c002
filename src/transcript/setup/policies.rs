//! Policies as a transcript sets them: of its own, settings and modes.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::words::{Mistake, Word, Words};
use crate::diagnostic::{Diagnostic, Position};
use crate::policy::judgement::Mode;
use crate::policy::sources::{Setting, TableEntries};

/// A policy in a transcript: `policy NAME` and the lines of its file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::transcript) struct OwnPolicy {
    /// The file name, with `.rhai`.
    pub(in crate::transcript) file: String,
    pub(in crate::transcript) text: String,
    /// The transcript in which it stands, or a file that this includes, with its text.
    pub(in crate::transcript) stands_in: (PathBuf, Arc<str>),
    /// Where each of its lines begins there.
    pub(in crate::transcript) places: Vec<Position>,
}

impl OwnPolicy {
    /// What is wrong with it, at its place in the transcript.
    pub(in crate::transcript) fn place(&self, problem: Diagnostic) -> Diagnostic {
        let (file, text) = &self.stands_in;
        let place = problem.position.and_then(|position| {
            let begins = self.places.get(position.line.checked_sub(1)?).or_else(|| self.places.last())?;
            Some(Position::new(begins.line, begins.column + position.column - 1, position.len))
        });
        let problem = Diagnostic { file: file.clone(), text: None, position: None, ..problem };
        match place {
            Some(place) => problem.at(text, place),
            None => problem,
        }
    }

    /// Whether `name` is a file in the folder of policies, in `lib`, or in the folder of a domain: nowhere else is written to.
    pub(in crate::transcript) fn can_be(name: &str) -> bool {
        let file = match name.split_once('/') {
            None => name,
            Some(("lib", file)) => file,
            Some(("domains", rest)) => match rest.split_once('/') {
                Some((domain, file)) if !domain.starts_with('.') && !domain.is_empty() => file,
                _ => return false,
            },
            Some(_) => return false,
        };
        file.ends_with(".rhai") && !file.contains('/')
    }
}

/// `setting policy.name value`; the name of the policy may itself hold dots.
pub(super) fn setting(words: &mut Words<'_>) -> Result<(String, String, Setting), Mistake> {
    let path = words.expect("policy.name")?;
    let (policy, name) = path.text.rsplit_once('.').ok_or_else(|| path.mistake("write it as policy.name"))?;
    let value = if words.peek().starts_with('"') {
        Setting::Text(String::from_utf8_lossy(&words.quoted()?).into_owned())
    } else {
        setting_value(words.rest())?
    };
    Ok((policy.to_owned(), name.to_owned(), value))
}

/// A number or a truth value if it looks like one, `[a, b]` as an array, any other text as a text; in quotes it is always
/// a text.
fn setting_value(word: Word<'_>) -> Result<Setting, Mistake> {
    let scalar = |text: &str| match text.parse::<i64>() {
        Ok(number) => Setting::Integer(number),
        Err(_) => match (text, text.parse::<f64>()) {
            ("true", _) => Setting::Bool(true),
            ("false", _) => Setting::Bool(false),
            (_, Ok(number)) => Setting::Float(number),
            (_, Err(_)) => Setting::Text(text.to_owned()),
        },
    };
    match word.text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        _ if word.text.is_empty() => Err(word.mistake("the value is missing")),
        Some(items) => {
            let items = items.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Setting::Array(items.map(scalar).collect()))
        }
        None => Ok(scalar(word.text)),
    }
}

/// `mode policy.rule shadow`.
pub(super) fn mode(words: &mut Words<'_>) -> Result<(String, Mode), Mistake> {
    let rule = words.expect("a policy or policy.rule")?;
    let mode = words.expect("a mode")?.choose("mode", &Mode::ALL.map(|mode| (mode.name(), mode)))?;
    Ok((rule.text.to_owned(), mode))
}

/// `table NAME KEY VALUE...`, one key a line.
pub(super) fn table(words: &mut Words<'_>, tables: &mut Vec<(String, TableEntries)>) -> Result<(), Mistake> {
    let name = words.expect("the table's name")?.text.to_owned();
    let key = words.expect("a key")?.text.trim_end_matches(':').to_owned();
    let values = words.list().iter().map(|word| word.text.to_owned()).collect();
    match tables.iter_mut().find(|(known, _)| *known == name) {
        Some((_, entries)) => entries.push((key, values)),
        None => tables.push((name, vec![(key, values)])),
    }
    Ok(())
}
