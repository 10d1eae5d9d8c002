//! The literal constants at the top level of a policy: MODE, MODES, GATE, SETTINGS, LISTS, TABLES, RULES.

use std::collections::HashMap;

use rhai::{ASTFlags, Dynamic, Expr, Ident, ImmutableString, Position, Stmt};

use super::super::judgement::Mode;
use super::super::sources::Setting;
use super::super::words;
use super::file::ScriptFile;
use super::suggest;
use super::telling::{self, Told};
use crate::diagnostic::Diagnostic;

/// What is wrong with a constant, and where; nowhere in particular means the constant itself.
pub(super) type Mistake = (Position, String);

const KNOWN: [&str; 7] = ["GATE", "LISTS", "MODE", "MODES", "RULES", "SETTINGS", "TABLES"];

/// What a policy says about itself at its top level.
#[derive(Debug, Default)]
pub(super) struct Constants {
    pub(super) gate: bool,
    pub(super) mode: Option<(Mode, Position)>,
    pub(super) modes: Vec<(String, Mode, Position)>,
    pub(super) settings: Vec<Default>,
    /// The lists that it can do without: empty where the configuration has none of the name.
    pub(super) lists: Vec<String>,
    /// The tables that it can do without.
    pub(super) tables: Vec<String>,
    /// What the operator is told of its rules.
    pub(super) rules: Vec<Told>,
}

/// A setting with its default.
#[derive(Debug)]
pub(super) struct Default {
    pub(super) name: String,
    pub(super) value: Setting,
    pub(super) position: Position,
}

/// Reads the top level of a policy. Everything else there than known literal constants would never run.
pub(super) fn read(file: &ScriptFile, statements: &[Stmt], problems: &mut Vec<Diagnostic>) -> Constants {
    check_twice(file, statements, problems);
    let mut constants = Constants::default();
    for statement in statements {
        match statement {
            Stmt::Noop(_) => {}
            Stmt::Var(variable, flags, _) if flags.contains(ASTFlags::CONSTANT) => {
                let (name, value, _) = &**variable;
                constants.take(file, &name.name, name.pos, value, problems);
            }
            other => problems.push(
                file.error(
                    other.position(),
                    1,
                    "this would never run: only functions and constants stand at top level",
                )
                .with_help("put it into the function of a stage, such as `fn rcpt(session, mail, rcpt)`"),
            ),
        }
    }
    constants
}

/// A constant that is there twice says two things; Rhai takes the last.
fn check_twice(file: &ScriptFile, statements: &[Stmt], problems: &mut Vec<Diagnostic>) {
    let mut lines = HashMap::new();
    for statement in statements {
        let Stmt::Var(variable, ..) = statement else { continue };
        let Ident { name, pos } = &variable.0;
        if let Some(line) = lines.get(name) {
            let message = format!("`{name}` is there twice, first in line {line}");
            let problem = file.error(*pos, name.chars().count(), message);
            problems.push(problem.with_help("keep one: all that it says stands in one place"));
        } else {
            lines.insert(name, pos.line().unwrap_or(1));
        }
    }
}

/// Checks that the top level of a library has literal constants only, each of another name.
pub(super) fn check_library(file: &ScriptFile, statements: &[Stmt], problems: &mut Vec<Diagnostic>) {
    check_twice(file, statements, problems);
    for statement in statements {
        let is_constant = match statement {
            Stmt::Noop(_) => true,
            Stmt::Var(variable, flags, _) => {
                flags.contains(ASTFlags::CONSTANT) && literal(&variable.1).is_some()
            }
            _ => false,
        };
        if !is_constant {
            problems.push(file.error(
                statement.position(),
                1,
                "only functions and literal constants stand at the top level of a library",
            ));
        }
    }
}

impl Constants {
    fn take(
        &mut self,
        file: &ScriptFile,
        name: &str,
        at: Position,
        value: &Expr,
        problems: &mut Vec<Diagnostic>,
    ) {
        let taken = match name {
            "GATE" => self.take_gate(value),
            "MODE" => self.take_mode(value),
            "MODES" => self.take_modes(value),
            "SETTINGS" => self.take_settings(value),
            "LISTS" => names(value, "LISTS").map(|names| self.lists = names),
            "RULES" => telling::take(value).map(|rules| self.rules = rules),
            "TABLES" => names(value, "TABLES").map(|names| self.tables = names),
            _ => {
                let problem = file.error(at, name.len(), format!("Gatepost knows no constant `{name}`"));
                let problem = suggest(problem, name, KNOWN);
                let help = "values of your own belong into SETTINGS: `const SETTINGS = #{ limit: 5 };` and `setting(\"limit\")`";
                problems.push(if problem.help.is_some() { problem } else { problem.with_help(help) });
                return;
            }
        };
        if let Err((position, message)) = taken {
            let position = if position.is_none() { at } else { position };
            problems.push(file.error(position, 1, message));
        }
    }

    fn take_gate(&mut self, value: &Expr) -> Result<(), Mistake> {
        let gate = literal(value).and_then(|value| value.as_bool().ok());
        self.gate = gate.ok_or_else(|| (value.start_position(), "GATE is `true` or `false`".to_owned()))?;
        Ok(())
    }

    fn take_mode(&mut self, value: &Expr) -> Result<(), Mistake> {
        self.mode = Some((mode(value)?, value.start_position()));
        Ok(())
    }

    fn take_modes(&mut self, value: &Expr) -> Result<(), Mistake> {
        for (rule, value, position) in
            entries(value, "MODES is a map from rule to mode, such as `#{ \"not-fqdn\": \"shadow\" }`")?
        {
            self.modes.push((rule, mode(value)?, position));
        }
        Ok(())
    }

    fn take_settings(&mut self, value: &Expr) -> Result<(), Mistake> {
        for (name, value, position) in
            entries(value, "SETTINGS is a map from name to default, such as `#{ limit: 5 }`")?
        {
            if !words::is_name(&name) {
                return Err((
                    position,
                    format!("`{name}` is no name for a setting: use lower-case letters, digits, `_` and `-`"),
                ));
            }
            let default = literal(value).as_ref().and_then(setting);
            let value = default.ok_or_else(|| {
                (
                    value.start_position(),
                    "a default is a literal text, number, true, false, or an array of one of them".to_owned(),
                )
            })?;
            self.settings.push(Default { name, value, position });
        }
        Ok(())
    }
}

/// The names in a literal array.
fn names(value: &Expr, constant: &str) -> Result<Vec<String>, Mistake> {
    let array = literal(value).and_then(|value| value.into_typed_array::<ImmutableString>().ok());
    let named = array.filter(|names| names.iter().all(|name| words::is_name(name)));
    let names = named.ok_or_else(|| {
        let message = format!("{constant} is an array of names, such as `[\"partners\"]`: lower-case letters, digits, `_` and `-`");
        (value.start_position(), message)
    })?;
    Ok(names.into_iter().map(Into::into).collect())
}

/// The entries of a literal map, with the places of their keys.
pub(super) fn entries<'e>(
    value: &'e Expr,
    otherwise: &str,
) -> Result<Vec<(String, &'e Expr, Position)>, Mistake> {
    match value {
        Expr::Map(map, _) => {
            Ok(map.0.iter().map(|(key, value)| (key.name.to_string(), value, key.pos)).collect())
        }
        other => Err((other.start_position(), otherwise.to_owned())),
    }
}

fn mode(value: &Expr) -> Result<Mode, Mistake> {
    let name = literal(value).and_then(|value| value.into_immutable_string().ok());
    let mode = name.and_then(|name| Mode::from_name(&name));
    mode.ok_or_else(|| (value.start_position(), "a mode is \"enforce\", \"shadow\" or \"off\"".to_owned()))
}

pub(super) fn literal(value: &Expr) -> Option<Dynamic> {
    if value.is_constant() { value.get_literal_value(None) } else { None }
}

/// The setting that a literal stands for. An array has values of one type.
fn setting(value: &Dynamic) -> Option<Setting> {
    if let Ok(text) = value.as_immutable_string_ref() {
        return Some(Setting::Text(text.to_string()));
    }
    if let Some(array) = value.read_lock::<rhai::Array>() {
        let values: Option<Vec<_>> = array.iter().map(setting).collect();
        let uniform = |values: &Vec<Setting>| {
            values.windows(2).all(|pair| matches!(pair, [a, b] if a.type_name() == b.type_name()))
        };
        return values.filter(uniform).map(Setting::Array);
    }
    let integer = || value.as_int().map(Setting::Integer);
    let float = |_| value.as_float().map(Setting::Float);
    value.as_bool().map(Setting::Bool).or_else(|_| integer()).or_else(float).ok()
}
