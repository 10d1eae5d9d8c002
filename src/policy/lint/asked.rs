//! What scripts ask of the operator's own words: the lists, and the values of settings. What these are is known when all of it is
//! loaded; here stands what they have to be.

use std::collections::BTreeMap;

use rhai::{Expr, Position};

use super::super::language::{self, Form, Function, Nature, Type};
use super::super::load::ScriptFile;
use super::super::sources::ListKind;
use super::expressions::{a, width};
use super::host::Signature;
use super::value::Value;
use super::wanted::{Want, Wanted};
use super::{Unit, Walk, forms};

/// Something of the operator's.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Given {
    List(String),
    Setting(SettingName),
    /// An entry of a setting, or some of its entries.
    Entry(SettingName),
}

/// The policy, and the name of its setting.
pub(super) type SettingName = (String, String);

/// Everything that scripts ask of lists and settings.
#[derive(Debug, Default)]
pub(in super::super) struct Asked {
    pub(in super::super) lists: Vec<ListUse>,
    settings: BTreeMap<SettingName, Wanted>,
}

/// A place where a list is asked.
#[derive(Clone, Debug)]
pub(in super::super) struct ListUse {
    pub(in super::super) list: String,
    /// What is looked for, as messages name it.
    pub(in super::super) what: String,
    /// The kinds of entries that may be it; `None` where that is not known.
    pub(in super::super) kinds: Option<&'static [ListKind]>,
    pub(in super::super) file: ScriptFile,
    pub(in super::super) position: Position,
    pub(in super::super) len: usize,
}

impl Given {
    /// What an entry of it is.
    pub(super) fn entry(self) -> Self {
        match self {
            Self::Setting(name) => Self::Entry(name),
            other => other,
        }
    }
}

impl Asked {
    /// What scripts want of the setting of a policy.
    pub(in super::super) fn wanted(&self, policy: &str, name: &str) -> Option<&Wanted> {
        self.settings.get(&(policy.to_owned(), name.to_owned()))
    }

    /// What others ask too.
    pub(super) fn join(&mut self, other: Self) {
        self.lists.extend(other.lists);
        for (name, wanted) in other.settings {
            self.settings.entry(name).or_default().join(wanted);
        }
    }

    /// The settings that the script declares, of which some look like something.
    pub(super) fn declare(&mut self, unit: &Unit) {
        for (name, kind) in &unit.settings {
            self.settings.entry((unit.name.clone(), name.clone())).or_default().look_like(*kind);
        }
    }
}

impl Walk<'_> {
    /// Two values that are looked at for being equal.
    pub(super) fn asks_for_equal(&mut self, one: &Value, other: &Value) {
        for (given, value) in [(one, other), (other, one)] {
            let want = match value.literal_text() {
                Some(text) => Want::Literal(text.to_owned()),
                None => Want::Equal(value.clone()),
            };
            self.asks(given, &want);
        }
    }

    /// What a function of the host's takes is wanted.
    pub(super) fn asks_by_call(&mut self, name: &str, fitting: &[&Signature], values: &[Value]) {
        for (index, value) in values.iter().enumerate().filter(|(_, value)| !value.given.is_empty()) {
            let kinds = fitting.iter().filter_map(|one| one.parameters.get(index).copied().flatten());
            match kinds.clone().find_map(demanded) {
                Some((form, is_of_all)) => {
                    self.asks(value, &Want::Form(form));
                    if is_of_all {
                        self.asks(value, &Want::All(form));
                    }
                }
                None if kinds.into_iter().any(|kind| matches!(kind, Type::Text(_))) => {
                    self.asks_by_computing(name, value);
                }
                None => {}
            }
        }
    }

    /// What a script computes of a text is its own affair.
    fn asks_by_computing(&mut self, name: &str, value: &Value) {
        let is_other = |known: &Function| known.nature != Nature::Function && known.receiver.is_none();
        if matches!(name, "len" | "is_empty") {
            self.asks_for_empty(value);
        } else if !matches!(value.kind, Type::Array(_)) && !language::find(name).is_some_and(is_other) {
            self.asks(value, &Want::Any);
        }
    }

    /// The script asks whether a text has anything in it.
    pub(super) fn asks_for_empty(&mut self, text: &Value) {
        if !matches!(text.kind, Type::Array(_)) {
            self.asks(text, &Want::Literal(String::new()));
        }
    }

    /// What is wanted of the settings that `given` comes from.
    pub(super) fn asks(&mut self, given: &Value, want: &Want) {
        for given in &given.given {
            let (Given::Setting(name) | Given::Entry(name)) = given else { continue };
            if !matches!((given, want), (Given::Entry(_), Want::All(_))) {
                self.asked.settings.entry(name.clone()).or_default().add(want.clone());
            }
        }
    }

    /// `found in list`.
    pub(super) fn asks_list(&mut self, found: &Value, list: &Value, item: &Expr, position: Position) {
        let at = if item.start_position().is_none() { position } else { item.start_position() };
        if let Type::Text(Form::Network) = found.kind {
            let message = format!("{} is a network, and never in a list", found.name());
            let ip = found.spelled.strip_suffix(".network").map(|client| format!("{client}.ip"));
            let help = format!("ask for the address: `{} in ...`", ip.as_deref().unwrap_or("ip"));
            return self.error(at, width(found), message, help);
        }
        for given in &list.given {
            let Given::List(list) = given else { continue };
            self.asked.lists.push(ListUse {
                list: list.clone(),
                what: format!("{} is {}", found.name(), what(found)),
                kinds: kinds(found),
                file: self.unit.file.clone(),
                position: at,
                len: width(found),
            });
        }
    }
}

/// The form that a text has to have for this parameter, and whether it takes an array of them.
const fn demanded(parameter: Type) -> Option<(Form, bool)> {
    match parameter {
        Type::Text(form) if forms::is_demanding(form) => Some((form, false)),
        Type::Array(Type::Text(form)) if forms::is_demanding(*form) => Some((*form, true)),
        _ => None,
    }
}

/// The kinds of entries that a list has to have for the value to be in it. The host of a URL may be an IP address.
fn kinds(found: &Value) -> Option<&'static [ListKind]> {
    match found.kind {
        Type::Text(Form::Ip) => Some(&[ListKind::Networks]),
        Type::Text(Form::Domain) => Some(&[ListKind::Domains]),
        Type::Text(Form::Address) | Type::Object("Address" | "Rcpt") => {
            Some(&[ListKind::Addresses, ListKind::Domains])
        }
        _ => None,
    }
}

fn what(found: &Value) -> String {
    match found.kind {
        Type::Text(Form::Ip) => "an IP address".to_owned(),
        Type::Text(Form::Domain) => "a domain".to_owned(),
        Type::Text(Form::Address) | Type::Object("Address" | "Rcpt") => "an address".to_owned(),
        kind => a(&kind),
    }
}
