//! New policies without a restart: watch, load, swap, or keep the old ones and say so.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::supervisor;
use crate::admin::Health;
use crate::diagnostic::Diagnostic;
use crate::metrics::{PolicyMetrics, RuleLabels};
use crate::policy::judgement::Action;
use crate::policy::{Fingerprint, Policies, Sources};
use crate::session::stage::Stage;

/// How often the files are looked at. What they hold is compared, not their times, so that an editor's dance of files and a
/// symlink that is swapped under the folder are seen alike.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps the policies in force up to date with their files.
#[derive(Debug)]
pub struct Reloader {
    /// Where they are read from.
    pub sources: Sources,
    /// The ones in force.
    pub policies: Arc<ArcSwap<Policies>>,
    /// What the files held when those were loaded.
    pub loaded: Fingerprint,
    /// Where reloads are counted.
    pub metrics: PolicyMetrics,
    /// Where a refused reload shows.
    pub health: Arc<Health>,
    /// A notification makes it load at once, changed or not.
    pub order: Arc<Notify>,
}

impl Reloader {
    /// Watches until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        announce(&self.policies.load(), self.loaded, &self.sources, &self.metrics);
        self.metrics.loaded("policies", SystemTime::now());
        let mut seen = self.loaded;
        let reloader = Arc::new(self);
        loop {
            let ordered = tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK) => false,
                () = reloader.order.notified() => true,
            };
            if ordered {
                supervisor::reloading();
            }
            let worker = Arc::clone(&reloader);
            // Reading and compiling takes milliseconds, which are not taken from sessions.
            let looked = tokio::task::spawn_blocking(move || worker.look(seen, ordered)).await;
            seen = looked.unwrap_or(seen);
            if ordered {
                supervisor::ready();
            }
        }
    }

    /// Compares, loads and swaps; gives the fingerprint of what was looked at, so that a broken set is reported once.
    fn look(&self, seen: Fingerprint, ordered: bool) -> Fingerprint {
        let now = self.sources.fingerprint();
        if now == seen && !ordered {
            return seen;
        }
        match Policies::load(&self.sources) {
            Ok(policies) => self.swap(policies, now),
            Err(diagnostics) => self.refuse(&diagnostics),
        }
        now
    }

    fn swap(&self, policies: Policies, generation: Fingerprint) {
        for warning in policies.warnings() {
            tracing::warn!(event = "reload_warning", "{}", warning.one_line());
        }
        announce(&policies, generation, &self.sources, &self.metrics);
        self.policies.store(Arc::new(policies));
        self.metrics.reloaded("policies", SystemTime::now());
        self.health.reloaded("policies");
        tracing::info!(event = "reloaded", %generation, "policies reloaded");
    }

    fn refuse(&self, diagnostics: &[Diagnostic]) {
        for diagnostic in diagnostics {
            tracing::error!(event = "reload_refused", "{}", diagnostic.one_line());
        }
        self.metrics.reload_failed("policies");
        self.health.reload_refused("policies");
    }
}

/// Makes every series that these policies can move exist from the start.
fn announce(policies: &Policies, generation: Fingerprint, sources: &Sources, metrics: &PolicyMetrics) {
    metrics.info(&generation.to_string());
    for policy in policies.policies() {
        for stage in &policy.stages {
            metrics.expect_policy(stage.name(), &policy.name);
        }
    }
    for (listener, _) in &sources.listeners {
        for rule in policies.rules() {
            let labels = RuleLabels {
                listener,
                // A size limit is set for the recipient, and speaks about the message.
                stage: if rule.action == Action::LimitSize { Stage::Message } else { rule.stage }.name(),
                rule: &rule.rule,
                action: rule.action.name_in(rule.mode),
                mode: rule.mode.name(),
            };
            metrics.expect_rule(labels, Some(rule.code));
        }
    }
}
