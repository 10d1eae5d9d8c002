//! Settings: declared with a default in the policy, perhaps given another value by the configuration.

use std::collections::{BTreeMap, HashMap};

use rhai::Dynamic;

use super::super::sources::{Setting, Sources};
use super::constants::Default;
use super::forms::{self, Form};
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

/// Checks the uses of settings in scripts, and the values in the configuration.
pub(super) fn check(scripts: &[Script], sources: &Sources, problems: &mut Vec<Diagnostic>) {
    for script in scripts {
        check_uses(script, problems);
        check_defaults(script, problems);
    }
    check_given("policies.settings", &sources.settings, scripts, sources, problems);
}

/// Checks values that the configuration gives at `path`.
pub(super) fn check_given(
    path: &str,
    given: &BTreeMap<String, BTreeMap<String, Setting>>,
    scripts: &[Script],
    sources: &Sources,
    problems: &mut Vec<Diagnostic>,
) {
    for (policy, values) in given {
        let Some(script) = scripts.iter().find(|script| *script.name == **policy) else {
            let message = format!("{path}: there is no policy `{policy}`");
            let problem = sources.error(&format!("{path}.{policy}"), message);
            problems.push(suggest(problem, policy, scripts.iter().map(|script| &*script.name)));
            continue;
        };
        for (name, value) in values {
            problems.extend(value_problem(&format!("{path}.{policy}"), script, name, value, sources));
        }
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

/// What is wrong with one value, if anything is.
fn value_problem(
    path: &str,
    script: &Script,
    name: &str,
    value: &Setting,
    sources: &Sources,
) -> Option<Diagnostic> {
    let settings = &script.constants.settings;
    let path_of_value = format!("{path}.{name}");
    let Some(default) = settings.iter().find(|default| default.name == name) else {
        let problem = sources.error(&path_of_value, format!("{path}: there is no setting `{name}`"));
        return Some(suggest(problem, name, settings.iter().map(|default| default.name.as_str())));
    };
    let form = form_of(script, default);
    let problem = match mismatch(default, form, value) {
        Some(wanted) => sources.error(&path_of_value, format!("{path_of_value} must be {wanted}")),
        None => {
            let (index, wrong) = form?.stranger(value)?;
            sources.error(&format!("{path_of_value}.{index}"), format!("{path_of_value}: {wrong}"))
        }
    };
    let like_default = || format!("write it like its default, `{name}: {}`", in_yaml(&default.value));
    let help = form.and_then(Form::help).map(str::to_owned);
    Some(problem.with_help(help.unwrap_or_else(like_default)))
}

/// What the values of a setting have to be: what they are used for, or what its default looks like.
fn form_of(script: &Script, default: &Default) -> Option<Form> {
    forms::demanded(script).get(default.name.as_str()).copied().or_else(|| Form::of_default(&default.value))
}

/// A default that the script itself cannot use.
fn check_defaults(script: &Script, problems: &mut Vec<Diagnostic>) {
    for default in &script.constants.settings {
        let Some(form) = form_of(script, default) else { continue };
        let len = default.name.chars().count();
        let error = |message| script.file.error(default.position, len, message);
        let problem = if !form.takes(&default.value, &default.value) {
            error(format!("the setting `{}` is used as {}, and this is none", default.name, form.words()))
        } else if let Some((_, wrong)) = form.stranger(&default.value) {
            error(wrong)
        } else {
            continue;
        };
        problems.push(match form.help() {
            Some(help) => problem.with_help(help),
            None => problem,
        });
    }
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

/// What the value should be and is not: the type of the default, and of the form that it has to have.
fn mismatch(default: &Default, form: Option<Form>, value: &Setting) -> Option<&'static str> {
    match (&default.value, value) {
        (Setting::Float(_), Setting::Integer(_)) => None,
        (Setting::Array(defaults), Setting::Array(values)) => {
            let wanted = defaults.first().map(Setting::type_name);
            let differs = |value: &Setting| wanted.is_some_and(|wanted| value.type_name() != wanted);
            if values.iter().any(differs) {
                return Some("an array of its default's type");
            }
            form.filter(|form| !form.takes(value, &default.value)).map(Form::words)
        }
        (wanted, value) if wanted.type_name() == value.type_name() => {
            form.filter(|form| !form.takes(value, wanted)).map(Form::words)
        }
        (wanted, _) => Some(wanted.type_name()),
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
