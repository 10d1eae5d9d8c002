//! One script, taken apart to be walked.

use std::collections::{BTreeSet, HashMap};

use rhai::{AST, Stmt};

use super::super::compiled::statements;
use super::super::language::Type;
use super::super::load::{Role, ScriptFile};
use super::super::sources::Setting;
use super::facts::Reach;
use super::{flow, forms, value};
use crate::session::stage::Stage;

/// One script, as it is walked.
#[derive(Debug)]
pub(in super::super) struct Unit {
    /// The policy's name, or the library's.
    pub(super) name: String,
    pub(super) file: ScriptFile,
    pub(super) role: Role,
    pub(super) functions: Vec<Body>,
    pub(super) settings: HashMap<String, Type>,
    /// Of a library, whose functions can see them.
    pub(super) constants: Vec<String>,
}

/// One function with its statements.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) name: String,
    pub(super) parameters: Vec<String>,
    pub(super) statements: Vec<Stmt>,
    /// Of a library, and for itself only.
    pub(super) is_private: bool,
    /// What it calls or hands around, by name.
    mentions: BTreeSet<String>,
}

impl Unit {
    /// The functions of a compiled script, with the settings that it declares.
    pub(in super::super) fn of<'s>(
        name: &str,
        ast: &AST,
        file: &ScriptFile,
        role: Role,
        settings: impl Iterator<Item = (&'s str, &'s Setting)>,
    ) -> Self {
        let functions = ast.iter_fn_def().map(|definition| {
            let statements = statements(ast, definition);
            Body {
                name: definition.name.to_string(),
                parameters: definition.params.iter().map(ToString::to_string).collect(),
                mentions: flow::mentions(&statements),
                statements,
                is_private: definition.access.is_private(),
            }
        });
        let settings = settings.map(|(name, value)| (name.to_owned(), setting_type(value)));
        let constants = ast.statements().iter().filter_map(|statement| match statement {
            Stmt::Var(variable, ..) => Some(variable.0.name.to_string()),
            _ => None,
        });
        Self {
            name: name.to_owned(),
            file: file.clone(),
            role,
            functions: functions.collect(),
            settings: settings.collect(),
            constants: constants.collect(),
        }
    }

    /// The functions of this name.
    pub(super) fn named(&self, name: &str) -> Vec<&Body> {
        self.functions.iter().filter(|body| body.name == name).collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.functions.iter().any(|function| function.name == name)
    }

    /// What each stage leads to, in the order of the stages, and behind them all that no stage does. A library has none.
    pub(super) fn reaches(&self) -> Vec<Reach<'_>> {
        let all: Reach<'_> = self.functions.iter().map(|function| function.name.as_str()).collect();
        if self.role == Role::Library {
            return vec![all];
        }
        let stages = Stage::ALL.map(Stage::name).into_iter().filter(|stage| self.has(stage));
        let mut reaches: Vec<_> = stages.map(|stage| self.reach(stage)).collect();
        let rest = all.into_iter().filter(|name| !reaches.iter().any(|reach| reach.contains(name))).collect();
        reaches.push(rest);
        reaches
    }

    /// Whether calling a function can lead to a verdict, which ends the script.
    pub(super) fn can_end(&self, name: &str) -> bool {
        let reach = self.named(name).first().map(|body| self.reach(&body.name)).unwrap_or_default();
        let bodies = self.functions.iter().filter(|body| reach.contains(body.name.as_str()));
        bodies.flat_map(|body| &body.mentions).any(|name| flow::is_verdict(name))
    }

    /// The functions that calling `start` can lead to, itself included.
    fn reach<'u>(&'u self, start: &'u str) -> Reach<'u> {
        let mut found = Reach::from([start]);
        let mut open = vec![start];
        while let Some(name) = open.pop() {
            let bodies = self.functions.iter().filter(|body| body.name == name);
            for next in bodies.flat_map(|body| &body.mentions).filter(|next| self.has(next)) {
                if found.insert(next) {
                    open.push(next);
                }
            }
        }
        found
    }
}

/// What a setting is, out of its default.
fn setting_type(default: &Setting) -> Type {
    match default {
        Setting::Text(text) => Type::Text(forms::of_default(text)),
        Setting::Integer(_) => Type::Integer,
        Setting::Float(_) => Type::Float,
        Setting::Bool(_) => Type::Bool,
        Setting::Array(values) => {
            values.first().map_or(Type::Array(&Type::Any), |first| value::array_of(&setting_type(first)))
        }
    }
}
