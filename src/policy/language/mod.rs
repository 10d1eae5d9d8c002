//! The language of policies as tables: every object with its properties, every function with its parameters, what it gives, and
//! where it can be said.
//!
//! This is the one source. The checks at load read it, the reference in `policies/reference.md` and the definition files for
//! editors are written from it, and a test holds it against what the engine really knows.

use std::sync::LazyLock;

use super::judgement::Action;
use crate::session::stage::Stage;

mod definitions;
mod effects;
mod facts;
mod functions;
mod objects;
mod reads;
mod reference;
mod results;
mod stages;
mod verdicts;

pub use definitions::definitions;
pub use reference::reference;
pub(super) use stages::parameters;

/// The type of a value, as far as it is known before a script runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Type {
    /// Known only when the script runs.
    Any,
    /// `()`: nothing is given back.
    Nothing,
    Bool,
    Integer,
    Float,
    /// A single character, which an index into a text gives, and single quotes.
    Character,
    Text(Form),
    /// An array whose entries are all of one type.
    Array(&'static Self),
    /// A map with keys of its own, whose values are all of one type; what is not in it is `()`.
    Map(&'static Self),
    /// What JSON has a word for: a text, a number, true or false, `()`, or arrays and maps of such.
    Plain,
    /// An object of the host's, by its name in [`mod@objects`].
    Object(&'static str),
    /// A function of the script's, to be called with each entry of an array.
    Closure,
    /// Any one of these.
    OneOf(&'static [Self]),
}

/// What is known about a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// Anything.
    Any,
    /// Anything without capitals.
    LowerCase,
    /// Anything without small letters.
    UpperCase,
    /// One of these and nothing else.
    Words(&'static [&'static str]),
    /// One of these, in lower case, unless somebody else chose a word of his own.
    Usually(&'static [&'static str]),
    /// An IP address.
    Ip,
    /// A network such as `192.0.2.0/24`.
    Network,
    /// A size such as `25MiB`.
    Size,
    /// A duration such as `10m`.
    Duration,
    /// A duration that the store keeps something for: of at most a year.
    Keeping,
    /// The limits of a rate, such as `60/m`.
    Rates,
    /// A list in DNS, with codes and weight or without.
    Zone,
    /// One line: nothing that a client or a reader would take for the beginning of another.
    Line,
    /// A domain in lower case and A-labels, or an address literal.
    Domain,
    /// What may be a domain, however it is written.
    Name,
    /// What may be a domain or an IP address.
    Host,
    /// An address in the form in which addresses are compared.
    Address,
    /// The end of a file's name, in lower case and without its dot.
    Extension,
    /// The name of a header field.
    Field,
    /// The name of a tag.
    Tag,
    /// In a notation of its own, such as a date: no number, whatever its digits.
    Notation,
}

pub(super) const TEXT: Type = Type::Text(Form::Any);
pub(super) const LOWER: Type = Type::Text(Form::LowerCase);
pub(super) const UPPER: Type = Type::Text(Form::UpperCase);
const DOMAIN: Type = Type::Text(Form::Domain);
const DOMAIN_NAME: Type = Type::Text(Form::Name);
const HOST: Type = Type::Text(Form::Host);
const FIELD: Type = Type::Text(Form::Field);
const IP: Type = Type::Text(Form::Ip);
const EXTENSION: Type = Type::Text(Form::Extension);
const NETWORK: Type = Type::Text(Form::Network);
/// What goes over the wire in a reply or in a header.
const LINE: Type = Type::Text(Form::Line);
const TEXTS: Type = Type::Array(&TEXT);
const LOWERS: Type = Type::Array(&LOWER);
const NUMBER: Type = Type::OneOf(&[Type::Integer, Type::Float]);
/// A map of anything.
pub(super) const MAP: Type = Type::Map(&Type::Any);
/// What names somebody: its text, an address, a recipient.
const ADDRESSEE: Type = Type::OneOf(&[TEXT, Type::Object("Address"), Type::Object("Rcpt")]);

const fn words(words: &'static [&'static str]) -> Type {
    Type::Text(Form::Words(words))
}

const fn object(name: &'static str) -> Type {
    Type::Object(name)
}

/// What a script reads with a dot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    /// Its name here, unique.
    pub(super) name: &'static str,
    /// The name of its type in the engine, which objects with other closed sets may share.
    pub(super) engine: &'static str,
    /// What it is, in one sentence.
    pub(super) doc: &'static str,
    pub(super) properties: &'static [Property],
}

/// One property of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Property {
    pub(super) name: &'static str,
    pub(super) kind: Type,
    /// Whether reading it may stop the script until the world outside has answered.
    pub(super) is_fact: bool,
    pub(super) doc: &'static str,
}

const fn property(name: &'static str, kind: Type, doc: &'static str) -> Property {
    Property { name, kind, is_fact: false, doc }
}

const fn fact(name: &'static str, kind: Type, doc: &'static str) -> Property {
    Property { name, kind, is_fact: true, doc }
}

/// A function of the host's, or a method of one of its objects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// The object in front of the dot; `None` for a function.
    pub(super) receiver: Option<&'static str>,
    /// The ways to call it.
    pub(super) signatures: &'static [&'static [Parameter]],
    pub(super) gives: Type,
    pub(super) nature: Nature,
    /// What its first argument names; it must be written out as a text.
    pub(super) names: Option<Named>,
    /// The stages at which it can be used.
    pub(super) stages: &'static [Stage],
    /// What it does, in one sentence or two.
    pub(super) doc: &'static str,
}

/// A parameter of a function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: Type,
    /// The least and the greatest whole number that it can be, where not all can.
    pub(super) within: Option<Within>,
}

/// The least and the greatest of the whole numbers that can stand somewhere.
pub(super) type Within = (i64, i64);

const fn p(name: &'static str, kind: Type) -> Parameter {
    Parameter { name, kind, within: None }
}

/// A whole number from `least` to `greatest`.
const fn whole(name: &'static str, least: i64, greatest: i64) -> Parameter {
    Parameter { name, kind: Type::Integer, within: Some((least, greatest)) }
}

/// What a function does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Nature {
    /// Ends the script.
    Verdict(Action),
    /// Orders something and goes on.
    Effect,
    /// Orders something that is counted, in the name of a rule or of its policy, and goes on.
    Order(Action),
    /// Reads what belongs to the policy or the session.
    Read,
    /// Asks the world outside.
    Fact,
    /// Computes.
    Function,
}

/// What the literal first argument of a function names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Named {
    Rule,
    /// One to eight policies or rules.
    Target,
    Setting,
    List,
    Table,
    Regex,
    /// A rule whose events are counted; its mode is that of the rule, or without one the policy's.
    Counter,
    /// What a policy remembers; for `remembered` also `policy.name` of another one.
    Kept,
    /// A reason of RFC 9990 for not following a DMARC policy.
    Override,
}

pub(super) const ANY: &[Stage] = &Stage::ALL;
/// Nothing can be refused once the session is over.
pub(super) const BEFORE_CLOSE: &[Stage] = &[
    Stage::Connect,
    Stage::Helo,
    Stage::Auth,
    Stage::Mail,
    Stage::Rcpt,
    Stage::Data,
    Stage::Message,
    Stage::Violation,
];
const IN_TRANSACTION: &[Stage] = &[Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Message];
const BEFORE_BODY: &[Stage] = &[Stage::Rcpt, Stage::Data];
const AT_RCPT: &[Stage] = &[Stage::Rcpt];
const FROM_RCPT: &[Stage] = &[Stage::Rcpt, Stage::Data, Stage::Message];
const FROM_DATA: &[Stage] = &[Stage::Data, Stage::Message];
const AT_MESSAGE: &[Stage] = &[Stage::Message];

/// Every table of functions, in the order of the reference.
const FUNCTIONS: [&[Function]; 5] =
    [verdicts::VERDICTS, effects::EFFECTS, reads::READS, facts::FACTS, functions::FUNCTIONS];

/// Every function and method.
pub(super) fn functions() -> impl Iterator<Item = &'static Function> {
    FUNCTIONS.into_iter().flatten()
}

/// Every object.
pub(super) fn objects() -> impl Iterator<Item = &'static Object> {
    objects::OBJECTS.iter().chain(results::OBJECTS)
}

/// Each object, and the array of such.
static ARRAYS: LazyLock<Vec<(Type, Type)>> = LazyLock::new(|| {
    let kinds: &'static [Type] = Vec::leak(objects().map(|object| Type::Object(object.name)).collect());
    kinds.iter().map(|kind| (*kind, Type::Array(kind))).collect()
});

/// The array of such objects; `None` for what is none.
pub(super) fn array_of(object: &Type) -> Option<Type> {
    ARRAYS.iter().find(|(entry, _)| entry == object).map(|(_, array)| *array)
}

/// The object with this name.
pub(super) fn object_named(name: &str) -> Option<&'static Object> {
    objects().find(|object| object.name == name)
}

/// The function with this name; a method only if there is no function of its name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    functions().filter(|function| function.name == name).min_by_key(|function| function.receiver.is_some())
}

/// The function, or the method, that is called like this; where none fits, any of its name.
pub(super) fn called(name: &str, arguments: usize, is_method: bool) -> Option<&'static Function> {
    let misfit = |function: &&Function| {
        let is_long = function.signatures.iter().all(|signature| signature.len() != arguments);
        (function.receiver.is_some() != is_method, is_long)
    };
    functions().filter(|function| function.name == name).min_by_key(misfit)
}

/// Whether a method of this name exists.
pub(super) fn is_method(name: &str) -> bool {
    functions().any(|function| function.name == name && function.receiver.is_some())
}

impl Function {
    /// Whether a library may say it: it depends on nothing but what it is given.
    pub(super) fn is_pure(&self) -> bool {
        let reads_its_object =
            self.nature == Nature::Read && self.receiver.is_some_and(|name| name != "Rcpt");
        self.nature == Nature::Function || reads_its_object
    }
}

impl Object {
    /// The property with this name.
    pub(super) fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|property| property.name == name)
    }
}

impl Type {
    /// The types that it may be, one by one.
    pub(super) fn alternatives(&self) -> &[Self] {
        match self {
            Self::OneOf(types) => types,
            single => std::slice::from_ref(single),
        }
    }

    /// What people call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Any => "any".to_owned(),
            Self::Nothing => "nothing".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Integer => "whole number".to_owned(),
            Self::Float => "number".to_owned(),
            Self::Character => "single character".to_owned(),
            Self::Text(Form::Words(words)) => {
                let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                quoted.join(", ")
            }
            Self::Text(form) => form.name().to_owned(),
            Self::Array(entry) => format!("array of {}", entry.name()),
            Self::Map(Self::Any) => "map".to_owned(),
            Self::Map(value) => format!("map of {}", value.name()),
            Self::Plain => "text, number, true or false, array or map".to_owned(),
            Self::Object(name) => (*name).to_owned(),
            Self::Closure => "function".to_owned(),
            Self::OneOf(types) => types.iter().map(Self::name).collect::<Vec<_>>().join(" or "),
        }
    }
}

impl Form {
    /// What people call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Any | Self::Words(_) | Self::Notation => "text",
            Self::Usually(_) => "text in lower case",
            Self::LowerCase => "text in lower case",
            Self::UpperCase => "text in upper case",
            Self::Ip => "IP address",
            Self::Network => "network",
            Self::Size => "size",
            Self::Duration => "duration",
            Self::Keeping => "duration of at most a year",
            Self::Rates => "limits of a rate",
            Self::Zone => "list in DNS",
            Self::Line => "text of one line",
            Self::Domain | Self::Name => "domain",
            Self::Host => "domain or IP address",
            Self::Address => "address in a text",
            Self::Extension => "extension",
            Self::Field => "name of a field",
            Self::Tag => "name of a tag",
        }
    }
}

#[cfg(test)]
mod tests;
