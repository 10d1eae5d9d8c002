//! The language as Rhai definition files, from which editors know what a script may say.

use std::fmt::Write as _;

use super::super::engine;
use super::super::words::FORBIDDEN;
use super::{Function, Object, Type, functions, objects, parameters, stages};
use crate::session::stage::Stage;

/// The definition files, by name: what Gatepost adds to Rhai, and what Rhai brings along.
pub fn definitions() -> Vec<(&'static str, String)> {
    let engine = engine::plain();
    let own = engine.definitions().with_headers(true);
    vec![
        ("gatepost.d.rhai", gatepost()),
        ("rhai.d.rhai", allowed(&own.static_module())),
        ("rhai-builtin.d.rhai", allowed(&own.builtin_functions())),
        ("rhai-operators.d.rhai", own.builtin_functions_operators()),
    ]
}

/// The definitions without those of functions that no script may call.
fn allowed(definitions: &str) -> String {
    let (mut out, mut item) = (String::new(), String::new());
    for line in definitions.lines() {
        item += line;
        item.push('\n');
        if let Some(name) = line.strip_prefix("fn ").and_then(|rest| rest.split('(').next()) {
            if !FORBIDDEN.iter().any(|(forbidden, _)| *forbidden == name) {
                out += &item;
            }
            item.clear();
        } else if !line.starts_with("///") {
            out += &item;
            item.clear();
        }
    }
    out.push_str(&item);
    out
}

/// What Gatepost adds.
fn gatepost() -> String {
    let mut out = String::from("module static;\n");
    for stage in Stage::ALL {
        let names: Vec<_> = parameters(stage).iter().map(|parameter| parameter.name).collect();
        _ = write!(
            out,
            "\n// A policy may have `fn {stage}({})`: {}\n",
            names.join(", "),
            stages::doc(stage)
        );
    }
    for function in functions().filter(|function| !function.name.starts_with("to_")) {
        write_function(&mut out, function);
    }
    for object in shared_types() {
        write_properties(&mut out, object);
    }
    out
}

/// One object for each of the engine's types: those with other closed sets have the same properties.
fn shared_types() -> impl Iterator<Item = &'static Object> {
    let is_first = |object: &&Object| {
        objects().find(|other| other.engine == object.engine).is_some_and(|first| first.name == object.name)
    };
    objects().filter(is_first)
}

fn write_function(out: &mut String, function: &Function) {
    for signature in function.signatures {
        let this = function
            .receiver
            .map(|name| format!("{}: {}", name.to_lowercase(), rhai_name(&Type::Object(name))));
        let parameters =
            signature.iter().map(|parameter| format!("{}: {}", parameter.name, rhai_name(&parameter.kind)));
        let all: Vec<_> = this.into_iter().chain(parameters).collect();
        _ = write!(
            out,
            "\n/// {}\nfn {}({}) -> {};\n",
            function.doc,
            function.name,
            all.join(", "),
            rhai_name(&function.gives)
        );
    }
}

fn write_properties(out: &mut String, object: &Object) {
    for property in object.properties {
        _ = write!(
            out,
            "\n/// {}\nfn get {}({}: {}) -> {};\n",
            property.doc,
            property.name,
            object.engine.to_lowercase(),
            object.engine,
            rhai_name(&property.kind)
        );
    }
}

/// The type as Rhai's definition files write it; `?` is any.
fn rhai_name(kind: &Type) -> String {
    match kind {
        Type::Any | Type::OneOf(_) | Type::Plain | Type::Closure => "?".to_owned(),
        Type::Nothing => "()".to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::Integer => "int".to_owned(),
        Type::Float => "float".to_owned(),
        Type::Text(_) => "String".to_owned(),
        Type::Array(_) => "Array".to_owned(),
        Type::Map(_) => "Map".to_owned(),
        Type::Character => "char".to_owned(),
        Type::Object(name) => super::object_named(name).map_or(*name, |object| object.engine).to_owned(),
    }
}
