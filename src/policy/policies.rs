//! One generation of policies, loaded and ready.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::civil::Date;
use regex::Regex;
use rhai::{Dynamic, Engine};

use super::compiled::Compiled;
use super::coverage::Coverage;
use super::domains::Domains;
use super::exceptions::{Exception, ExceptionInfo};
use super::judgement::{Action, Mode, Read};
use super::lists::{EntrySet, Table};
use super::memory::Memory;
use super::plan::Plan;
use super::question::Known;
use super::run::StageRun;
use super::scene::{Moment, Scene};
use super::sources::{Budget, OnError, RefuseAt};
use super::telling::RuleWords;
use crate::diagnostic::Diagnostic;
use crate::session::stage::Stage;
use crate::smtp::domains::DomainSet;

/// One generation of policies: engine, scripts, lists and settings. It never changes; a reload makes another one, and a
/// transaction keeps the one with which it began.
pub struct Policies {
    pub(super) engine: Engine,
    pub(super) policies: Vec<Policy>,
    pub(super) exceptions: Vec<Exception>,
    pub(super) domains: Domains,
    /// The last day on which all is as it was loaded; `None` when no day changes anything.
    pub(super) until: Option<Date>,
    /// For each listener, the policies to ask at each stage.
    pub(super) plans: Vec<(Arc<str>, Plan)>,
    /// All policies, for a listener that the configuration does not name.
    pub(super) whole: Plan,
    pub(super) lists: HashMap<String, Arc<EntrySet>>,
    pub(super) tables: HashMap<String, Arc<Table>>,
    pub(super) regexes: HashMap<String, Regex>,
    pub(super) budget: Budget,
    pub(super) on_error: OnError,
    pub(super) refuse_at: RefuseAt,
    /// Where policies may send mail that was for somebody else.
    pub(super) redirect_domains: DomainSet,
    /// Our recipients' domains.
    pub(super) our_domains: DomainSet,
    pub(super) rules: Vec<RuleInfo>,
    pub(super) warnings: Vec<Diagnostic>,
    /// The fingerprint of the files.
    pub(super) generation: Arc<str>,
    pub(super) retired: AtomicBool,
    pub(super) coverage: Option<Arc<Coverage>>,
    /// The lists in DNS that scripts and settings name.
    pub(super) zones: BTreeSet<Box<str>>,
}

/// One policy.
pub(super) struct Policy {
    /// `helo` of `10-helo.rhai`; `example.net/helo` of `domains/example.net/10-helo.rhai`.
    pub(super) name: Arc<str>,
    /// `10-helo.rhai`.
    pub(super) file: Arc<str>,
    pub(super) compiled: Compiled,
    /// It cannot be skipped or softened, and its failure always defers.
    pub(super) gate: bool,
    /// For effects without a rule.
    pub(super) mode: Mode,
    pub(super) origin: ModeOrigin,
    /// Whether any of its faults may touch mail.
    pub(super) enforced: bool,
    pub(super) rules: HashMap<String, Rule>,
    pub(super) settings: HashMap<String, Setting>,
    /// The stages for which it has a function.
    pub(super) stages: Vec<Stage>,
    /// The `//!` text, without its slashes.
    pub(super) doc: String,
}

/// What a setting says.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) value: Dynamic,
    /// The same in words, for those who want to know what a script read.
    pub(super) read: Arc<Read>,
}

impl Setting {
    /// The setting `name` of `policy`.
    pub(super) fn new(policy: &str, name: &str, value: Dynamic) -> Self {
        let read = Read { what: format!("setting {policy}.{name}"), value: value.to_string() };
        Self { value, read: Arc::new(read) }
    }
}

/// A rule of a policy.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// `policy.rule`.
    pub(super) id: Arc<str>,
    pub(super) mode: Mode,
    pub(super) origin: ModeOrigin,
}

/// Who gave a rule its mode: the first of these that did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ModeOrigin {
    /// `policies.modes`, for the rule.
    ConfiguredRule,
    /// `policies.modes`, for the policy.
    ConfiguredPolicy,
    /// `MODES` in the file.
    FileModes,
    /// `MODE` in the file.
    FileMode,
    /// Nobody: rules are enforced.
    #[default]
    Default,
}

impl ModeOrigin {
    /// The place in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConfiguredRule | Self::ConfiguredPolicy => "policies.modes",
            Self::FileModes => "MODES",
            Self::FileMode => "MODE",
            Self::Default => "default",
        }
    }
}

/// A rule as the operator sees it: one line for each stage, action and code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuleInfo {
    /// The policy.
    pub policy: Arc<str>,
    /// `policy.rule`, as in metrics, logs and configuration; for an effect without a rule the policy alone.
    pub rule: Arc<str>,
    /// The stage at which it can fire.
    pub stage: Stage,
    /// Its mode, configuration counted.
    pub mode: Mode,
    /// Who gave it that mode.
    pub origin: ModeOrigin,
    /// The other modes that it can have: by exceptions, and by the wishes of recipients' domains.
    pub elsewhere: Vec<Mode>,
    /// Whether it belongs to a gate.
    pub gate: bool,
    /// What it does.
    pub action: Action,
    /// The reply code that the client gets; 250 where nothing is refused.
    pub code: u16,
    /// The file, relative to the policies' folder.
    pub file: Arc<str>,
    /// The line of its first call.
    pub line: usize,
    /// The first line of what the function around it, or else the policy, says about itself.
    pub doc: Arc<str>,
    /// What the operator is told when it speaks, where its policy says so.
    pub words: Option<Arc<RuleWords>>,
}

/// A policy as the operator sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyInfo {
    /// Its name.
    pub name: Arc<str>,
    /// The file, relative to the policies' folder.
    pub file: Arc<str>,
    /// Whether it is a gate.
    pub gate: bool,
    /// The mode of its effects without a rule.
    pub mode: Mode,
    /// The stages at which it is asked.
    pub stages: Vec<Stage>,
    /// What it says about itself.
    pub doc: String,
}

impl Policies {
    /// Begins to judge `scene`. Cheap when no policy has a say at its stage.
    ///
    /// The run holds what `memory` knows now, and [`StageRun::finish`] writes back what was learnt: one run at a time.
    pub fn begin(self: &Arc<Self>, scene: Scene, memory: &Memory) -> StageRun {
        StageRun::new(self, scene, memory, || None)
    }

    /// The same, with what is `known` of the world: a script that asks for that goes on at once. It is not asked for where no policy
    /// has a say.
    pub fn begin_knowing(
        self: &Arc<Self>,
        scene: Scene,
        memory: &Memory,
        known: impl FnOnce() -> Arc<dyn Known>,
    ) -> StageRun {
        StageRun::new(self, scene, memory, || Some(known()))
    }

    /// Asks the transactions that still use this generation to end.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Whether [`retire`](Self::retire) was called.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Every rule, in the order in which policies are asked.
    pub fn rules(&self) -> &[RuleInfo] {
        &self.rules
    }

    /// The fingerprint of the files that they were loaded from, as far as it is shown.
    pub const fn generation(&self) -> &Arc<str> {
        &self.generation
    }

    /// The rules that have a say at this moment of a session on `listener`, and those that are off; each once for each action.
    pub fn rules_at<'p>(&'p self, listener: &str, moment: &Moment) -> impl Iterator<Item = &'p RuleInfo> {
        let (plan, stage) = (self.plan(listener).at(moment), moment.stage());
        let asks = move |name: &str| {
            plan.iter().filter_map(|index| self.policy(*index)).any(|policy| *policy.name == *name)
        };
        let here = self.rules.iter().filter(move |rule| rule.stage == stage);
        here.filter(move |rule| rule.mode == Mode::Off || asks(&rule.policy))
    }

    /// Every policy, in the order in which they are asked.
    pub fn policies(&self) -> impl Iterator<Item = PolicyInfo> + '_ {
        self.policies.iter().map(|policy| PolicyInfo {
            name: Arc::clone(&policy.name),
            file: Arc::clone(&policy.file),
            gate: policy.gate,
            mode: policy.mode,
            stages: policy.stages.clone(),
            doc: policy.doc.clone(),
        })
    }

    /// The lists in DNS that scripts and settings name, in order: what is worth a test before it is relied on.
    pub fn zones(&self) -> impl Iterator<Item = &str> {
        self.zones.iter().map(|zone| &**zone)
    }

    /// What looked wrong when they were loaded, but does not stop them.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    pub(super) fn policy(&self, index: usize) -> Option<&Policy> {
        self.policies.get(index)
    }

    /// The policy with this name.
    pub(super) fn named(&self, name: &str) -> Option<&Policy> {
        self.policies.iter().find(|policy| *policy.name == *name)
    }

    pub(super) fn list(&self, name: &str) -> Option<&Arc<EntrySet>> {
        self.lists.get(name)
    }

    pub(super) fn table(&self, name: &str) -> Option<&Arc<Table>> {
        self.tables.get(name)
    }

    pub(super) fn regex(&self, source: &str) -> Option<&Regex> {
        self.regexes.get(source)
    }

    /// The policies that sessions on `listener` are judged by.
    pub(super) fn plan(&self, listener: &str) -> &Plan {
        self.plans.iter().find(|(name, _)| **name == *listener).map_or(&self.whole, |(_, plan)| plan)
    }

    /// The domain itself, where it has policies of its own that judge whole messages on `listener`: its recipients and others'
    /// cannot share a message, as one verdict speaks for all of them.
    pub fn speaker(&self, listener: &str, domain: &str) -> Option<&str> {
        self.plan(listener).speaker(domain)
    }

    /// The exceptions that are in force.
    pub fn exceptions(&self) -> impl Iterator<Item = ExceptionInfo> + '_ {
        self.exceptions.iter().map(Exception::info)
    }

    /// The modes that recipients' domains wish for what is asked at `rcpt`: domain, `policy` or `policy.rule`, mode. In order.
    pub fn wishes(&self) -> impl Iterator<Item = (&str, &str, Mode)> + '_ {
        let each = self.domains.wishes.iter().flat_map(|(domain, wishes)| {
            wishes.modes.iter().map(|(target, mode)| (&**domain, target.as_str(), *mode))
        });
        let mut all: Vec<_> = each.collect();
        all.sort_by_key(|(domain, target, _)| (*domain, *target));
        all.into_iter()
    }

    /// The last day, in UTC, on which all is as it was loaded: an exception or an entry of a list ends with it.
    pub const fn until(&self) -> Option<Date> {
        self.until
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.policies.iter().map(|policy| &policy.name).collect();
        f.debug_struct("Policies")
            .field("policies", &names)
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}
