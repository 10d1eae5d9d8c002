//! From files to a generation: read, compile, check, join with the configuration. All problems are found in one go.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rhai::{AST, Engine, Module, ParseErrorType, Scope};

use super::clock::Watch;
use super::domains::Domains;
use super::engine;
use super::exceptions::Exception;
use super::lists::{EntrySet, Table};
use super::policies::{Policies, RuleInfo};
use super::sources::{Budget, Sources};
use super::words;
use crate::diagnostic::{Diagnostic, nearest};

mod asked;
mod calendar;
mod check;
mod constants;
mod domains;
mod exceptions;
mod file;
mod fingerprint;
mod habits;
mod instrument;
mod join;
mod kept;
mod lists;
mod modes;
mod ours;
mod settings;
mod stumbles;
mod survey;
mod syntax;
mod tables;
mod targets;
mod telling;
mod tenants;
mod zones;

use super::lint::{self, Host, Unit};
use calendar::Calendar;
use check::Names;
use constants::Constants;
use instrument::Instrument;
use join::Patterns;
use survey::Survey;
use syntax::Known;

pub(super) use check::Role;
pub(super) use file::ScriptFile;
pub(super) use habits::of_word;
pub(super) use survey::begins;
pub(super) use syntax::elsewhere;

pub use fingerprint::{Fingerprint, Glance};

/// How often files are read that change meanwhile, before that is an error.
const MAX_READINGS: usize = 8;

impl Policies {
    /// Reads, compiles and checks everything that `sources` names. Where a file changes meanwhile, or a folder is put in the place of
    /// another, all of it is read again, so that no generation is made of two.
    ///
    /// # Errors
    /// Every problem that was found, warnings among them, in the order of the files; those of files that do not compile come first, as
    /// others may follow from them.
    pub fn load(sources: &Sources) -> Result<Self, Vec<Diagnostic>> {
        let mut before = sources.fingerprint();
        for _ in 0..MAX_READINGS {
            let loaded = Self::load_once(sources, before);
            let after = sources.fingerprint();
            if after == before {
                return loaded;
            }
            before = after;
        }
        let problem = Diagnostic::error(&sources.dir, "the files change faster than they can be read");
        Err(vec![problem.with_help("write them elsewhere, and put the whole folder in place")])
    }

    fn load_once(sources: &Sources, fingerprint: Fingerprint) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let budget = budget(sources);
        let mut engine = engine::build(&budget);
        let host = host(sources);
        let instrument = sources.coverage.clone().map(|coverage| Instrument::new(&mut engine, coverage));
        let instrument = instrument.as_ref();
        let mut broken = Vec::new();
        let found = (&mut problems, &mut broken);
        let libraries = load_libraries(&mut engine, sources, &host, instrument, found);
        let known = Known { host: &host, libraries: Some(&libraries.names) };
        let found = (&mut problems, &mut broken);
        let mut scripts = load_folders(&engine, sources, known, instrument, found);
        let (mentions, asked) = lint::lint(&host, libraries.units, &units(&scripts), &mut problems);
        scripts.iter_mut().zip(mentions).for_each(|(script, mentions)| script.mention(mentions));
        let mut calendar = Calendar::new(sources);
        let (optional_lists, optional_tables) = optional(&scripts);
        let lists = lists::load(sources, optional_lists, &mut calendar, &mut problems);
        let tables = tables::load(sources, optional_tables, &mut problems);
        asked::check(&asked.lists, sources, &lists, &mut problems);
        settings::check(&scripts, sources, &asked, &mut problems);
        let exceptions = exceptions::load(&scripts, sources, &mut calendar, &mut problems);
        let domains = domains::load(&scripts, sources, &mut problems);
        let named = Named { lists: &lists, tables: &tables, exceptions: &exceptions, domains: &domains };
        let parts = join::join(sources, scripts, &libraries.patterns, &named, &mut problems);
        put_in_order(&mut problems, &broken);
        if problems.iter().any(|problem| problem.is_error() || sources.deny_warnings) {
            return Err(problems);
        }
        let until = calendar.until();
        // What time brings is no reason to refuse: an exception that is over would stay in force.
        problems.extend(calendar.into_notices());
        expect_rules(sources, &parts.rules);
        Ok(Self {
            engine,
            policies: parts.policies,
            plans: parts.plans,
            whole: parts.whole,
            lists,
            tables,
            exceptions,
            domains,
            until,
            regexes: parts.regexes,
            budget,
            on_error: sources.on_error,
            refuse_at: sources.refuse_at,
            redirect_domains: sources.redirect_domains.clone(),
            our_domains: sources.our_domains.clone(),
            rules: parts.rules,
            warnings: problems,
            generation: fingerprint.to_string().into(),
            retired: AtomicBool::new(false),
            coverage: sources.coverage.clone(),
            zones: parts.zones,
        })
    }
}

/// What tests have to cover. An effect may have no rule.
fn expect_rules(sources: &Sources, rules: &[RuleInfo]) {
    if let Some(coverage) = &sources.coverage {
        coverage.expect(rules.iter().filter(|rule| rule.rule != rule.policy).map(|rule| &rule.rule));
    }
}

/// What the lint takes for given.
fn host(sources: &Sources) -> Host {
    let listeners = sources.listeners.iter().map(|(name, _)| name.clone());
    Host::of(&engine::plain(), listeners.collect())
}

/// In the order of the files; what is wrong with those that do not compile comes first, as the rest may follow from it.
fn put_in_order(problems: &mut [Diagnostic], broken: &[PathBuf]) {
    let follows = |problem: &Diagnostic| !broken.contains(&problem.file);
    problems.sort_by_cached_key(|problem| (follows(problem), problem.file.clone(), problem.position));
}

/// What scripts may use. Those that report what is reached say twice as much as they would, or more.
fn budget(sources: &Sources) -> Budget {
    let times = if sources.coverage.is_some() { 4 } else { 1 };
    let Budget { time, operations, facts } = sources.budget;
    Budget { time: time * times, operations: operations.saturating_mul(times.into()), facts }
}

/// The common folder, and those of domains.
fn folders(sources: &Sources, problems: &mut Vec<Diagnostic>) -> Vec<Folder> {
    let mut folders = vec![Folder::common(&sources.dir)];
    folders.extend(tenants::folders(sources, problems));
    folders
}

/// What the configuration adds to the scripts.
struct Named<'n> {
    lists: &'n HashMap<String, Arc<EntrySet>>,
    tables: &'n HashMap<String, Arc<Table>>,
    exceptions: &'n [Exception],
    domains: &'n Domains,
}

/// A folder of policies.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// What stands in front of the names of its files: nothing, or `domains/example.net/`.
    prefix: String,
    /// The domain whose recipients it is about; `None` for all.
    domain: Option<Arc<str>>,
}

impl Folder {
    fn common(path: &Path) -> Self {
        Self { path: path.to_owned(), prefix: String::new(), domain: None }
    }

    /// `helo`, or `example.net/helo`.
    fn name_of(&self, file: &ScriptFile) -> Arc<str> {
        match &self.domain {
            Some(domain) => format!("{domain}/{}", file.stem()).into(),
            None => file.stem().into(),
        }
    }
}

/// A policy's script, compiled and checked by itself.
#[derive(Debug)]
struct Script {
    file: ScriptFile,
    name: Arc<str>,
    /// The domain whose recipients it is about; `None` for all.
    domain: Option<Arc<str>>,
    /// As it was written.
    ast: AST,
    /// As it is run.
    runs: AST,
    constants: Constants,
    survey: Survey,
    names: Names,
}

/// The names of the lists, and of the tables, that scripts can do without.
fn optional(scripts: &[Script]) -> (impl Iterator<Item = &String>, impl Iterator<Item = &String>) {
    let lists = scripts.iter().flat_map(|script| &script.constants.lists);
    (lists, scripts.iter().flat_map(|script| &script.constants.tables))
}

/// The scripts as the lint walks them.
fn units(scripts: &[Script]) -> Vec<Unit> {
    let unit = |script: &Script| {
        let settings =
            script.constants.settings.iter().map(|default| (default.name.as_str(), &default.value));
        Unit::of(&script.name, &script.ast, &script.file, Role::Policy, settings)
    };
    scripts.iter().map(unit).collect()
}

/// The libraries as the lint and the join want them.
#[derive(Default)]
struct Libraries {
    units: Vec<(String, Unit)>,
    patterns: Vec<Patterns>,
    /// The names of all, those too that have a mistake.
    names: Vec<String>,
}

/// Registers every file of `lib/` as a module under its own name. Those that do not compile are among the broken.
fn load_libraries(
    engine: &mut Engine,
    sources: &Sources,
    host: &Host,
    instrument: Option<&Instrument>,
    (problems, broken): (&mut Vec<Diagnostic>, &mut Vec<PathBuf>),
) -> Libraries {
    let dir = sources.dir.join("lib");
    let mut libraries = Libraries::default();
    if !dir.is_dir() {
        return libraries;
    }
    let mut modules = HashMap::new();
    for file in file::scripts(&dir, "lib/", problems) {
        libraries.names.push(file.stem().to_owned());
        // It sees no other library.
        let known = Known { host, libraries: None };
        let Some(ast) = compile(engine, &file, instrument, known, problems) else {
            broken.push(file.path);
            continue;
        };
        constants::check_library(&file, ast.statements(), problems);
        let survey = Survey::of(&ast, &file);
        let names = check::check(&file, &survey, Role::Library, host, problems);
        libraries.patterns.push((file.clone(), names.regexes));
        let unit = Unit::of(file.stem(), &ast, &file, Role::Library, std::iter::empty());
        libraries.units.push((file.stem().to_owned(), unit));
        let ast = to_run(engine, &file, ast, instrument);
        let evaluate = || Module::eval_ast_as_new(Scope::new(), &ast, engine);
        match Watch::start().measure(sources.budget.time, evaluate).0 {
            Ok(module) => _ = modules.insert(file.stem().to_owned(), module),
            Err(error) => problems.push(file.error(error.position(), 1, error.to_string())),
        }
    }
    // Not before all are compiled: a library sees no other one.
    for (name, module) in modules {
        engine.register_static_module(name, module.into());
    }
    libraries
}

/// The policies of all folders. Those that do not compile are among the broken.
fn load_folders(
    engine: &Engine,
    sources: &Sources,
    known: Known<'_>,
    instrument: Option<&Instrument>,
    (problems, broken): (&mut Vec<Diagnostic>, &mut Vec<PathBuf>),
) -> Vec<Script> {
    let mut scripts = Vec::new();
    for folder in folders(sources, problems) {
        scripts.extend(load_scripts(engine, &folder, known, instrument, (&mut *problems, &mut *broken)));
    }
    scripts
}

/// The policies of one folder, likewise.
fn load_scripts(
    engine: &Engine,
    folder: &Folder,
    known: Known<'_>,
    instrument: Option<&Instrument>,
    (problems, broken): (&mut Vec<Diagnostic>, &mut Vec<PathBuf>),
) -> Vec<Script> {
    let role = if folder.domain.is_some() { Role::Tenant } else { Role::Policy };
    let mut scripts: Vec<Script> = Vec::new();
    for file in file::scripts(&folder.path, &folder.prefix, problems) {
        let name = folder.name_of(&file);
        if !words::is_name(file.stem()) {
            let help = "use lower-case letters, digits, `-` and `_`, such as `10-helo.rhai`";
            problems.push(
                Diagnostic::error(&file.path, format!("`{}` cannot be the name of a policy", file.stem()))
                    .with_help(help),
            );
        }
        if let Some(twin) = scripts.iter().find(|script| script.name == name) {
            let message = format!("the policy `{name}` is there twice, also in {}", twin.file.name);
            problems.push(Diagnostic::error(&file.path, message));
        }
        let Some(ast) = compile(engine, &file, instrument, known, problems) else {
            broken.push(file.path);
            continue;
        };
        let constants = constants::read(&file, ast.statements(), problems);
        if role == Role::Tenant && constants.gate {
            problems.push(Diagnostic::error(&file.path, "a policy of a domain's own is no gate"));
        }
        let survey = Survey::of(&ast, &file);
        let names = check::check(&file, &survey, role, known.host, problems);
        let runs = to_run(engine, &file, ast.clone(), instrument);
        let domain = folder.domain.clone();
        scripts.push(Script { file, name, domain, ast, runs, constants, survey, names });
    }
    scripts
}

/// The tree as it is to run: itself, or a copy that reports what is reached.
fn to_run(engine: &Engine, file: &ScriptFile, ast: AST, instrument: Option<&Instrument>) -> AST {
    match instrument {
        Some(instrument) => instrument.reporting(engine, file, ast),
        None => ast,
    }
}

/// Variables of one file that are reported as undefined; whoever has more has another problem.
const MAX_UNDEFINED: usize = 16;

/// The syntax tree of a file. The compiler stops at the first variable that it does not know; each is reported, written over
/// and the rest compiled, so that the author hears of all of them, and of everything else, at once.
fn compile(
    engine: &Engine,
    file: &ScriptFile,
    instrument: Option<&Instrument>,
    known: Known<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<AST> {
    if let Some(instrument) = instrument {
        instrument.begin();
    }
    let mut text = file.text.to_string();
    let mut lines = Vec::new();
    for _ in 0..MAX_UNDEFINED {
        let error = match engine.compile(&text) {
            Ok(mut ast) => {
                ast.set_source(&*file.name);
                return Some(ast);
            }
            Err(error) => error,
        };
        let line = error.position().line();
        let ParseErrorType::VariableUndefined(name) = error.err_type() else {
            // What a word that was written over stood for may be what the compiler stumbles over.
            if !lines.contains(&line) {
                problems.extend(syntax::stopped(file, &error, known));
            }
            return None;
        };
        lines.push(line);
        if let Some(problem) = syntax::beginning(file, &error, name) {
            problems.push(problem);
            return None;
        }
        problems.push(syntax::undefined(file, &error, name, known));
        text = syntax::written_over(&text, error.position(), name)?;
    }
    None
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
