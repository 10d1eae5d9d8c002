//! One generation of policies, loaded and ready.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use regex::Regex;
use rhai::{AST, Dynamic, Engine};

use super::judgement::{Action, Mode};
use super::lists::EntrySet;
use super::memory::Memory;
use super::run::StageRun;
use super::scene::Scene;
use super::sources::{Budget, OnError};
use crate::diagnostic::Diagnostic;
use crate::session::stage::Stage;

/// One generation of policies: engine, scripts, lists and settings. It never changes; a reload makes another one, and a
/// transaction keeps the one with which it began.
pub struct Policies {
    pub(super) engine: Engine,
    pub(super) policies: Vec<Policy>,
    /// For each listener, the policies to ask at each stage.
    pub(super) plans: Vec<(Arc<str>, Plan)>,
    /// All policies, for a listener that the configuration does not name.
    pub(super) whole: Plan,
    pub(super) lists: HashMap<String, Arc<EntrySet>>,
    pub(super) regexes: HashMap<String, Regex>,
    pub(super) budget: Budget,
    pub(super) on_error: OnError,
    pub(super) rules: Vec<RuleInfo>,
    pub(super) warnings: Vec<Diagnostic>,
    /// The fingerprint of the files.
    pub(super) generation: Arc<str>,
    /// The lists in DNS that scripts and settings name.
    pub(super) zones: BTreeSet<Box<str>>,
}

/// The policies to ask at each stage, in the order of [`Stage::ALL`].
pub(super) type Plan = [Arc<[usize]>; Stage::ALL.len()];

/// One policy.
pub(super) struct Policy {
    /// `helo` of `10-helo.rhai`.
    pub(super) name: Arc<str>,
    /// `10-helo.rhai`.
    pub(super) file: Arc<str>,
    pub(super) ast: AST,
    /// It cannot be skipped or softened, and its failure always defers.
    pub(super) gate: bool,
    /// For effects without a rule.
    pub(super) mode: Mode,
    /// Whether any of its faults may touch mail.
    pub(super) enforced: bool,
    pub(super) rules: HashMap<String, Rule>,
    pub(super) settings: HashMap<String, Dynamic>,
    /// The stages for which it has a function.
    pub(super) stages: Vec<Stage>,
    /// The `//!` text, without its slashes.
    pub(super) doc: String,
}

/// A rule of a policy.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// `policy.rule`.
    pub(super) id: Arc<str>,
    pub(super) mode: Mode,
}

/// A rule as the operator sees it: one line for each stage, action and code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuleInfo {
    /// The policy.
    pub policy: Arc<str>,
    /// `policy.rule`, as in metrics, logs and configuration.
    pub rule: Arc<str>,
    /// The stage at which it can fire.
    pub stage: Stage,
    /// Its mode, configuration counted.
    pub mode: Mode,
    /// Whether it belongs to a gate.
    pub gate: bool,
    /// What it does.
    pub action: Action,
    /// The reply code that the client gets.
    pub code: u16,
    /// The file, relative to the policies' folder.
    pub file: Arc<str>,
    /// The line of its first call.
    pub line: usize,
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
        StageRun::new(self, scene, memory)
    }

    /// Every rule, in the order in which policies are asked.
    pub fn rules(&self) -> &[RuleInfo] {
        &self.rules
    }

    /// The fingerprint of the files that they were loaded from, as far as it is shown.
    pub const fn generation(&self) -> &Arc<str> {
        &self.generation
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

    pub(super) fn list(&self, name: &str) -> Option<&Arc<EntrySet>> {
        self.lists.get(name)
    }

    pub(super) fn regex(&self, source: &str) -> Option<&Regex> {
        self.regexes.get(source)
    }

    /// The policies that have a say at `stage` of a session on `listener`.
    pub(super) fn plan(&self, listener: &str, stage: Stage) -> Arc<[usize]> {
        let plan =
            self.plans.iter().find(|(name, _)| **name == *listener).map_or(&self.whole, |(_, plan)| plan);
        plan.get(stage as usize).cloned().unwrap_or_else(|| Arc::from([]))
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
