//! Holds the tables against the engine, and the pages against the tables.

use std::any::TypeId;
use std::collections::BTreeSet;

use rhai::{Array, Dynamic, Engine, FnPtr, ImmutableString, Map};

use super::super::engine;
use super::super::sources::Budget;
use super::super::words::FORBIDDEN;
use super::*;

/// A function as the engine has it: its name, its types, what it gives.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Registered {
    name: String,
    types: Vec<String>,
    gives: String,
}

/// What the engine has beyond Rhai's own.
fn registered() -> BTreeSet<Registered> {
    let own = all(&engine::plain());
    all(&engine::build(&Budget::default())).difference(&own).cloned().collect()
}

fn all(engine: &Engine) -> BTreeSet<Registered> {
    let functions = engine.collect_fn_metadata(
        None,
        |info| {
            // A raw function tells no names of its types.
            let told = |index: usize| info.metadata.params_info.get(index).map_or("", |told| told.as_str());
            let types = info.metadata.param_types.iter().enumerate();
            Some(Registered {
                name: info.metadata.name.to_string(),
                types: types.map(|(index, id)| type_name(engine, *id, told(index))).collect(),
                gives: result_name(engine, &info.metadata.return_type),
            })
        },
        true,
    );
    functions.into_iter().collect()
}

fn type_name(engine: &Engine, id: TypeId, told: &str) -> String {
    let known = [
        (TypeId::of::<Dynamic>(), "any"),
        (TypeId::of::<()>(), "nothing"),
        (TypeId::of::<bool>(), "bool"),
        (TypeId::of::<i64>(), "integer"),
        (TypeId::of::<f64>(), "float"),
        (TypeId::of::<ImmutableString>(), "text"),
        (TypeId::of::<Array>(), "array"),
        (TypeId::of::<Map>(), "map"),
        (TypeId::of::<FnPtr>(), "closure"),
    ];
    let found = known.iter().find(|(known, _)| *known == id).map(|(_, name)| (*name).to_owned());
    found.unwrap_or_else(|| {
        let told = told.split_once(": ").map_or(told, |(_, told)| told);
        custom(engine, told.trim_start_matches("&mut ").trim())
    })
}

fn custom(engine: &Engine, rust: &str) -> String {
    engine.map_type_name(rust).to_owned()
}

fn result_name(engine: &Engine, told: &str) -> String {
    let told = told.trim();
    let inner =
        told.strip_prefix("core::result::Result<").and_then(|rest| rest.split_once(", alloc::boxed::Box<"));
    let told = inner.map_or(told, |(inner, _)| inner);
    match told {
        "rhai::types::dynamic::Dynamic" | "types::dynamic::Dynamic" | "Dynamic" | "?" => "any".to_owned(),
        "()" => "nothing".to_owned(),
        "bool" => "bool".to_owned(),
        "i64" => "integer".to_owned(),
        "f64" => "float".to_owned(),
        "string" | "rhai::types::immutable_string::ImmutableString" => "text".to_owned(),
        "array" => "array".to_owned(),
        "map" => "map".to_owned(),
        other if other.starts_with("alloc::vec::Vec<") || other.starts_with("Vec<") => "array".to_owned(),
        other if other.contains("BTreeMap<") => "map".to_owned(),
        other => custom(engine, other),
    }
}

/// The engine's name of a type of the tables.
fn engine_name(kind: &Type) -> String {
    match kind {
        Type::Any | Type::OneOf(_) | Type::Plain => "any".to_owned(),
        Type::Closure => "function".to_owned(),
        Type::Nothing => "nothing".to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::Integer => "integer".to_owned(),
        Type::Float => "float".to_owned(),
        Type::Text(_) => "text".to_owned(),
        Type::Array(_) => "array".to_owned(),
        Type::Map(_) => "map".to_owned(),
        Type::Character => "char".to_owned(),
        Type::Object(name) => object_named(name).map_or(*name, |object| object.engine).to_owned(),
    }
}

fn is_operator(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Whether a registered function is one that the tables have.
fn is_told(it: &Registered) -> bool {
    if let Some(property) = it.name.strip_prefix("get$") {
        return objects().any(|object| {
            it.types == [object.engine]
                && object.property(property).is_some_and(|found| fits_name(&found.kind, &it.gives))
        });
    }
    functions().filter(|function| function.name == it.name).any(|function| {
        let this = function.receiver.map(|name| engine_name(&Type::Object(name)));
        let (first, rest) = match &this {
            Some(_) => (it.types.first(), it.types.get(1..).unwrap_or_default()),
            None => (None, it.types.as_slice()),
        };
        first == this.as_ref()
            && (it.gives.is_empty() || fits_name(&function.gives, &it.gives))
            && function.signatures.iter().any(|signature| fits(signature, rest))
    })
}

/// What the engine gives as `any` the tables may know better.
fn fits_name(kind: &Type, name: &str) -> bool {
    name == "any" || engine_name(kind) == name
}

fn fits(signature: &[Parameter], types: &[String]) -> bool {
    signature.len() == types.len()
        && signature
            .iter()
            .zip(types)
            .all(|(parameter, name)| parameter.kind.alternatives().iter().any(|kind| fits_name(kind, name)))
}

#[test]
fn everything_that_the_engine_knows_is_in_the_tables() {
    // `sleep` is there to be refused; others do what Rhai's own do, within bounds or for one type at once.
    let rhais = all(&engine::plain());
    let is_rhais = |it: &Registered| {
        it.name == "sleep"
            || (it.name == "contains" && it.types[0] == "array")
            || rhais.iter().any(|own| (&own.name, &own.types) == (&it.name, &it.types))
    };
    let ours = registered().into_iter().filter(|it| !is_operator(&it.name) && !is_rhais(it));
    let untold: Vec<_> = ours.filter(|it| !is_told(it)).collect();
    assert!(
        untold.is_empty(),
        "the engine knows what src/policy/language/ does not tell, or tells otherwise: add a row to verdicts.rs, effects.rs, \
         reads.rs, facts.rs or functions.rs for a function, to objects.rs or results.rs for a property (`get$`):\n{untold:#?}"
    );
}

#[test]
fn everything_in_the_tables_is_known_to_the_engine() {
    let registered = registered();
    for object in objects() {
        for property in object.properties {
            let name = format!("get${}", property.name);
            let found = registered.iter().any(|it| it.name == name && it.types == [object.engine]);
            assert!(found, "{}.{} is told and not registered", object.name, property.name);
        }
    }
    for function in functions() {
        for signature in function.signatures {
            let this = function.receiver.map(|name| engine_name(&Type::Object(name)));
            let found = registered.iter().any(|it| {
                let types = it.types.get(usize::from(this.is_some())..).unwrap_or_default();
                it.name == function.name
                    && (this.is_none() || it.types.first() == this.as_ref())
                    && fits(signature, types)
            });
            assert!(found, "{}({signature:?}) is told and not registered", function.name);
        }
    }
}

#[test]
fn every_object_that_is_named_is_there() {
    fn check(kind: &Type) {
        match kind {
            Type::Object(name) => assert!(object_named(name).is_some(), "no object `{name}`"),
            Type::Array(inner) | Type::Map(inner) => check(inner),
            Type::OneOf(types) => types.iter().for_each(check),
            _ => {}
        }
    }
    let properties = objects().flat_map(|object| object.properties).map(|property| &property.kind);
    properties.for_each(check);
    for function in functions() {
        check(&function.gives);
        function.signatures.iter().copied().flatten().for_each(|parameter| check(&parameter.kind));
        function.receiver.into_iter().for_each(|name| check(&Type::Object(name)));
    }
}

#[test]
fn names_are_unique_and_explained() {
    let names: Vec<_> = objects().map(|object| object.name).collect();
    let unique: BTreeSet<_> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
    for object in objects() {
        let unique: BTreeSet<_> = object.properties.iter().map(|property| property.name).collect();
        assert_eq!(unique.len(), object.properties.len(), "{}", object.name);
        assert!(object.properties.iter().all(|property| !property.doc.is_empty()));
    }
    assert!(functions().all(|function| !function.doc.is_empty() && !function.signatures.is_empty()));
}

/// `GATEPOST_BLESS=1 cargo test --lib policy::language` writes the page anew.
#[test]
fn the_reference_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/reference.md");
    if std::env::var_os("GATEPOST_BLESS").is_some() {
        std::fs::write(path, reference()).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == reference(),
        "policies/reference.md is not what the tables say: run `GATEPOST_BLESS=1 cargo test --lib policy::language`"
    );
}

/// The tour may leave out what the reference has, but not a word that scripts can call.
#[test]
fn the_tour_names_every_function_and_object() {
    let tour = include_str!("../../../policies/README.md");
    let silent = |name: &str| ["to_string", "to_debug", "contains"].contains(&name);
    for function in functions().filter(|function| !silent(function.name)) {
        assert!(tour.contains(function.name), "policies/README.md does not mention `{}`", function.name);
    }
    for property in objects().flat_map(|object| object.properties) {
        assert!(tour.contains(property.name), "policies/README.md does not mention `.{}`", property.name);
    }
}

/// What editors are told can be read back: every name, with a type for each of its parameters.
#[test]
fn the_definitions_tell_every_word() {
    let files = definitions();
    let (_, text) = files.iter().find(|(name, _)| *name == "gatepost.d.rhai").unwrap();
    for function in functions().filter(|function| !function.name.starts_with("to_")) {
        assert!(text.contains(&format!("fn {}(", function.name)), "{}", function.name);
    }
    for property in objects().flat_map(|object| object.properties) {
        assert!(text.contains(&format!("fn get {}(", property.name)), "{}", property.name);
    }
    assert!(text.contains("fn reject(rule: String, code: int, enhanced: String, text: String) -> ();"));
    assert!(files.iter().all(|(_, text)| text.starts_with("module static;\n")));
    // What no script may say is offered by no editor.
    for ((name, text), (word, _)) in files.iter().flat_map(|file| FORBIDDEN.map(|word| (file, word))) {
        assert!(!text.contains(&format!("\nfn {word}(")), "{name}: {word}");
    }
    assert!(
        files.iter().any(
            |(_, text)| text.contains("/// Get the type of a value.\n") && text.contains("\nfn type_of(")
        )
    );
}
