//! What policies decide, how long they take, and which ones are in force.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::families::Families;
use super::family::Counter;
use super::figures::{Figures, Tally};
use super::names::Names;

/// What reloads: policies come with their lists and settings.
const RELOADS: [&str; 3] = ["config", "policies", "certificates"];

/// How a script can fail: of itself, or for want of budget.
const ERRORS: [&str; 8] = ["script", "thrown", "time", "operations", "facts", "size", "depth", "panic"];

/// A rule's place in the metrics: what is known of it when it is loaded.
#[derive(Clone, Copy, Debug)]
pub struct RuleLabels<'n> {
    /// The listener whose session asked.
    pub listener: &'n str,
    /// The stage at which the rule speaks.
    pub stage: &'static str,
    /// The rule's full name, such as `helo.bare-ip`.
    pub rule: &'n str,
    /// What it orders: `reject`, `defer`, `disconnect`, `discard`, or the name of an effect.
    pub action: &'static str,
    /// `enforce` or `shadow`.
    pub mode: &'static str,
}

/// Handles for policies.
#[derive(Clone, Debug)]
pub struct PolicyMetrics {
    families: Families,
    names: Arc<Names>,
    tally: Arc<Tally>,
}

impl PolicyMetrics {
    /// Handles that nobody scrapes.
    pub fn detached() -> Self {
        Self::new(&Families::detached(), &Arc::default(), &Arc::default())
    }

    pub(super) fn new(families: &Families, names: &Arc<Names>, tally: &Arc<Tally>) -> Self {
        for kind in RELOADS {
            families.config_last_reload_successful.with([kind]);
            families.config_last_reload_success_timestamp_seconds.with([kind]);
            for outcome in ["ok", "failed"] {
                families.config_reloads_total.with([kind, outcome]);
            }
        }
        Self { families: families.clone(), names: Arc::clone(names), tally: Arc::clone(tally) }
    }

    /// Makes the series of a policy that was loaded exist, for one stage that it has a function for.
    pub fn expect_policy(&self, stage: &'static str, policy: &str) {
        let policy = self.names.bounded(policy);
        self.families.policy_duration_seconds.with([stage, policy]);
        for kind in ERRORS {
            self.families.policy_errors_total.with([policy, stage, kind]);
        }
    }

    /// Makes the series of a rule that was loaded exist with 0, and, when it may refuse, those of its rejections.
    ///
    /// `code` is the reply that it orders, if any.
    pub fn expect_rule(&self, labels: RuleLabels<'_>, code: Option<u16>) {
        self.decisions(labels);
        if let Some(code) = code.filter(|_| labels.mode == "enforce") {
            let rule = self.names.bounded(labels.rule);
            let code = code.to_string();
            self.families.rejections_total.with([labels.listener, labels.stage, "policy", rule, &code]);
        }
    }

    /// A rule gave a verdict or an effect, in force or in the shadow.
    pub fn decision(&self, labels: RuleLabels<'_>) {
        self.decisions(labels).inc();
        self.tally.hit(labels.rule, SystemTime::now());
    }

    fn decisions(&self, labels: RuleLabels<'_>) -> Counter {
        let RuleLabels { listener, stage, rule, action, mode } = labels;
        self.families.policy_decisions_total.with([listener, stage, self.names.bounded(rule), action, mode])
    }

    /// A policy was asked at a stage; `spent` is the time of its script, all reruns together, without the wait for facts.
    pub fn duration(&self, stage: &'static str, policy: &Arc<str>, spent: Duration) {
        self.tally.ran(policy, stage, spent);
        self.families.policy_duration_seconds.with([stage, self.names.bounded(policy)]).observe(spent);
    }

    /// What rules and policies did since the start.
    pub fn figures(&self) -> Figures {
        self.tally.figures()
    }

    /// A script failed; `kind` is `script`, `thrown`, `panic`, or the budget that was used up: `time`, `operations`, `facts`,
    /// `size`, `depth`.
    pub fn error(&self, policy: &str, stage: &'static str, kind: &'static str) {
        self.families.policy_errors_total.with([self.names.bounded(policy), stage, kind]).inc();
    }

    /// The generation that is in force from now on.
    pub fn info(&self, generation: &str) {
        self.families.policy_info.clear();
        self.families.policy_info.with([generation]).set(1);
    }

    /// Something was loaded at start, at `when`.
    pub fn loaded(&self, kind: &'static str, when: SystemTime) {
        let seconds = when.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.families.config_last_reload_successful.with([kind]).set(1);
        self.families.config_last_reload_success_timestamp_seconds.with([kind]).set_count(seconds);
    }

    /// A reload succeeded at `when`.
    pub fn reloaded(&self, kind: &'static str, when: SystemTime) {
        self.loaded(kind, when);
        self.families.config_reloads_total.with([kind, "ok"]).inc();
    }

    /// A reload failed; what was in force stays.
    pub fn reload_failed(&self, kind: &'static str) {
        self.families.config_last_reload_successful.with([kind]).set(0);
        self.families.config_reloads_total.with([kind, "failed"]).inc();
    }
}
