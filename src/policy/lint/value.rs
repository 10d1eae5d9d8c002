//! What is known of a value before the script runs.

use std::collections::BTreeSet;

use super::super::language::{self, Form, MAP, TEXT, Type, object_named};
use super::asked::Given;
use super::inside::About;

/// A value, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    pub(super) kind: Type,
    /// What is written out.
    pub(super) literal: Option<Literal>,
    /// The object and the property that it was read from.
    pub(super) source: Option<(&'static str, &'static str)>,
    /// The property that gave the object which this is, or which this was read from: `helo_spf` of `mail.helo_spf.result`.
    pub(super) origin: Option<&'static str>,
    /// What it says of the client, where it is a condition that does.
    pub(super) about: Option<About>,
    /// What of the operator's it is, or is an entry of.
    pub(super) given: BTreeSet<Given>,
    /// As it stands in the script; empty where that would be long.
    pub(super) spelled: String,
}

/// What is written out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Character(char),
    Integer(i64),
    /// An array of nothing but texts that are written out.
    Texts(Vec<String>),
    /// A map with its keys.
    Map(Vec<(String, Value)>),
}

impl Value {
    pub(super) fn of(kind: Type) -> Self {
        Self {
            kind,
            literal: None,
            source: None,
            origin: None,
            about: None,
            given: BTreeSet::new(),
            spelled: String::new(),
        }
    }

    pub(super) fn unknown() -> Self {
        Self::of(Type::Any)
    }

    pub(super) fn text(text: &str) -> Self {
        let spelled = format!("\"{text}\"");
        Self { literal: Some(Literal::Text(text.to_owned())), spelled, ..Self::of(TEXT) }
    }

    pub(super) fn character(character: char) -> Self {
        let spelled = format!("'{character}'");
        Self { literal: Some(Literal::Character(character)), spelled, ..Self::of(Type::Character) }
    }

    pub(super) fn integer(number: i64) -> Self {
        let spelled = number.to_string();
        Self { literal: Some(Literal::Integer(number)), spelled, ..Self::of(Type::Integer) }
    }

    /// The same as the value of a key: of maps in maps in maps nothing is known, so that none grows without end.
    pub(super) fn within_map(mut self) -> Self {
        if let Some(Literal::Map(pairs)) = &mut self.literal {
            for (_, value) in pairs {
                value.literal.take_if(|literal| matches!(literal, Literal::Map(_)));
            }
        }
        self
    }

    /// What stays known of it when its inside is changed in place, which objects of the host's do not allow.
    pub(super) fn changed(self) -> Self {
        match self.kind {
            Type::Object(_) => self,
            Type::Text(_) => Self::of(TEXT),
            Type::Array(_) => Self { given: self.given_entries(), ..Self::of(Type::Array(&Type::Any)) },
            Type::Map(_) => Self::of(MAP),
            _ => Self::unknown(),
        }
    }

    /// What a map that is written out has under this key.
    pub(super) fn under(&self, key: &str) -> Option<&Self> {
        let Some(Literal::Map(pairs)) = &self.literal else { return None };
        pairs.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// An entry of the array that this is, or may be.
    pub(super) fn entry(&self) -> Self {
        match self.kind {
            Type::Array(entry) => Self { given: self.given_entries(), ..Self::of(*entry) },
            Type::Any => Self { given: self.given_entries(), ..Self::unknown() },
            Type::Text(_) => Self::of(Type::Character),
            _ => Self::unknown(),
        }
    }

    /// What of the operator's an entry of this is, or an array of some of its entries.
    pub(super) fn given_entries(&self) -> BTreeSet<Given> {
        self.given.iter().cloned().map(Given::entry).collect()
    }

    pub(super) fn spelled(mut self, spelled: impl Into<String>) -> Self {
        self.spelled = spelled.into();
        self
    }

    /// The text, where one is written out.
    pub(super) fn literal_text(&self) -> Option<&str> {
        match &self.literal {
            Some(Literal::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The texts of an array, where all are written out.
    pub(super) fn literal_texts(&self) -> &[String] {
        match &self.literal {
            Some(Literal::Texts(texts)) => texts,
            _ => &[],
        }
    }

    /// The value as a message names it: as it is written, else by its type.
    pub(super) fn name(&self) -> String {
        if self.spelled.is_empty() { "this".to_owned() } else { format!("`{}`", self.spelled) }
    }

    /// What the value is when the same place may hold this one or another one.
    pub(super) fn join(&self, other: &Self) -> Self {
        let mut joined = Self::of(join(&self.kind, &other.kind));
        joined.given = &self.given | &other.given;
        if self.literal == other.literal {
            joined.literal.clone_from(&self.literal);
        }
        if self.source == other.source {
            joined.source = self.source;
        }
        if self.origin == other.origin {
            joined.origin = self.origin;
        }
        if self.about == other.about {
            joined.about = self.about;
        }
        joined
    }
}

/// The type of a place that may hold a value of either type.
pub(super) fn join(one: &Type, other: &Type) -> Type {
    match (one, other) {
        (one, other) if one == other => *one,
        (Type::Text(_), Type::Text(_)) => TEXT,
        (Type::Array(_), Type::Array(_)) => Type::Array(&Type::Any),
        _ => Type::Any,
    }
}

/// The array of such entries.
pub(super) fn array_of(entry: &Type) -> Type {
    match entry {
        Type::Text(_) => Type::Array(&TEXT),
        Type::Integer => Type::Array(&Type::Integer),
        Type::Float => Type::Array(&Type::Float),
        Type::Bool => Type::Array(&Type::Bool),
        Type::Character => Type::Array(&Type::Character),
        Type::Object(_) => language::array_of(entry).unwrap_or(Type::Array(&Type::Any)),
        _ => Type::Array(&Type::Any),
    }
}

/// Whether values of the types can be equal at all.
pub(super) fn comparable(one: &Type, other: &Type) -> bool {
    one.alternatives().iter().any(|one| other.alternatives().iter().any(|other| alike(one, other)))
}

fn alike(one: &Type, other: &Type) -> bool {
    match (one, other) {
        (Type::Any, _)
        | (_, Type::Any)
        | (Type::Text(_) | Type::Character, Type::Text(_) | Type::Character)
        | (Type::Integer | Type::Float, Type::Integer | Type::Float)
        | (Type::Array(_), Type::Array(_))
        | (Type::Map(_), Type::Map(_)) => true,
        (Type::Object(one), Type::Object(other)) => one == other || (is_address(one) && is_address(other)),
        (Type::Object(name), Type::Text(_)) | (Type::Text(_), Type::Object(name)) => is_address(name),
        (one, other) => one == other,
    }
}

/// Whether the object equals the text of its address.
pub(super) fn is_address(object: &str) -> bool {
    matches!(object, "Address" | "Rcpt")
}

/// Whether a value of this type can be handed over where `wanted` is expected.
pub(super) fn fits(wanted: &Type, given: &Type) -> bool {
    let fits_one = |wanted: &Type, given: &Type| match (wanted, given) {
        (Type::Any, _) | (_, Type::Any) | (Type::Text(_), Type::Text(_)) => true,
        (Type::Array(wanted), Type::Array(given)) | (Type::Map(wanted), Type::Map(given)) => {
            fits(wanted, given)
        }
        (Type::Plain, Type::Array(given) | Type::Map(given)) => fits(&Type::Plain, given),
        (Type::Plain, given) => !matches!(given, Type::Object(_) | Type::Closure | Type::Character),
        (Type::Object(wanted), Type::Object(given)) => engine_name(wanted) == engine_name(given),
        (wanted, given) => wanted == given,
    };
    wanted
        .alternatives()
        .iter()
        .any(|wanted| given.alternatives().iter().any(|given| fits_one(wanted, given)))
}

fn engine_name(object: &'static str) -> &'static str {
    object_named(object).map_or(object, |object| object.engine)
}

/// Whether texts of this kind never have capitals.
pub(super) fn is_lower_case(kind: &Type) -> bool {
    match kind {
        Type::Text(form) => match form {
            Form::LowerCase
            | Form::Usually(_)
            | Form::Ip
            | Form::Network
            | Form::Domain
            | Form::Address
            | Form::Extension => true,
            Form::Any
            | Form::UpperCase
            | Form::Name
            | Form::Host
            | Form::Words(_)
            | Form::Size
            | Form::Duration
            | Form::Keeping
            | Form::Rates
            | Form::Zone
            | Form::Line
            | Form::Field
            | Form::Tag
            | Form::Notation => false,
        },
        Type::Object(name) => is_address(name),
        _ => false,
    }
}

/// The property by which objects of a kind are told apart: what a check found, else the first that they have.
pub(super) fn main_property(object: &str) -> &'static str {
    let Some(object) = object_named(object) else { return "..." };
    let main = object.property("result").or_else(|| object.properties.first());
    main.map_or("...", |property| property.name)
}
