//! What scripts ask of the operator's own words: the lists, and the values of settings. What these are is known when all of it is
//! loaded; here stands what they would have to be.

use std::collections::BTreeMap;

use rhai::{Expr, Position};

use super::super::language::{Form, Type};
use super::super::load::ScriptFile;
use super::super::sources::ListKind;
use super::Walk;
use super::compare::impossible;
use super::expressions::{a, width};
use super::value::Value;
use super::{compare, forms};

/// Something of the operator's.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Given {
    List(String),
    Setting(SettingName),
}

/// The policy, and the name of its setting.
pub(in super::super) type SettingName = (String, String);

/// Everything that scripts ask of lists and settings.
#[derive(Debug, Default)]
pub(in super::super) struct Asked {
    pub(in super::super) lists: Vec<ListUse>,
    pub(in super::super) settings: BTreeMap<SettingName, Vec<Wanted>>,
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

/// What a text in a setting would have to be, so that one place in a script has a use for it.
#[derive(Debug)]
pub(in super::super) struct Wanted(Want);

/// What would have a use.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Want {
    /// The value, which a script compares with it.
    Equal(Value),
    /// A part of the value, or a pattern that finds it.
    Part(Value),
    /// Something of this form.
    Form(Form),
    /// This text, which the script has a meaning for.
    Literal(String),
}

impl Asked {
    /// What others ask too.
    pub(super) fn join(&mut self, other: Self) {
        self.lists.extend(other.lists);
        for (name, wanted) in other.settings {
            self.settings.entry(name).or_default().extend(wanted);
        }
    }

    fn add(&mut self, name: &SettingName, want: &Want) {
        let all = self.settings.entry(name.clone()).or_default();
        if !all.iter().any(|known| known.0 == *want) {
            all.push(Wanted(want.clone()));
        }
    }
}

impl Wanted {
    /// Why the text is never what is wanted, and what to write in its place; `None` where it may be.
    pub(in super::super) fn refuses(&self, text: &str) -> Option<(String, String)> {
        match &self.0 {
            Want::Equal(value) => impossible(value, text),
            Want::Part(value) => compare::never_part(value, text),
            Want::Form(form) => forms::misshapen(*form, &Value::text(text)),
            Want::Literal(known) => (known != text).then(Default::default),
        }
    }

    /// Whether this is a form that settings are checked for by themselves, as their defaults are.
    pub(in super::super) const fn is_form_of_settings(&self) -> bool {
        matches!(self.0, Want::Form(Form::Duration | Form::Network | Form::Size))
    }

    /// Whether it is only one text of several, all others of which may mean something else.
    pub(in super::super) const fn is_literal(&self) -> bool {
        matches!(self.0, Want::Literal(_))
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

    /// What is wanted of the settings that `given` comes from.
    pub(super) fn asks(&mut self, given: &Value, want: &Want) {
        for given in &given.given {
            if let Given::Setting(name) = given {
                self.asked.add(name, want);
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
