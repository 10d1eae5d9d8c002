//! What can be called: the tables of the language, and what Rhai brings along.

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};

use rhai::{Array, Dynamic, Engine, FnPtr, FuncMetadata, ImmutableString, Map};

use super::super::language::{self, Function, LOWER, MAP, Object, Parameter, TEXT, Type, UPPER, Within};

/// One way to call a function.
#[derive(Clone, Debug)]
pub(super) struct Signature {
    /// `None` for a type that no value in a script is known to have, such as a closure's or a range's.
    pub(super) parameters: Vec<Option<Type>>,
    /// The parameters by name, for messages; empty for Rhai's own.
    pub(super) names: Vec<&'static str>,
    /// What the whole numbers among them can be, by the index of the parameter.
    pub(super) within: Vec<(usize, Within)>,
    /// The parameter that is a closure, by its index.
    pub(super) closure: Option<usize>,
    pub(super) gives: Type,
}

/// Everything of the host's that a script can call or read.
#[derive(Debug, Default)]
pub(in super::super) struct Host {
    functions: BTreeMap<String, Vec<Signature>>,
    /// Rhai's own properties, such as `len`: name, of what, what.
    properties: Vec<(String, Type, Type)>,
    names: BTreeSet<String>,
    /// The listeners of the configuration; empty where they are not known.
    pub(super) listeners: Vec<String>,
}

impl Signature {
    /// One way to call a function of the tables.
    fn told(function: &Function, this: Option<Type>, parameters: &'static [Parameter]) -> Self {
        let kinds = parameters.iter().map(|parameter| parameter.kind);
        let own = usize::from(this.is_some());
        let within = parameters.iter().enumerate().map(|(index, parameter)| (index + own, parameter.within));
        Self {
            parameters: this.into_iter().chain(kinds).map(Some).collect(),
            names: parameters.iter().map(|parameter| parameter.name).collect(),
            within: within.filter_map(|(index, within)| Some((index, within?))).collect(),
            closure: None,
            gives: function.gives,
        }
    }
}

impl Host {
    /// Reads the tables, and out of `plain` what Rhai brings along.
    pub(in super::super) fn of(plain: &Engine, listeners: Vec<String>) -> Self {
        let mut host = Self { listeners, ..Self::default() };
        for function in language::functions() {
            let this = function.receiver.map(Type::Object);
            for signature in function.signatures {
                host.add(function.name, Signature::told(function, this, signature));
            }
        }
        let own = plain.collect_fn_metadata(None, |info| Some(info.metadata.clone()), true);
        let is_taken = |function: &&FuncMetadata| !own.iter().any(|other| calls_by_name(function, other));
        own.iter().filter(is_taken).for_each(|function| host.add_own(function));
        host
    }

    fn add(&mut self, name: &str, signature: Signature) {
        self.names.insert(name.to_owned());
        self.functions.entry(name.to_owned()).or_default().push(signature);
    }

    fn add_own(&mut self, function: &FuncMetadata) {
        let gives = shaped(&function.name, given(&function.return_type));
        let parameters: Vec<_> = function.param_types.iter().map(|id| of_id(*id)).collect();
        match function.name.strip_prefix("get$") {
            Some(property) => {
                if let Some(Some(of)) = parameters.first() {
                    self.properties.push((property.to_owned(), *of, gives));
                }
            }
            None if function.name.starts_with(|c: char| c.is_ascii_lowercase())
                && !function.name.contains('$') =>
            {
                let closure = function.param_types.iter().position(|id| *id == TypeId::of::<FnPtr>());
                let (names, within) = (Vec::new(), Vec::new());
                self.add(&function.name, Signature { parameters, names, within, closure, gives });
            }
            None => {}
        }
    }

    /// The names of all functions.
    pub(in super::super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether there is a function of this name.
    pub(in super::super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The ways to call a function; empty when there is none.
    pub(super) fn signatures(&self, name: &str) -> &[Signature] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// The type of a property of a value of Rhai's own; `None` when it has no such property.
    pub(super) fn own_property(&self, of: &Type, name: &str) -> Option<Type> {
        let mut found = self.properties.iter().filter(|(property, ..)| property == name);
        found.find(|(_, owner, _)| super::value::fits(owner, of)).map(|(.., gives)| *gives)
    }

    /// The names of the properties that a value of Rhai's own has.
    pub(super) fn own_properties<'h>(&'h self, of: &'h Type) -> impl Iterator<Item = &'h str> {
        let of_it = self.properties.iter().filter(|(_, owner, _)| super::value::fits(owner, of));
        of_it.map(|(name, ..)| name.as_str())
    }
}

/// The names of an object's properties.
pub(super) fn properties(object: &Object) -> impl Iterator<Item = &'static str> + use<> {
    object.properties.iter().map(|property| property.name)
}

/// Whether `function` takes the name of a function where `other` takes a closure. No script may name one so.
fn calls_by_name(function: &FuncMetadata, other: &FuncMetadata) -> bool {
    let (ours, theirs) = (&function.param_types, &other.param_types);
    let mut pairs = ours.iter().zip(theirs);
    let is_name = |(one, other): (&TypeId, &TypeId)| {
        *one == TypeId::of::<ImmutableString>() && *other == TypeId::of::<FnPtr>()
    };
    function.name == other.name
        && ours.len() == theirs.len()
        && pairs.clone().any(is_name)
        && pairs.all(|pair| pair.0 == pair.1 || is_name(pair))
}

/// Functions that ask a closure about each entry: what is neither true nor false counts as a "no" there.
const ASKING: [&str; 8] = ["all", "some", "filter", "find", "index_of", "retain", "drain", "dedup"];

/// Whether the function asks its closure for true or false.
pub(super) fn is_asking(name: &str) -> bool {
    ASKING.contains(&name)
}

/// What is known of a text, or of an array, by the name of the function that gives it.
fn shaped(name: &str, gives: Type) -> Type {
    match (name, gives) {
        ("to_lower", Type::Text(_)) => LOWER,
        ("to_upper", Type::Text(_)) => UPPER,
        _ => gives,
    }
}

fn of_id(id: TypeId) -> Option<Type> {
    let known = [
        (TypeId::of::<Dynamic>(), Type::Any),
        (TypeId::of::<()>(), Type::Nothing),
        (TypeId::of::<bool>(), Type::Bool),
        (TypeId::of::<i64>(), Type::Integer),
        (TypeId::of::<f64>(), Type::Float),
        (TypeId::of::<ImmutableString>(), TEXT),
        (TypeId::of::<Array>(), Type::Array(&Type::Any)),
        (TypeId::of::<Map>(), MAP),
        (TypeId::of::<char>(), Type::Character),
    ];
    known.iter().find(|(known, _)| *known == id).map(|(_, kind)| *kind)
}

/// What Rhai says that its own function gives.
fn given(told: &str) -> Type {
    let told = told.trim().trim_start_matches("RhaiResultOf<").trim_end_matches('>').trim();
    match told {
        "()" => Type::Nothing,
        "bool" => Type::Bool,
        "INT" | "i64" | "int" => Type::Integer,
        "FLOAT" | "f64" | "float" => Type::Float,
        "ImmutableString" | "SmartString" | "String" | "string" | "&str" => TEXT,
        "Array" | "array" => Type::Array(&Type::Any),
        "Map" | "map" => MAP,
        "char" => Type::Character,
        _ => Type::Any,
    }
}
