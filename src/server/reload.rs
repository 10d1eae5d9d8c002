//! New policies without a restart: watch, load, swap, or keep the old ones and say so.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::admin::{Health, Reload, Reloaded};
use crate::diagnostic::Diagnostic;
use crate::metrics::{PolicyMetrics, RuleLabels};
use crate::policy::judgement::Action;
use crate::policy::{Fingerprint, Policies, RuleInfo, Sources};
use crate::session::stage::Stage;

/// How often the files are looked at. What they hold is compared, not their times, so that an editor's dance of files and a
/// symlink that is swapped under the folder are seen alike.
const LOOK: Duration = Duration::from_secs(1);
/// The name of this kind of reload in metrics and on the health page.
const KIND: &str = "policies";

/// Orders a reload; whoever holds one can order.
#[derive(Clone, Debug)]
pub struct Bell(mpsc::Sender<oneshot::Sender<Reload>>);

/// The orders that come in; each is answered with what came of it.
pub type Orders = mpsc::Receiver<oneshot::Sender<Reload>>;

impl Bell {
    /// A bell, and what it is heard by.
    pub fn new() -> (Self, Orders) {
        let (bell, orders) = mpsc::channel(1);
        (Self(bell), orders)
    }

    /// Orders a reload, changed or not, and waits for its end. `None` when nobody listens any more.
    pub async fn ring(&self) -> Option<Reload> {
        let (answer, answered) = oneshot::channel();
        self.0.send(answer).await.ok()?;
        answered.await.ok()
    }
}

/// Keeps the policies in force up to date with their files.
#[derive(Debug)]
pub struct Reloader {
    /// Where they are read from; the configuration may put others in their place.
    pub sources: Arc<ArcSwap<Sources>>,
    /// The ones in force.
    pub policies: Arc<ArcSwap<Policies>>,
    /// What the files held when those were loaded.
    pub loaded: Fingerprint,
    /// Where reloads are counted.
    pub metrics: PolicyMetrics,
    /// Where reloads show.
    pub health: Arc<Health>,
}

impl Reloader {
    /// Watches until `shutdown`; an order makes it load at once, changed or not.
    pub async fn run(self, mut orders: Orders, shutdown: CancellationToken) {
        announce(&self.policies.load(), self.loaded, &self.sources.load(), &self.metrics);
        self.metrics.loaded(KIND, SystemTime::now());
        let mut seen = self.loaded;
        let reloader = Arc::new(self);
        loop {
            let order = tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK) => None,
                Some(order) = orders.recv() => Some(order),
            };
            let (worker, ordered) = (Arc::clone(&reloader), order.is_some());
            // Reading and compiling takes milliseconds, which are not taken from sessions.
            let looked = tokio::task::spawn_blocking(move || worker.look(seen, ordered)).await;
            let Ok((found, reload)) = looked else { continue };
            seen = found;
            if let Some(order) = order {
                // Who ordered may have gone.
                let _ = order.send(reload);
            }
        }
    }

    /// Compares, loads and swaps; gives the fingerprint of what was looked at, so that a broken set is reported once.
    fn look(&self, seen: Fingerprint, ordered: bool) -> (Fingerprint, Reload) {
        let sources = self.sources.load_full();
        let now = sources.fingerprint();
        if now == seen && !ordered {
            return (seen, Reload::new(KIND, Reloaded::Unchanged, Vec::new()));
        }
        let reload = match Policies::load(&sources) {
            Ok(policies) => self.swap(policies, now, &sources),
            Err(diagnostics) => self.refuse(&diagnostics),
        };
        self.health.reloaded(reload.clone());
        (now, reload)
    }

    fn swap(&self, policies: Policies, generation: Fingerprint, sources: &Sources) -> Reload {
        for warning in policies.warnings() {
            tracing::warn!(event = "reload_warning", "{}", warning.one_line());
        }
        announce(&policies, generation, sources, &self.metrics);
        let before = self.policies.swap(Arc::new(policies));
        self.metrics.reloaded(KIND, SystemTime::now());
        tracing::info!(event = "reloaded", %generation, "policies reloaded");
        Reload::new(KIND, Reloaded::Taken, changes(&before, &self.policies.load()))
    }

    fn refuse(&self, diagnostics: &[Diagnostic]) -> Reload {
        for diagnostic in diagnostics {
            tracing::error!(event = "reload_refused", "{}", diagnostic.one_line());
        }
        self.metrics.reload_failed(KIND);
        Reload::new(KIND, Reloaded::Refused, diagnostics.iter().map(Diagnostic::one_line).collect())
    }
}

/// What differs between two generations, for the operator.
pub fn changes(before: &Policies, after: &Policies) -> Vec<String> {
    let key = |rule: &RuleInfo| (Arc::clone(&rule.rule), rule.stage, rule.action);
    let known =
        |rules: &[RuleInfo], rule: &RuleInfo| rules.iter().find(|other| key(other) == key(rule)).cloned();
    let mut lines = Vec::new();
    for rule in before.rules().iter().filter(|rule| known(after.rules(), rule).is_none()) {
        lines.push(format!("rule {} at {} is gone", rule.rule, rule.stage.name()));
    }
    for rule in after.rules() {
        match known(before.rules(), rule) {
            None => lines.push(format!(
                "rule {} at {} is new ({})",
                rule.rule,
                rule.stage.name(),
                rule.mode.name()
            )),
            Some(old) if old.mode != rule.mode => {
                lines.push(format!("rule {}: {} -> {}", rule.rule, old.mode.name(), rule.mode.name()));
            }
            Some(_) => {}
        }
    }
    lines
}

/// Makes every series that these policies can move exist from the start.
pub fn announce(policies: &Policies, generation: Fingerprint, sources: &Sources, metrics: &PolicyMetrics) {
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
            metrics.expect_rule(labels, Some(rule.code).filter(|code| *code >= 400));
        }
    }
}
