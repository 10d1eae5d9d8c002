//! The language as a page for people: `policies/reference.md`.

use std::fmt::Write as _;

use super::super::engine;
use super::super::words::FORBIDDEN;
use super::{Function, Nature, Object, Type, functions, objects, parameters, stages};
use crate::session::stage::Stage;

const HEAD: &str = "\
# The language of policies, word by word

Written from the tables that the checks at load use; `gatepost definitions DIR` writes the same for editors. The tour is in
[README.md](README.md). In what follows, *fact* means: reading it may stop the script until the world outside has answered;
then it runs again from its start, without anything that it had ordered.

";

/// Title, introduction, and which functions belong there.
type Section = (&'static str, &'static str, fn(&Function) -> bool);

/// The whole page.
pub fn reference() -> String {
    let mut out = String::from(HEAD);
    write_stages(&mut out);
    let sections: [Section; 5] = [
        (
            "Verdicts",
            "They end the script. `rule`, `code` and `enhanced` are written out as literals.",
            |function| matches!(function.nature, Nature::Verdict(_)),
        ),
        ("Effects", "They order something, and the script goes on.", |function| {
            matches!(function.nature, Nature::Effect | Nature::Order(_))
        }),
        ("Reads", "What belongs to the policy or to the message.", |function| {
            function.nature == Nature::Read
        }),
        ("Facts", "What needs the world outside.", |function| function.nature == Nature::Fact),
        ("Functions", "What computes a value.", |function| function.nature == Nature::Function),
    ];
    for (title, about, belongs) in sections {
        _ = write!(out, "## {title}\n\n{about}\n\n| | gives | |\n| --- | --- | --- |\n");
        for function in functions().filter(|function| belongs(function) && !function.name.starts_with("to_"))
        {
            write_function(&mut out, function);
        }
        out.push('\n');
    }
    write_objects(&mut out);
    write_forbidden(&mut out);
    write_own(&mut out);
    out
}

fn write_stages(out: &mut String) {
    out.push_str("## Stages\n\n| function | asked |\n| --- | --- |\n");
    for stage in Stage::ALL {
        let names: Vec<_> = parameters(stage).iter().map(|parameter| parameter.name).collect();
        _ = writeln!(out, "| `{stage}({})` | {} |", names.join(", "), stages::doc(stage));
    }
    _ = writeln!(out, "\n`event` is one of {}.\n", inline(&stages::EVENT));
}

fn write_function(out: &mut String, function: &Function) {
    let this = function.receiver.map(|name| format!("{}.", name.to_lowercase())).unwrap_or_default();
    let calls = function.signatures.iter().map(|signature| {
        let names: Vec<_> = signature.iter().map(|parameter| parameter.name).collect();
        format!("`{this}{}({})`", function.name, names.join(", "))
    });
    let mut calls: Vec<_> = calls.collect();
    if calls.len() > 4 {
        calls.truncate(2);
        calls.push("...".to_owned());
    }
    let gives = if function.gives == Type::Nothing { String::new() } else { linked(&function.gives) };
    let stages =
        if function.stages.len() + 1 < Stage::ALL.len() { stages_of(function) } else { String::new() };
    _ = writeln!(
        out,
        "| {} | {gives} | {}{}{stages} |",
        calls.join("<br>"),
        cell(function.doc),
        types_of(function)
    );
}

/// What the parameters must be, as far as their names do not say it.
fn types_of(function: &Function) -> String {
    let mut told: Vec<String> = Vec::new();
    for parameter in function.signatures.iter().copied().flatten() {
        let plain = matches!(parameter.kind, Type::Text(super::Form::Any | super::Form::Name))
            || parameter.name == "code";
        let told_now = format!("`{}`: {}", parameter.name, inline(&parameter.kind));
        if !plain && !told.contains(&told_now) {
            told.push(told_now);
        }
    }
    if told.is_empty() { String::new() } else { format!(" {}.", told.join("; ")) }
}

fn stages_of(function: &Function) -> String {
    let names: Vec<_> = function.stages.iter().map(|stage| stage.name()).collect();
    format!(" At {}.", names.join(", "))
}

fn write_objects(out: &mut String) {
    out.push_str("## Objects\n\nNothing is ever absent: texts are `\"\"`, numbers 0, arrays empty.\n\n");
    for object in objects().filter(|object| !object.properties.is_empty()) {
        write_object(out, object);
    }
}

fn write_object(out: &mut String, object: &Object) {
    _ = write!(out, "### {}\n\n{}\n\n| property | type | |\n| --- | --- | --- |\n", object.name, object.doc);
    for property in object.properties {
        let fact = if property.is_fact { " *Fact.*" } else { "" };
        _ = writeln!(
            out,
            "| `{}` | {} | {}{fact} |",
            property.name,
            linked(&property.kind),
            cell(property.doc)
        );
    }
    out.push('\n');
}

fn write_forbidden(out: &mut String) {
    out.push_str("## What a script cannot say\n\n| | |\n| --- | --- |\n");
    for (name, why) in FORBIDDEN {
        _ = writeln!(out, "| `{name}` | {why} |");
    }
    out.push('\n');
}

/// The names of Rhai's own functions; what they do stands in Rhai's book.
fn write_own(out: &mut String) {
    let engine = engine::plain();
    let mut names = engine.collect_fn_metadata(None, |info| Some(info.metadata.name.to_string()), true);
    let is_name =
        |name: &String| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    names.retain(|name| is_name(name) && !FORBIDDEN.iter().any(|(forbidden, _)| forbidden == name));
    names.sort();
    names.dedup();
    _ = write!(
        out,
        "## Rhai's own\n\nExplained in [Rhai's book](https://rhai.rs/book), with their types in `rhai.d.rhai` of `gatepost definitions DIR`: \
         {}.\n",
        names.join(" ")
    );
}

/// The type, with a link where it is an object.
fn linked(kind: &Type) -> String {
    match kind {
        Type::Object(name) => format!("[{name}](#{})", name.to_lowercase()),
        Type::Array(entry) => format!("array of {}", linked(entry)),
        other => inline(other),
    }
}

fn inline(kind: &Type) -> String {
    match kind {
        Type::Text(super::Form::Words(words)) => {
            let named = words
                .iter()
                .map(|word| if word.is_empty() { "`\"\"`".to_owned() } else { format!("`{word}`") });
            named.collect::<Vec<_>>().join(" ")
        }
        other => other.name(),
    }
}

/// A vertical bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
