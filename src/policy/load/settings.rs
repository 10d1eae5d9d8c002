//! Settings: declared with a default in the policy, perhaps given another value by the configuration.

use std::collections::{BTreeMap, HashMap};

use rhai::Dynamic;

use super::super::lint::{Asked, Fault, Wanted};
use super::super::sources::{Setting, Sources};
use super::constants::Default;
use super::{Script, suggest};
use crate::diagnostic::Diagnostic;

/// Entries of an array that are shown as an example.
const MAX_SHOWN: usize = 3;

/// The values of a script's settings.
pub(super) fn resolve(script: &Script, sources: &Sources) -> HashMap<String, Dynamic> {
    let declared = script.constants.settings.iter();
    let mut all: HashMap<_, _> =
        declared.map(|default| (default.name.clone(), dynamic(&default.value, &default.value))).collect();
    if let Some(given) = sources.settings.get(&*script.name) {
        all.extend(values(script, given));
    }
    all
}

/// The values that are given to settings of a script.
pub(super) fn values(script: &Script, given: &BTreeMap<String, Setting>) -> HashMap<String, Dynamic> {
    let declared = script.constants.settings.iter();
    let given = declared.filter_map(|default| Some((default, given.get(&default.name)?)));
    given.map(|(default, value)| (default.name.clone(), dynamic(value, &default.value))).collect()
}

/// Checks the uses of settings in scripts, and all their values: the defaults, and those of the configuration, for all and for domains.
pub(super) fn check(scripts: &[Script], sources: &Sources, asked: &Asked, problems: &mut Vec<Diagnostic>) {
    for script in scripts {
        check_uses(script, problems);
        check_defaults(script, asked, problems);
    }
    let given = Given { scripts, sources, asked };
    given.check("policies.settings", &sources.settings, problems);
    for (domain, source) in &sources.domains {
        given.check(&format!("policies.domains.{domain}.settings"), &source.settings, problems);
    }
}

fn check_uses(script: &Script, problems: &mut Vec<Diagnostic>) {
    let declared = || script.constants.settings.iter().map(|default| default.name.as_str());
    for (name, position) in &script.names.settings {
        if !declared().any(|known| known == name) && !script.constants.spoilt.contains(name) {
            let message = format!("`{name}` is not declared in SETTINGS of this policy");
            let problem = suggest(script.file.error(*position, name.len() + 2, message), name, declared());
            let help = format!("declare it with its default: `const SETTINGS = #{{ {name}: ... }};`");
            problems.push(if problem.help.is_some() { problem } else { problem.with_help(help) });
        }
    }
    let is_read = |name: &str| script.names.settings.iter().any(|(read, _)| read == name);
    for default in script.constants.settings.iter().filter(|default| !is_read(&default.name)) {
        let message = format!("nothing reads the setting `{}`", default.name);
        let problem = script.file.warning(default.position, default.name.chars().count(), message);
        problems.push(
            problem.with_help(format!("read it with `setting(\"{}\")`, or take it away", default.name)),
        );
    }
}

/// All that is wrong with a value of the type of its default, or with the entry that has the number. What is empty stands for nothing
/// where the default is empty, too.
fn faults(asked: &Asked, script: &Script, default: &Default, value: &Setting) -> Vec<(Option<usize>, Fault)> {
    let Some(wanted) = asked.wanted(&script.name, &default.name) else { return Vec::new() };
    match value {
        Setting::Text(text) if text.is_empty() && *value == default.value => Vec::new(),
        Setting::Text(text) => {
            let fault = wanted.fault(text).map(|fault| (None, like(default, wanted, fault)));
            fault.into_iter().collect()
        }
        Setting::Array(entries) => {
            let texts: Vec<_> = entries.iter().map(text_of).collect();
            if let Some(fault) = wanted.fault_of_all(&texts) {
                return vec![(None, fault)];
            }
            let each = texts.iter().enumerate();
            each.filter_map(|(number, text)| Some((Some(number), wanted.fault(text)?))).collect()
        }
        _ => Vec::new(),
    }
}

/// The default shows how to write a text, if it is what that has to be.
fn like(default: &Default, wanted: &Wanted, fault: Fault) -> Fault {
    match &default.value {
        Setting::Text(text) if fault.wanted.is_some() && wanted.is_example(text) => {
            Fault { help: like_default(default), ..fault }
        }
        _ => fault,
    }
}

/// A default that the script itself cannot use.
fn check_defaults(script: &Script, asked: &Asked, problems: &mut Vec<Diagnostic>) {
    for default in &script.constants.settings {
        let (name, len) = (&default.name, default.name.chars().count());
        for (entry, fault) in faults(asked, script, default, &default.value) {
            let problem = match (fault.wanted, entry) {
                (Some(wanted), None) => {
                    let message = format!("the setting `{name}` is used as {wanted}, and this is none");
                    script.file.error(default.position, len, message)
                }
                (Some(_), Some(_)) => script.file.error(default.position, len, fault.message),
                (None, _) => script.file.warning(default.position, len, fault.message),
            };
            problems.push(problem.with_help(fault.help));
        }
    }
}

/// The values that the configuration gives.
struct Given<'g> {
    scripts: &'g [Script],
    sources: &'g Sources,
    asked: &'g Asked,
}

impl Given<'_> {
    /// Those at `path`.
    fn check(
        &self,
        path: &str,
        given: &BTreeMap<String, BTreeMap<String, Setting>>,
        problems: &mut Vec<Diagnostic>,
    ) {
        for (policy, values) in given {
            let Some(script) = self.scripts.iter().find(|script| *script.name == **policy) else {
                let message = format!("{path}: there is no policy `{policy}`");
                let problem = self.sources.error(&format!("{path}.{policy}"), message);
                problems.push(suggest(problem, policy, self.scripts.iter().map(|script| &*script.name)));
                continue;
            };
            for (name, value) in values {
                problems.extend(self.value_problems(&format!("{path}.{policy}"), script, name, value));
            }
        }
    }

    /// What is wrong with one value.
    fn value_problems(&self, path: &str, script: &Script, name: &str, value: &Setting) -> Vec<Diagnostic> {
        let settings = &script.constants.settings;
        let place = format!("{path}.{name}");
        let Some(default) = settings.iter().find(|default| default.name == name) else {
            let problem = self.sources.error(&place, format!("{path}: there is no setting `{name}`"));
            return vec![suggest(problem, name, settings.iter().map(|default| default.name.as_str()))];
        };
        if let Some(wanted) = mismatch(&default.value, value) {
            let problem = self.sources.error(&place, format!("{place} must be {wanted}"));
            return vec![problem.with_help(like_default(default))];
        }
        let all = faults(self.asked, script, default, value);
        all.into_iter().map(|(entry, fault)| self.problem(&place, entry, fault)).collect()
    }

    /// At the entry, as far as it is known where that stands.
    fn problem(&self, path: &str, entry: Option<usize>, fault: Fault) -> Diagnostic {
        let entry_path = entry.map(|number| format!("{path}.{number}"));
        let known = entry_path.filter(|entry| self.sources.places.keys.contains_key(entry));
        let place = known.as_deref().unwrap_or(path);
        let problem = match (fault.wanted, entry) {
            (Some(wanted), None) => self.sources.error(place, format!("{path} must be {wanted}")),
            (Some(_), Some(_)) => self.sources.error(place, format!("{path}: {}", fault.message)),
            (None, _) => self.sources.warning(place, format!("{path}: {}", fault.message)),
        };
        problem.with_help(fault.help)
    }
}

/// The entry as a text. What is none is shown like one, and is of no form.
fn text_of(entry: &Setting) -> String {
    match entry {
        Setting::Text(text) => text.clone(),
        other => in_yaml(other),
    }
}

fn like_default(default: &Default) -> String {
    format!("write it like its default, `{}: {}`", default.name, in_yaml(&default.value))
}

/// The value as it stands in the configuration. A text that would be taken for something else has quotes.
fn in_yaml(value: &Setting) -> String {
    match value {
        Setting::Text(text) => {
            let is_plain = text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./@".contains(c))
                && text.parse::<f64>().is_err()
                && text.parse::<bool>().is_err();
            if is_plain { text.clone() } else { format!("\"{}\"", text.escape_debug()) }
        }
        Setting::Integer(number) => number.to_string(),
        Setting::Float(number) => format!("{number:?}"),
        Setting::Bool(truth) => truth.to_string(),
        Setting::Array(values) => {
            let shown: Vec<_> = values.iter().take(MAX_SHOWN).map(in_yaml).collect();
            let more = if values.len() > MAX_SHOWN { ", ..." } else { "" };
            format!("[{}{more}]", shown.join(", "))
        }
    }
}

/// The type that the value should have and has not: that of the default.
fn mismatch(default: &Setting, value: &Setting) -> Option<&'static str> {
    match (default, value) {
        (Setting::Float(_), Setting::Integer(_)) => None,
        (Setting::Array(defaults), Setting::Array(values)) => {
            let wanted = defaults.first().map(Setting::type_name);
            let differs = |value: &Setting| wanted.is_some_and(|wanted| value.type_name() != wanted);
            values.iter().any(differs).then_some("an array of its default's type")
        }
        (wanted, value) => (wanted.type_name() != value.type_name()).then(|| wanted.type_name()),
    }
}

/// The value as a script gets it, a whole number as a number where the default is one.
fn dynamic(value: &Setting, default: &Setting) -> Dynamic {
    match (value, default) {
        #[expect(clippy::cast_precision_loss, reason = "a setting with more than 52 bits is no setting")]
        (Setting::Integer(number), Setting::Float(_)) => (*number as f64).into(),
        (Setting::Text(text), _) => text.as_str().into(),
        (Setting::Integer(number), _) => (*number).into(),
        (Setting::Float(number), _) => (*number).into(),
        (Setting::Bool(truth), _) => (*truth).into(),
        (Setting::Array(values), _) => {
            values.iter().map(|value| dynamic(value, value)).collect::<rhai::Array>().into()
        }
    }
}
