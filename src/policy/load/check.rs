//! What makes a script unsafe, found before it runs.

use rhai::Position;

use super::super::judgement::Action;
use super::super::language::{self, Named, Nature};
use super::super::lint::Host;
use super::super::words::{self, FORBIDDEN};
use super::file::ScriptFile;
use super::survey::{Argument, Call, Function, Literal, Survey};
use super::{habits, suggest};
use crate::diagnostic::Diagnostic;
use crate::session::stage::Stage;
use crate::smtp::reply::EnhancedCode;

mod codes;
mod definitions;
mod mentions;

use codes::shapes;

pub(super) use mentions::{NoteSite, TargetSite};

/// What a script names, for the checks that need the other files or the configuration.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) rules: Vec<RuleSite>,
    pub(super) orders: Vec<OrderSite>,
    /// The targets of `skip`, with the stages at which they are skipped.
    pub(super) targets: Vec<(String, Position, Vec<Stage>)>,
    pub(super) settings: Vec<(String, Position)>,
    pub(super) lists: Vec<(String, Position)>,
    pub(super) tables: Vec<(String, Position)>,
    pub(super) regexes: Vec<(String, Position)>,
    /// What `rate` counts.
    pub(super) counters: Vec<(String, Position)>,
    /// What is remembered, and what is asked for.
    pub(super) kept: Vec<(String, Position)>,
    pub(super) remembered: Vec<(String, Position)>,
    /// What is noted, and what is asked for.
    pub(super) notes: Vec<NoteSite>,
    pub(super) noted: Vec<NoteSite>,
    /// Whether it notes something under a name that is known only when it runs.
    pub(super) notes_anything: bool,
    /// The addresses to which it sends mail.
    pub(super) addresses: Vec<TargetSite>,
    /// The web services that it asks.
    pub(super) urls: Vec<TargetSite>,
}

/// A call that names a rule.
#[derive(Debug)]
pub(super) struct RuleSite {
    pub(super) rule: String,
    pub(super) action: Action,
    pub(super) code: u16,
    pub(super) stages: Vec<Stage>,
    pub(super) position: Position,
    /// The first line of what the function around it says about itself.
    pub(super) doc: String,
}

/// A call that orders something without naming a rule.
#[derive(Debug)]
pub(super) struct OrderSite {
    pub(super) action: Action,
    pub(super) stages: Vec<Stage>,
    pub(super) position: Position,
}

/// What a file is to Gatepost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Role {
    Policy,
    /// A policy of a domain's own.
    Tenant,
    Library,
}

/// Checks every function of a script and collects what it names.
pub(super) fn check(
    file: &ScriptFile,
    survey: &Survey,
    role: Role,
    host: &Host,
    problems: &mut Vec<Diagnostic>,
) -> Names {
    let mut check = Check { file, survey, role, host, problems, names: Names::default() };
    for function in &survey.functions {
        check.function(function);
    }
    check.double_rules();
    check.names
}

struct Check<'a> {
    file: &'a ScriptFile,
    survey: &'a Survey,
    role: Role,
    host: &'a Host,
    problems: &'a mut Vec<Diagnostic>,
    names: Names,
}

impl Check<'_> {
    fn function(&mut self, function: &Function) {
        self.definition(function);
        for position in &function.globals {
            self.global(*position);
        }
        for call in &function.calls {
            self.call(function, call);
        }
    }

    /// One name, one meaning: exceptions, modes and metrics speak of a rule by its name.
    fn double_rules(&mut self) {
        for (index, site) in self.names.rules.iter().enumerate() {
            let mut earlier = self.names.rules.iter().take(index);
            let differs = |other: &&RuleSite| (other.action, other.code) != (site.action, site.code);
            let Some(first) = earlier.find(|other| other.rule == site.rule && differs(other)) else {
                continue;
            };
            let line = first.position.line().unwrap_or(0);
            let (now, before) = (site.action.name(), first.action.name());
            let message = if site.action == first.action {
                format!("the rule `{}` says {} here and {} in line {line}", site.rule, site.code, first.code)
            } else {
                format!("the rule `{}` is `{now}` here and `{before}` in line {line}", site.rule)
            };
            let problem = self.file.warning(site.position, now.len(), message);
            self.problems
                .push(problem.with_help("give each its own name: modes, exceptions and metrics go by it"));
        }
    }

    /// Constants of a library can be seen inside it; those of a policy are not there when it runs.
    fn global(&mut self, position: Position) {
        if self.role != Role::Library {
            let message = "a policy's functions cannot see its constants";
            let help = "declare the value in SETTINGS and read it with `setting(\"name\")`";
            self.problems.push(self.file.error(position, 1, message).with_help(help));
        }
    }

    fn call(&mut self, function: &Function, call: &Call) {
        match call.word() {
            Some(word) if self.role == Role::Library && !word.is_pure() => self.impure(call),
            Some(word) => self.word(function, call, word),
            None => self.plain_call(function, call),
        }
    }

    fn impure(&mut self, call: &Call) {
        let message = format!("a library cannot say `{}`: it takes values and returns values", call.name);
        self.at_name(call, message, Some("say it in the policy that calls the library"));
    }

    fn plain_call(&mut self, function: &Function, call: &Call) {
        let forbidden = FORBIDDEN.iter().find(|(name, _)| *name == call.name && *name != "curry");
        if let Some((name, why)) = forbidden {
            return self.at_name(call, format!("a script cannot use `{name}`"), Some(why));
        }
        // A closure that takes variables along; no script can write the word itself.
        let is_name =
            call.name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') && call.name != "curry";
        let own = || self.survey.functions.iter().map(|function| function.name.as_str());
        if call.module.is_empty()
            && is_name
            && !self.host.has(&call.name)
            && !own().any(|name| name == call.name)
        {
            let problem = self.file.error(
                call.position,
                call.name.len(),
                format!("there is no function `{}`", call.name),
            );
            if function.variables.contains(&call.name) {
                let help = format!(
                    "`{0}` is a variable, and a closure in one is not called by itself: write `fn {0}(...)`",
                    call.name
                );
                return self.problems.push(problem.with_help(help));
            }
            if let Some(help) = no_brackets(call).or_else(|| habits::of_word(&call.name).map(str::to_owned)) {
                return self.problems.push(problem.with_help(help));
            }
            let candidates = self.host.names().chain(own());
            let problem = suggest(problem, &call.name, candidates);
            self.problems.push(if problem.help.is_some() {
                problem
            } else {
                problem.with_help("policies/reference.md has all of them; one of your own begins with `fn`")
            });
        }
    }

    fn word(&mut self, function: &Function, call: &Call, word: &language::Function) {
        if call.is_method && word.nature != Nature::Function && !language::is_method(word.name) {
            let help = format!("write `{}(...)` with all arguments in the brackets", word.name);
            return self.at_name(call, format!("`{}` is no method", word.name), Some(&help));
        }
        let stages = self.survey.stages_of(function);
        // Of a function that nobody calls, that is told, and nothing about its stages.
        let mut asked = stages.iter().filter(|_| self.survey.is_reached(function));
        if let Some(stage) = asked.find(|stage| !word.stages.contains(stage)) {
            let message = format!("`{}` has no effect at stage `{stage}`", word.name);
            return self.at_name(call, message, Some(&where_else(word, *stage)));
        }
        match word.names {
            Some(Named::Rule) => self.rule(function, call, word, stages),
            Some(Named::Target) => self.targets(call, &stages),
            Some(Named::Setting) => {
                self.literal(call, "setting").map_or((), |name| self.names.settings.push(name))
            }
            Some(Named::List) => self.literal(call, "list").map_or((), |name| self.names.lists.push(name)),
            Some(Named::Table) => self.literal(call, "table").map_or((), |name| self.names.tables.push(name)),
            Some(Named::Regex) => self.pattern(call).map_or((), |regex| self.names.regexes.push(regex)),
            Some(Named::Counter) => self.counter(call),
            Some(Named::Kept) => self.kept(call, word),
            // Which words can stand there, the lint knows of every text.
            Some(Named::Override) => _ = self.literal(call, "reason"),
            None => self.unnamed(call, word, stages),
        }
    }

    /// An effect without a rule is counted in the name of its policy.
    fn unnamed(&mut self, call: &Call, word: &language::Function, stages: Vec<Stage>) {
        self.mentioned(call, word.name, &stages);
        if let Nature::Order(action) = word.nature {
            self.names.orders.push(OrderSite { action, stages, position: call.position });
        }
    }

    /// A verdict or an effect with a rule: `(rule, text)`, `(rule, enhanced, text)`, `(rule, code, enhanced, text)`.
    fn rule(&mut self, function: &Function, call: &Call, word: &language::Function, stages: Vec<Stage>) {
        let Some((rule, position)) = self.literal(call, "rule") else { return };
        if !words::is_name(&rule) || rule == words::ERROR_RULE {
            let message = format!("`{rule}` cannot be the name of a rule");
            let help =
                if EnhancedCode::parse(&rule).is_some() || rule.starts_with(|c: char| c.is_ascii_digit()) {
                    format!("the name of the rule comes first, in your own words: {}", shapes(&call.name))
                } else {
                    "use lower-case letters, digits, `-` and `_`; `error` is taken".to_owned()
                };
            return self.problems.push(self.file.error(position, rule.len() + 2, message).with_help(help));
        }
        let (Nature::Verdict(action) | Nature::Order(action)) = word.nature else { return };
        let takes_codes = matches!(action, Action::Reject | Action::Defer | Action::Disconnect);
        let code = if takes_codes { self.codes(call, action) } else { self.without_codes(call, action) };
        if let Some(code) = code {
            let doc = self.doc_of(function, &stages);
            self.names.rules.push(RuleSite { rule, action, code, stages, position: call.position, doc });
        }
    }

    /// What the function says about itself, or that of the first stage that leads to it.
    fn doc_of(&self, function: &Function, stages: &[Stage]) -> String {
        let of_stage =
            |stage: &Stage| self.survey.functions.iter().find(|function| function.name == stage.name());
        let around = stages.iter().filter_map(of_stage);
        let docs = [function].into_iter().chain(around).map(|function| &function.doc);
        docs.into_iter().find(|doc| !doc.is_empty()).cloned().unwrap_or_default()
    }

    fn without_codes(&mut self, call: &Call, action: Action) -> Option<u16> {
        if call.arguments.len() != action.arguments() {
            let number = if action.arguments() == 3 { "three" } else { "two" };
            let help = shapes(&call.name);
            self.at_name(call, format!("`{}` takes {number} arguments", call.name), Some(&help));
            return None;
        }
        Some(words::default_codes(action).0)
    }

    fn targets(&mut self, call: &Call, stages: &[Stage]) {
        if call.arguments.is_empty() || call.arguments.len() > 8 {
            let message = "`skip` takes one to eight policies or rules".to_owned();
            return self.at_name(call, message, Some("write `skip(\"spf\")`, or `skip(\"helo.not-fqdn\")`"));
        }
        for argument in &call.arguments {
            if let Some((target, position)) = self.literal_argument(call, argument, "policy or rule") {
                self.names.targets.push((target, position, stages.to_vec()));
            }
        }
    }

    /// `matches(REGEX, text)`, where also the pattern may stand in front of a dot.
    fn pattern(&mut self, call: &Call) -> Option<(String, Position)> {
        if !call.is_method {
            return self.literal(call, "pattern");
        }
        if let Some(Argument { value: Literal::Text(text), position }) = &call.receiver {
            return Some((text.clone(), *position));
        }
        let message =
            format!("`{}` takes the pattern first, and that stands in front of this dot", call.name);
        let help = match call.arguments.as_slice() {
            [Argument { value: Literal::Text(text), .. }] => {
                format!("write `{}(\"{text}\", ...)`", call.name)
            }
            _ => shapes(&call.name),
        };
        self.at_name(call, message, Some(&help));
        None
    }

    /// `rate(RULE, key, limits)`.
    fn counter(&mut self, call: &Call) {
        if let Some(name) = self.literal(call, "rule").filter(|name| self.is_name(name, "rule")) {
            self.names.counters.push(name);
        }
    }

    /// `remember(NAME, key, keep)` and `remembered(NAME, key)`.
    fn kept(&mut self, call: &Call, word: &language::Function) {
        let Some(name) = self.literal(call, "name") else { return };
        match word.nature {
            Nature::Fact => self.names.remembered.push(name),
            _ if self.is_name(&name, "name") => self.names.kept.push(name),
            _ => {}
        }
    }

    /// Whether the name can be a label and a key.
    fn is_name(&mut self, (name, position): &(String, Position), what: &str) -> bool {
        let fits = words::is_name(name);
        if !fits {
            let problem = self.file.error(*position, name.len() + 2, format!("`{name}` cannot be a {what}"));
            self.problems.push(problem.with_help("use lower-case letters, digits, `-` and `_`"));
        }
        fits
    }

    /// The first argument, which must be written out.
    fn literal(&mut self, call: &Call, what: &str) -> Option<(String, Position)> {
        let Some(first) = call.arguments.first() else {
            let help = shapes(&call.name);
            self.at_name(call, format!("`{}` needs the name of a {what}", call.name), Some(&help));
            return None;
        };
        self.literal_argument(call, first, what)
    }

    fn literal_argument(
        &mut self,
        call: &Call,
        argument: &Argument,
        what: &str,
    ) -> Option<(String, Position)> {
        let help = match &argument.value {
            Literal::Text(text) => return Some((text.clone(), argument.position)),
            Literal::Character(c) => {
                format!("'{c}' is a single character; a text has double quotes: \"{c}\"")
            }
            Literal::Integer(_) => format!("the name comes first, in your own words: {}", shapes(&call.name)),
            Literal::Other => "so that every name is known before the first mail comes".to_owned(),
        };
        let message = format!("the {what} of `{}` must be written out as a text in double quotes", call.name);
        self.problems.push(self.file.error(argument.position, 1, message).with_help(help));
        None
    }

    fn at_name(&mut self, call: &Call, message: String, help: Option<&str>) {
        let problem = self.file.error(call.position, call.name.chars().count(), message);
        self.problems.push(match help {
            Some(help) => problem.with_help(help),
            None => problem,
        });
    }
}

/// What to write in the place of a property with brackets behind it.
fn no_brackets(call: &Call) -> Option<String> {
    let is_property = |object: &language::Object| object.property(&call.name).is_some();
    if !call.is_method || !language::objects().any(is_property) {
        return None;
    }
    let written = format!("`.{}` is a property of an object: write it without brackets", call.name);
    Some(match habits::of_word(&call.name) {
        Some(else_written) => format!("{written}; of another value, {else_written}"),
        None => written,
    })
}

/// Where a word can be said that has no effect at `stage`, and what to say there in its place.
fn where_else(word: &language::Function, stage: Stage) -> String {
    let allowed: Vec<_> = word.stages.iter().map(|stage| stage.name()).collect();
    let allowed = format!("it can be used at {}", allowed.join(", "));
    let mut namesakes = language::functions().filter(|other| other.name == word.name);
    let here = namesakes.find(|other| other.stages.contains(&stage));
    let spelled = here.and_then(|here| {
        let names: Vec<_> = here.signatures.first()?.iter().map(|parameter| parameter.name).collect();
        Some(format!("{}.{}({})", here.receiver?.to_lowercase(), here.name, names.join(", ")))
    });
    match spelled {
        Some(spelled) => format!("{allowed}; at {stage} write `{spelled}`"),
        None => allowed,
    }
}
