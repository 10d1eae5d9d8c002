//! Scripts, configuration and listeners joined into one generation, and the checks that need all of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use rhai::Position;

use super::super::compiled::Compiled;
use super::super::judgement::{Action, Mode};
use super::super::plan::{Plan, Tenant};
use super::super::policies::{Policy, Rule, RuleInfo, Setting};
use super::super::sources::{Selection, Sources, split_target};
use super::super::telling::RuleWords;
use super::{Named, Script, ScriptFile, kept, modes, settings, suggest, targets, telling, zones};
use crate::diagnostic::{Diagnostic, nearest};
use crate::session::stage::Stage;

/// A compiled regular expression, in octets.
const MAX_REGEX: usize = 1024 * 1024;

/// The parts of a generation that come out of the join.
pub(super) struct Parts {
    pub(super) policies: Vec<Policy>,
    pub(super) plans: Vec<(Arc<str>, Plan)>,
    pub(super) whole: Plan,
    pub(super) regexes: HashMap<String, Regex>,
    pub(super) rules: Vec<RuleInfo>,
    /// The lists in DNS that they may ask.
    pub(super) zones: BTreeSet<Box<str>>,
}

/// Joins everything. The parts are whole only if no error was reported.
pub(super) fn join(
    sources: &Sources,
    scripts: Vec<Script>,
    of_libraries: &[Patterns],
    named: &Named<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Parts {
    modes::check(&scripts, sources, problems);
    telling::check(&scripts, problems);
    check_named(&scripts, sources, named, problems);
    check_targets(&scripts, problems);
    kept::check(&scripts, problems);
    targets::check(&scripts, sources, problems);
    check_quarantine(&scripts, sources, problems);
    let of_scripts = scripts.iter().map(|script| (&script.file, &script.names.regexes));
    let of_libraries = of_libraries.iter().map(|(file, patterns)| (file, patterns));
    let regexes = compile_regexes(of_scripts.chain(of_libraries), problems);
    let (mut zones, asking) = (zones::written(&scripts, problems), zones::asking(&scripts));
    let sites: Vec<_> = scripts.iter().map(rule_lines).collect();
    let tenants: Vec<_> = scripts.iter().map(|script| script.domain.clone()).collect();
    let policies: Vec<_> = scripts.into_iter().map(|script| policy(script, sources)).collect();
    let asking = policies.iter().zip(asking).filter(|(_, asks)| *asks);
    zones.extend(asking.flat_map(|(policy, _)| zones::set(policy)));
    let rules =
        policies.iter().zip(sites).flat_map(|(policy, sites)| rule_infos(policy, sites, named)).collect();
    let planner = Planner { policies: &policies, tenants: &tenants, named };
    let plans = sources.listeners.iter();
    let plans = plans
        .map(|(name, selection)| {
            let chosen = select(name, selection, &policies, sources, problems);
            check_gate(name, &chosen, &policies, sources, problems);
            (name.as_str().into(), planner.plan(|index| chosen.contains(&index)))
        })
        .collect();
    let whole = planner.plan(|_| true);
    Parts { policies, plans, whole, regexes, rules, zones }
}

fn policy(script: Script, sources: &Sources) -> Policy {
    let ((mode, origin), rules) = modes::resolve(&script, sources);
    Policy {
        enforced: modes::is_enforced(mode, &rules),
        settings: settings::resolve(&script, sources)
            .into_iter()
            .map(|(name, value)| (name.clone(), Setting::new(&script.name, &name, value)))
            .collect(),
        stages: script.survey.stages(),
        doc: doc(script.ast.doc()),
        gate: script.constants.gate,
        name: script.name,
        file: script.file.name,
        compiled: Compiled::new(&script.runs),
        mode,
        origin,
        rules,
    }
}

/// The text of `//!` comments without their slashes.
fn doc(comments: &str) -> String {
    let lines = comments.lines().map(|line| line.trim().trim_start_matches("//!").trim());
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Lists and tables that scripts ask must be there; those that it can do without may be misspelt in the configuration.
fn check_named(scripts: &[Script], sources: &Sources, named: &Named<'_>, problems: &mut Vec<Diagnostic>) {
    let lists: Vec<&str> = named.lists.keys().map(String::as_str).collect();
    let tables: Vec<&str> = named.tables.keys().map(String::as_str).collect();
    for script in scripts {
        let missing = |kind, known: &[&str], asked: &[(String, Position)]| -> Vec<Diagnostic> {
            let unknown = asked.iter().filter(|(name, _)| !known.contains(&name.as_str()));
            unknown.map(|(name, position)| not_configured(script, kind, name, *position, known)).collect()
        };
        problems.extend(missing("list", &lists, &script.names.lists));
        problems.extend(missing("table", &tables, &script.names.tables));
    }
    let asked = |names: fn(&Script) -> &[(String, Position)]| -> BTreeSet<&str> {
        scripts.iter().flat_map(names).map(|(name, _)| name.as_str()).collect()
    };
    let (lists, tables) = (sources.lists.keys(), sources.tables.keys());
    let (lists, tables) = (lists.map(String::as_str).collect(), tables.map(String::as_str).collect());
    let optional = scripts.iter().flat_map(|script| &script.constants.lists).map(String::as_str).collect();
    problems.extend(misspelt(sources, "list", &lists, &optional, &asked(|script| &script.names.lists)));
    let optional = scripts.iter().flat_map(|script| &script.constants.tables).map(String::as_str).collect();
    problems.extend(misspelt(sources, "table", &tables, &optional, &asked(|script| &script.names.tables)));
}

/// What is configured under nearly the name of one that a policy can do without, and so misses in silence.
fn misspelt(
    sources: &Sources,
    kind: &str,
    configured: &BTreeSet<&str>,
    optional: &BTreeSet<&str>,
    asked: &BTreeSet<&str>,
) -> Vec<Diagnostic> {
    let unused = configured.difference(asked);
    unused
        .filter_map(|name| {
            let near = nearest(name, optional.difference(configured).copied())?;
            let path = format!("policies.{kind}s.{name}");
            let problem = sources.warning(&path, format!("{path}: no policy asks this {kind}"));
            Some(problem.with_help(format!("did you mean `{near}`?")))
        })
        .collect()
}

/// Mail cannot be kept where there is no place for it.
fn check_quarantine(scripts: &[Script], sources: &Sources, problems: &mut Vec<Diagnostic>) {
    if sources.quarantine {
        return;
    }
    for script in scripts {
        let keeps = |action| matches!(action, Action::Quarantine | Action::Hold);
        for site in script.names.rules.iter().filter(|site| keeps(site.action)) {
            let message = format!("`{}` needs a quarantine, and none is configured", site.action.name());
            let problem = script.file.error(site.position, site.action.name().len(), message);
            problems.push(problem.with_help("add `quarantine: { dir: PATH }` to the configuration"));
        }
    }
}

fn not_configured(script: &Script, kind: &str, name: &str, position: Position, known: &[&str]) -> Diagnostic {
    let problem = script.file.error(position, name.len() + 2, format!("no {kind} `{name}` is configured"));
    let problem = suggest(problem, name, known.iter().copied());
    let help = format!("add it to policies.{kind}s: `{name}: {{ file: {name}.txt }}`");
    if problem.help.is_some() { problem } else { problem.with_help(help) }
}

/// A `skip` must name a policy or rule that exists, is no gate, and still has a turn.
fn check_targets(scripts: &[Script], problems: &mut Vec<Diagnostic>) {
    for (index, script) in scripts.iter().enumerate() {
        for (target, position, stages) in &script.names.targets {
            problems.extend(target_problem(scripts, index, target, *position, stages));
        }
    }
}

/// What is wrong with one target, if anything is.
fn target_problem(
    scripts: &[Script],
    skipping: usize,
    target: &str,
    position: Position,
    stages: &[Stage],
) -> Option<Diagnostic> {
    let script = scripts.get(skipping)?;
    let error = |message: String| script.file.error(position, target.len() + 2, message);
    let (name, rule) = split_target(target);
    let found = scripts.iter().enumerate().find(|(_, script)| *script.name == *name);
    let Some((index, policy)) = found else {
        let names = || scripts.iter().map(|script| &*script.name);
        let problem = suggest(error(format!("there is no policy `{name}`")), name, names());
        let help =
            format!("policies have the names of their files: {}", names().collect::<Vec<_>>().join(", "));
        return Some(if problem.help.is_some() { problem } else { problem.with_help(help) });
    };
    if policy.constants.gate {
        let problem = error(format!("`{name}` is a gate, and a gate cannot be skipped"));
        return Some(problem.with_help("who may pass it stands in the gate itself, or in the configuration"));
    }
    let rules = modes::rule_names(policy);
    if let Some(rule) = rule.filter(|rule| !rules.contains(rule)) {
        let problem = error(format!("the policy `{name}` has no rule `{rule}`"));
        return Some(modes::suggest_rule(problem, rule, policy));
    }
    let turns = turns(policy, rule);
    // In its own run a policy can still skip a rule, and no longer itself.
    let own = usize::from(index == skipping && rule.is_none());
    let has_turn = |from: &Stage| turns.iter().any(|to| comes_later(*from, skipping + own, *to, index));
    (!stages.iter().any(has_turn)).then(|| {
        let help = "skip it at an earlier stage, or in a policy whose file comes before its own";
        error(format!("`{target}` has no turn after this: it was asked before")).with_help(help)
    })
}

/// The stages at which a policy, or one rule of it, has a say.
pub(super) fn turns(policy: &Script, rule: Option<&str>) -> Vec<Stage> {
    match rule {
        None => policy.survey.stages(),
        Some(rule) => {
            let sites = policy.names.rules.iter().filter(|site| site.rule == rule);
            sites.flat_map(|site| site.stages.iter().copied()).collect()
        }
    }
}

/// Whether policy `to` at its stage comes after policy `from` at its own. A violation can happen at any time.
pub(super) fn comes_later(from_stage: Stage, from: usize, to_stage: Stage, to: usize) -> bool {
    to_stage > from_stage || (to_stage == from_stage && to >= from) || from_stage == Stage::Violation
}

/// The regular expressions of one file, with their places.
pub(super) type Patterns = (ScriptFile, Vec<(String, Position)>);

fn compile_regexes<'s>(
    files: impl Iterator<Item = (&'s ScriptFile, &'s Vec<(String, Position)>)>,
    problems: &mut Vec<Diagnostic>,
) -> HashMap<String, Regex> {
    let mut compiled = HashMap::new();
    for (file, patterns) in files {
        for (source, position) in patterns {
            match RegexBuilder::new(source).size_limit(MAX_REGEX).build() {
                Ok(regex) => _ = compiled.insert(source.clone(), regex),
                Err(error) => {
                    let why = error.to_string();
                    let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                    let message = format!("this regular expression does not compile: {why}");
                    let problem = file.error(*position, source.chars().count() + 2, message);
                    let help = "its syntax is that of https://docs.rs/regex; between backticks, `\\d` needs one backslash only";
                    problems.push(problem.with_help(help));
                }
            }
        }
    }
    compiled
}

/// What a rule does at one stage, and the first line that says so. Without a rule it is the policy's.
struct RuleLine {
    rule: Option<String>,
    stage: Stage,
    action: Action,
    code: u16,
    line: usize,
    doc: String,
    words: Option<Arc<RuleWords>>,
}

fn rule_lines(script: &Script) -> Vec<RuleLine> {
    let rules = script.names.rules.iter();
    let rules = rules.map(|site| {
        (Some(&site.rule), site.action, site.code, &site.stages, site.position, site.doc.as_str())
    });
    let orders = script.names.orders.iter();
    let orders = orders.map(|site| {
        (None, site.action, super::words::default_codes(site.action).0, &site.stages, site.position, "")
    });
    let told = script.constants.rules.iter();
    let words: HashMap<_, _> = told.map(|told| (told.rule.as_str(), Arc::new(told.words.clone()))).collect();
    let mut lines: Vec<RuleLine> = Vec::new();
    for (rule, action, code, stages, position, doc) in rules.chain(orders) {
        for stage in stages {
            let code = super::words::code_at(*stage, code);
            let line = position.line().unwrap_or(0);
            let is_same = |known: &RuleLine| {
                (known.rule.as_ref(), known.stage, known.action, known.code) == (rule, *stage, action, code)
            };
            if !lines.iter().any(is_same) {
                let words = rule.and_then(|rule| words.get(rule.as_str())).cloned();
                let (rule, doc) = (rule.cloned(), doc.to_owned());
                lines.push(RuleLine { rule, stage: *stage, action, code, line, doc, words });
            }
        }
    }
    lines
}

fn rule_infos(policy: &Policy, lines: Vec<RuleLine>, named: &Named<'_>) -> Vec<RuleInfo> {
    let about = policy.doc.lines().next().unwrap_or_default();
    let lines = lines.into_iter();
    lines
        .filter_map(|RuleLine { rule: name, stage, action, code, line, doc, words }| {
            let own = match &name {
                Some(name) => Some(policy.rules.get(name)?),
                None => None,
            };
            let (rule, mode, origin) = match own {
                Some(own) => (Arc::clone(&own.id), own.mode, own.origin),
                None => (Arc::clone(&policy.name), policy.mode, policy.origin),
            };
            Some(RuleInfo {
                origin,
                elsewhere: modes_elsewhere(policy, own, mode, named),
                doc: if doc.is_empty() { about } else { &doc }.into(),
                words,
                policy: Arc::clone(&policy.name),
                rule,
                stage,
                mode,
                gate: policy.gate,
                action,
                code,
                file: Arc::clone(&policy.file),
                line,
            })
        })
        .collect()
}

/// The policies that a listener takes.
fn select(
    listener: &str,
    selection: &Selection,
    policies: &[Policy],
    sources: &Sources,
    problems: &mut Vec<Diagnostic>,
) -> Vec<usize> {
    let (named, takes_named) = match selection {
        Selection::All => return (0..policies.len()).collect(),
        Selection::Only(names) => (names, true),
        Selection::Except(names) => (names, false),
    };
    for name in named.iter().filter(|name| !policies.iter().any(|policy| *policy.name == ***name)) {
        let message = format!("listeners.{listener}.policies: there is no policy `{name}`");
        let known = policies.iter().map(|policy| &*policy.name);
        problems.push(suggest(Diagnostic::error(&sources.config, message), name, known));
    }
    let is_taken = |policy: &Policy| named.iter().any(|name| **name == *policy.name) == takes_named;
    policies.iter().enumerate().filter(|(_, policy)| is_taken(policy)).map(|(index, _)| index).collect()
}

/// Without a gate at `rcpt` a listener would be an open relay.
fn check_gate(
    listener: &str,
    chosen: &[usize],
    policies: &[Policy],
    sources: &Sources,
    problems: &mut Vec<Diagnostic>,
) {
    let mut taken = chosen.iter().filter_map(|index| policies.get(*index));
    if !taken.any(|policy| policy.gate && policy.stages.contains(&Stage::Rcpt)) {
        let message = format!(
            "the listener `{listener}` would be an open relay: none of its policies is a gate with `fn rcpt`"
        );
        let help = "add policies/00-relay.rhai, or take `relay` into the listener's selection";
        problems.push(Diagnostic::error(&sources.config, message).with_help(help));
    }
}

/// The modes beside its own that a rule can have for some.
fn modes_elsewhere(policy: &Policy, rule: Option<&Rule>, own: Mode, named: &Named<'_>) -> Vec<Mode> {
    let softened = named.exceptions.iter().filter(|exception| exception.is_about(&policy.name, rule));
    let wished = named.domains.wishes.values().filter_map(|wishes| wishes.mode(&policy.name, rule));
    let all = softened.map(|exception| exception.mode).chain(wished);
    let mut others: Vec<Mode> = all.filter(|mode| *mode != own).collect();
    others.sort_by_key(|mode| mode.softness());
    others.dedup();
    others
}

/// Who is asked when.
struct Planner<'p> {
    policies: &'p [Policy],
    /// The domain that each of them belongs to, if any.
    tenants: &'p [Option<Arc<str>>],
    named: &'p Named<'p>,
}

impl Planner<'_> {
    /// The plan with those policies that are taken.
    fn plan(&self, is_taken: impl Fn(usize) -> bool) -> Plan {
        let at = |stage: Stage, domain: Option<&Arc<str>>| -> Arc<[usize]> {
            let all = self.policies.iter().zip(self.tenants).enumerate();
            let own = all
                .filter(|(_, (policy, tenant))| tenant.as_ref() == domain && policy.stages.contains(&stage));
            own.filter(|(index, (policy, _))| is_taken(*index) && self.is_alive(policy))
                .map(|(index, _)| index)
                .collect()
        };
        let domains: BTreeSet<&Arc<str>> = self.tenants.iter().flatten().collect();
        let tenant = |domain: &Arc<str>| {
            let (rcpt, message) = (at(Stage::Rcpt, Some(domain)), at(Stage::Message, Some(domain)));
            (Arc::clone(domain), Tenant { rcpt, message })
        };
        Plan {
            common: Stage::ALL.map(|stage| at(stage, None)),
            tenants: domains.into_iter().map(tenant).collect(),
        }
    }

    /// Whether anything of the policy is switched on, for anybody.
    fn is_alive(&self, policy: &Policy) -> bool {
        policy.mode != Mode::Off
            || policy.rules.values().any(|rule| rule.mode != Mode::Off)
            || self.named.domains.touch(&policy.name, &policy.rules)
    }
}
