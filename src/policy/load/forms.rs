//! What the values of settings have to be, told from where they go: one that ends up as the limit of a rate has to be such a limit
//! before the first mail comes, not when it does.

use std::collections::BTreeMap;

use super::super::engine::MAX_TIME;
use super::super::listing::{self, ZoneSpec};
use super::super::sources::Setting;
use super::super::units;
use super::Script;
use super::survey::{Call, Function, Literal};

/// What a text, or each text of an array, has to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Duration,
    /// A duration that the store keeps something for.
    Keeping,
    Network,
    Rates,
    Size,
    Zones,
}

/// The arguments of the host's functions that have to be of a form.
const TAKEN: [(&str, usize, Form); 10] = [
    ("bytes", 0, Form::Size),
    ("dnsbl", 1, Form::Zones),
    ("dnswl", 1, Form::Zones),
    ("greylist", 3, Form::Keeping),
    ("greylist", 4, Form::Keeping),
    ("in_network", 1, Form::Network),
    ("rate", 2, Form::Rates),
    ("remember", 2, Form::Keeping),
    ("seconds", 0, Form::Duration),
    ("tarpit", 0, Form::Duration),
];

impl Form {
    /// What a default looks like, and its values with it.
    pub(super) fn of_default(default: &Setting) -> Option<Self> {
        let Setting::Text(text) = default else { return None };
        [Self::Size, Self::Duration, Self::Rates].into_iter().find(|form| form.fits(text))
    }

    /// The form in words.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Duration => "a duration such as 10m",
            Self::Keeping => "a duration such as 10m, of at most a year",
            Self::Network => "a network such as 192.0.2.0/24",
            Self::Rates => "a limit of a rate such as 60/m",
            Self::Size => "a size such as 25MiB",
            Self::Zones => "an array of at most 16 lists in DNS",
        }
    }

    /// How a list in DNS is written, where that is what is wanted.
    pub(super) const fn help(self) -> Option<&'static str> {
        match self {
            Self::Zones => Some(super::zones::HELP),
            _ => None,
        }
    }

    /// Whether the value as a whole is of this form; of which type it is, its default says. What is empty stands for nothing where
    /// the default is empty, too.
    pub(super) fn takes(self, value: &Setting, default: &Setting) -> bool {
        match (self, value) {
            (Self::Zones, Setting::Array(values)) => {
                let specs: Vec<_> = texts(values).filter_map(ZoneSpec::parse).collect();
                listing::zones(&specs).is_some()
            }
            (Self::Zones, _) => true,
            (_, Setting::Text(text)) => self.fits(text) || (text.is_empty() && value == default),
            _ => true,
        }
    }

    /// What is wrong with the first element of an array that is not of this form, and its number from 0.
    pub(super) fn stranger(self, value: &Setting) -> Option<(usize, String)> {
        let (Self::Zones, Setting::Array(values)) = (self, value) else { return None };
        let (index, text) = texts(values).enumerate().find(|(_, text)| !self.fits(text))?;
        Some((index, format!("`{}` is no list in DNS", text.escape_debug())))
    }

    fn fits(self, text: &str) -> bool {
        match self {
            Self::Duration => units::seconds(text).is_some(),
            Self::Keeping => units::duration(text).is_some_and(|time| time <= MAX_TIME),
            Self::Network => units::network(text).is_some(),
            Self::Rates => units::rates(text).is_some(),
            Self::Size => units::bytes(text).is_some(),
            Self::Zones => ZoneSpec::parse(text).is_some(),
        }
    }
}

/// The texts of an array. What is none stays in its place, and is none of any form.
fn texts(values: &[Setting]) -> impl Iterator<Item = &str> {
    values.iter().map(|value| if let Setting::Text(text) = value { text.as_str() } else { "" })
}

/// The settings of a script that go, by themselves or through variables and functions of its own, where something of a form has to
/// be.
pub(super) fn demanded(script: &Script) -> BTreeMap<&str, Form> {
    let functions = &script.survey.functions;
    let mut found = Found::default();
    // Each turn follows the values through one more function.
    loop {
        let known = found.parameters.len();
        for function in functions {
            function.calls.iter().for_each(|call| found.see(function, call));
        }
        if found.parameters.len() == known {
            return found.settings;
        }
    }
}

/// What has to be of a form.
#[derive(Default)]
struct Found<'s> {
    settings: BTreeMap<&'s str, Form>,
    /// Of the script's own functions: their name, how many parameters they have, and which one it is.
    parameters: BTreeMap<(&'s str, usize, usize), Form>,
}

impl<'s> Found<'s> {
    fn see(&mut self, function: &'s Function, call: &'s Call) {
        for (index, argument) in call.arguments.iter().enumerate() {
            let Some(form) = self.wanted(call, index) else { continue };
            match &argument.value {
                Literal::Setting(name) => _ = self.settings.entry(name).or_insert(form),
                Literal::Variable(name) => self.variable(function, name, form),
                _ => {}
            }
        }
    }

    /// What an argument of a call has to be.
    fn wanted(&self, call: &Call, index: usize) -> Option<Form> {
        if !call.module.is_empty() {
            return None;
        }
        let mut of_host = TAKEN.iter().filter(|(name, at, _)| *name == call.name && *at == index);
        let of_script = || self.parameters.get(&(call.name.as_str(), call.arguments.len(), index)).copied();
        of_host.next().map(|(_, _, form)| *form).or_else(of_script)
    }

    /// A variable is what a setting says, or what the caller gives. Of several with one name nobody knows here which it is.
    fn variable(&mut self, function: &'s Function, name: &str, form: Form) {
        if function.variables.iter().filter(|variable| *variable == name).count() > 1 {
            return;
        }
        for (_, setting) in function.settings.iter().filter(|(variable, _)| variable == name) {
            self.settings.entry(setting).or_insert(form);
        }
        let mut parameters = function.variables.iter().take(function.parameters);
        if let Some(index) = parameters.position(|parameter| parameter == name) {
            self.parameters.entry((&function.name, function.parameters, index)).or_insert(form);
        }
    }
}
