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
#[derive(Debug)]
pub(super) struct Mistake {
    position: Position,
    message: String,
    /// What was written, and what could have been.
    meant: Option<(String, Vec<&'static str>)>,
    help: String,
}

impl Mistake {
    pub(super) fn new(position: Position, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { position, message: message.into(), meant: None, help: help.into() }
    }

    /// The same, where one of these words was written in another way.
    pub(super) fn instead_of(mut self, written: &str, known: impl IntoIterator<Item = &'static str>) -> Self {
        self.meant = Some((written.to_owned(), known.into_iter().collect()));
        self
    }

    fn tell(self, file: &ScriptFile, constant: Position) -> Diagnostic {
        let position = if self.position.is_none() { constant } else { self.position };
        let problem = file.error(position, 1, self.message);
        let problem = match &self.meant {
            Some((written, known)) => suggest(problem, written, known.iter().copied()),
            None => problem,
        };
        if problem.help.is_some() { problem } else { problem.with_help(self.help) }
    }
}

const KNOWN: [&str; 7] = ["GATE", "LISTS", "MODE", "MODES", "RULES", "SETTINGS", "TABLES"];

/// What a policy says about itself at its top level.
#[derive(Debug, Default)]
pub(super) struct Constants {
    pub(super) gate: bool,
    pub(super) mode: Option<(Mode, Position)>,
    pub(super) modes: Vec<(String, Mode, Position)>,
    pub(super) settings: Vec<Default>,
    /// Settings whose default is none.
    pub(super) spoilt: Vec<String>,
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
            let message = "only functions and literal constants stand at the top level of a library";
            let problem = file.error(statement.position(), 1, message);
            problems.push(problem.with_help("put it into a function, or write its value out"));
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
            "MODES" => self.take_modes(value, (file, at), problems),
            "SETTINGS" => self.take_settings(value, (file, at), problems),
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
        if let Err(mistake) = taken {
            problems.push(mistake.tell(file, at));
        }
    }

    fn take_gate(&mut self, value: &Expr) -> Result<(), Mistake> {
        let gate = literal(value).and_then(|value| value.as_bool().ok());
        let mistake = || {
            Mistake::new(value.start_position(), "GATE is `true` or `false`", "write `const GATE = true;`")
        };
        self.gate = gate.ok_or_else(mistake)?;
        Ok(())
    }

    fn take_mode(&mut self, value: &Expr) -> Result<(), Mistake> {
        self.mode = Some((mode(value)?, value.start_position()));
        Ok(())
    }

    fn take_modes(
        &mut self,
        value: &Expr,
        (file, at): (&ScriptFile, Position),
        problems: &mut Vec<Diagnostic>,
    ) -> Result<(), Mistake> {
        for (rule, value, position) in entries(value, "MODES", "#{ \"not-fqdn\": \"shadow\" }")? {
            match mode(value) {
                Ok(mode) => self.modes.push((rule, mode, position)),
                Err(mistake) => problems.push(mistake.tell(file, at)),
            }
        }
        Ok(())
    }

    fn take_settings(
        &mut self,
        value: &Expr,
        (file, at): (&ScriptFile, Position),
        problems: &mut Vec<Diagnostic>,
    ) -> Result<(), Mistake> {
        for (name, value, position) in entries(value, "SETTINGS", "#{ limit: 5 }")? {
            match default(&name, value, position) {
                Ok(value) => self.settings.push(Default { name, value, position }),
                Err(mistake) => {
                    problems.push(mistake.tell(file, at));
                    self.spoilt.push(name);
                }
            }
        }
        Ok(())
    }
}

/// The default of a setting.
fn default(name: &str, value: &Expr, position: Position) -> Result<Setting, Mistake> {
    if !words::is_name(name) {
        let message = format!("`{name}` is no name for a setting");
        return Err(Mistake::new(position, message, "use lower-case letters, digits, `_` and `-`"));
    }
    literal(value).as_ref().and_then(setting).ok_or_else(|| {
        let message = "a default is a literal text, number, true, false, or an array of one of them";
        Mistake::new(
            value.start_position(),
            message,
            format!("write the value out: `{name}: 5`, `{name}: \"25MiB\"`"),
        )
    })
}

/// The names in a literal array.
fn names(value: &Expr, constant: &str) -> Result<Vec<String>, Mistake> {
    let array = literal(value).and_then(|value| value.into_typed_array::<ImmutableString>().ok());
    let named = array.filter(|names| names.iter().all(|name| words::is_name(name)));
    let names = named.ok_or_else(|| {
        let message = format!("{constant} is an array of names: lower-case letters, digits, `_` and `-`");
        Mistake::new(value.start_position(), message, format!("write `const {constant} = [\"partners\"];`"))
    })?;
    Ok(names.into_iter().map(Into::into).collect())
}

/// The entries of a literal map, with the places of their keys.
pub(super) fn entries<'e>(
    value: &'e Expr,
    constant: &str,
    example: &str,
) -> Result<Vec<(String, &'e Expr, Position)>, Mistake> {
    match value {
        Expr::Map(map, _) => {
            Ok(map.0.iter().map(|(key, value)| (key.name.to_string(), value, key.pos)).collect())
        }
        other => {
            let message = format!("{constant} is a map");
            Err(Mistake::new(
                other.start_position(),
                message,
                format!("write `const {constant} = {example};`"),
            ))
        }
    }
}

fn mode(value: &Expr) -> Result<Mode, Mistake> {
    let name = literal(value).and_then(|value| value.into_immutable_string().ok());
    let mode = name.as_ref().and_then(|name| Mode::from_name(name));
    mode.ok_or_else(|| {
        let help = "write it out in double quotes";
        let mistake =
            Mistake::new(value.start_position(), "a mode is \"enforce\", \"shadow\" or \"off\"", help);
        let written = name.unwrap_or_default();
        mistake.instead_of(&written, [Mode::Enforce, Mode::Shadow, Mode::Off].map(Mode::name))
    })
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
