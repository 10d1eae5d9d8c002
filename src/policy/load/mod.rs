//! From files to a generation: read, compile, check, join with the configuration. All problems are found in one go.

use std::collections::HashMap;
use std::sync::Arc;

use rhai::{AST, Engine, Module, ParseError, ParseErrorType, Position, Scope};

use super::engine;
use super::policies::Policies;
use super::sources::Sources;
use super::words::{self, FORBIDDEN};
use crate::diagnostic::{Diagnostic, nearest};

mod check;
mod constants;
mod file;
mod fingerprint;
mod join;
mod lists;
mod modes;
mod settings;
mod survey;
mod zones;

use super::lint::{self, Host, Unit};
use check::Names;
use constants::Constants;
use join::Patterns;
use survey::Survey;

pub(super) use check::Role;
pub(super) use file::ScriptFile;

pub use fingerprint::Fingerprint;

impl Policies {
    /// Reads, compiles and checks everything that `sources` names. Each file is read once.
    ///
    /// # Errors
    /// Every problem that was found, warnings among them, in the order of the files.
    pub fn load(sources: &Sources) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let generation = sources.fingerprint().to_string().into();
        let mut engine = engine::build(&sources.budget);
        let host = Host::of(&engine::plain());
        let (libraries, patterns) = load_libraries(&mut engine, sources, &host, &mut problems);
        let scripts = load_scripts(&engine, sources, &host, &mut problems);
        lint::lint(&host, libraries, &units(&scripts), &mut problems);
        let lists = lists::load(sources, &mut problems);
        let parts = join::join(sources, scripts, &patterns, &lists, &mut problems);
        problems.sort_by(|one, other| (&one.file, one.position).cmp(&(&other.file, other.position)));
        if problems.iter().any(|problem| problem.is_error() || sources.deny_warnings) {
            return Err(problems);
        }
        Ok(Self {
            engine,
            policies: parts.policies,
            plans: parts.plans,
            whole: parts.whole,
            lists,
            regexes: parts.regexes,
            budget: sources.budget,
            on_error: sources.on_error,
            rules: parts.rules,
            warnings: problems,
            generation,
            zones: parts.zones,
        })
    }
}

/// A policy's script, compiled and checked by itself.
#[derive(Debug)]
struct Script {
    file: ScriptFile,
    name: Arc<str>,
    ast: AST,
    constants: Constants,
    survey: Survey,
    names: Names,
}

/// The scripts as the lint walks them.
fn units(scripts: &[Script]) -> Vec<Unit> {
    let unit = |script: &Script| {
        let settings =
            script.constants.settings.iter().map(|default| (default.name.as_str(), &default.value));
        Unit::of(&script.ast, &script.file, Role::Policy, settings)
    };
    scripts.iter().map(unit).collect()
}

/// Registers every file of `lib/` as a module under its own name.
fn load_libraries(
    engine: &mut Engine,
    sources: &Sources,
    host: &Host,
    problems: &mut Vec<Diagnostic>,
) -> (Vec<(String, Unit)>, Vec<Patterns>) {
    let dir = sources.dir.join("lib");
    let (mut units, mut patterns) = (Vec::new(), Vec::new());
    if !dir.is_dir() {
        return (units, patterns);
    }
    let mut modules = HashMap::new();
    for file in file::scripts(&dir, "lib/", problems) {
        let Some(ast) = compile(engine, &file, problems) else { continue };
        constants::check_library(&file, ast.statements(), problems);
        let survey = Survey::of(&ast, &file);
        let names = check::check(&file, &survey, Role::Library, host, problems);
        patterns.push((file.clone(), names.regexes));
        units.push((file.stem().to_owned(), Unit::of(&ast, &file, Role::Library, std::iter::empty())));
        match Module::eval_ast_as_new(Scope::new(), &ast, engine) {
            Ok(module) => _ = modules.insert(file.stem().to_owned(), module),
            Err(error) => problems.push(file.error(error.position(), 1, error.to_string())),
        }
    }
    // Not before all are compiled: a library sees no other one.
    for (name, module) in modules {
        engine.register_static_module(name, module.into());
    }
    (units, patterns)
}

fn load_scripts(
    engine: &Engine,
    sources: &Sources,
    host: &Host,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Script> {
    let mut scripts: Vec<Script> = Vec::new();
    for file in file::scripts(&sources.dir, "", problems) {
        let name: Arc<str> = file.stem().into();
        if !words::is_name(&name) {
            let help = "use lower-case letters, digits, `-` and `_`, such as `10-helo.rhai`";
            problems.push(
                Diagnostic::error(&file.path, format!("`{name}` cannot be the name of a policy"))
                    .with_help(help),
            );
        }
        if let Some(twin) = scripts.iter().find(|script| script.name == name) {
            let message = format!("the policy `{name}` is there twice, also in {}", twin.file.name);
            problems.push(Diagnostic::error(&file.path, message));
        }
        let Some(ast) = compile(engine, &file, problems) else { continue };
        let constants = constants::read(&file, ast.statements(), problems);
        let survey = Survey::of(&ast, &file);
        let names = check::check(&file, &survey, Role::Policy, host, problems);
        scripts.push(Script { file, name, ast, constants, survey, names });
    }
    scripts
}

/// Variables of one file that are reported as undefined; whoever has more has another problem.
const MAX_UNDEFINED: usize = 16;

/// The syntax tree of a file. The compiler stops at the first variable that it does not know; each is reported, written over
/// and the rest compiled, so that the author hears of all of them, and of everything else, at once.
fn compile(engine: &Engine, file: &ScriptFile, problems: &mut Vec<Diagnostic>) -> Option<AST> {
    let mut text = file.text.to_string();
    for _ in 0..MAX_UNDEFINED {
        let error = match engine.compile(&text) {
            Ok(mut ast) => {
                ast.set_source(&*file.name);
                return Some(ast);
            }
            Err(error) => error,
        };
        let ParseErrorType::VariableUndefined(name) = error.err_type() else {
            problems.push(syntax_error(file, &error));
            return None;
        };
        let problem = file.error(error.position(), name.chars().count(), error.err_type().to_string());
        problems.push(suggest(problem, name, parameters(&file.text)));
        text = written_over(&text, error.position(), name)?;
    }
    None
}

fn syntax_error(file: &ScriptFile, error: &ParseError) -> Diagnostic {
    let message = error.err_type().to_string();
    let forbidden = FORBIDDEN.iter().find(|(name, _)| message.contains(&format!("'{name}'")));
    let problem = file.error(error.position(), 1, message);
    match forbidden {
        Some((name, why)) => problem.with_help(format!("`{name}` is switched off: {why}")),
        None => problem,
    }
}

/// The parameters of all functions of a script: what an undefined variable was most likely meant to be.
fn parameters(text: &str) -> impl Iterator<Item = &str> {
    let lists = text.split("fn ").skip(1).filter_map(|function| function.split_once('(')?.1.split_once(')'));
    lists.flat_map(|(list, _)| list.split(',')).map(str::trim).filter(|name| !name.is_empty())
}

/// `text` with a number in place of the variable `name` at `position`, all else where it was. `None` when it is not there.
fn written_over(text: &str, position: Position, name: &str) -> Option<String> {
    let (line, column) = (position.line()?.checked_sub(1)?, position.position()?.checked_sub(1)?);
    let before_line: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let before_name = text.get(before_line..)?.chars().take(column).map(char::len_utf8).sum::<usize>();
    let (head, tail) = text.split_at_checked(before_line + before_name)?;
    let rest = tail.strip_prefix(name)?;
    Some(format!("{head}0{}{rest}", " ".repeat(name.chars().count().checked_sub(1)?)))
}

/// The same problem with the nearest name that exists, if there is one.
pub(super) fn suggest<'a>(
    problem: Diagnostic,
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    match nearest(name, candidates) {
        Some(near) => problem.with_help(format!("did you mean `{near}`?")),
        None => problem,
    }
}

#[cfg(test)]
mod tests;
