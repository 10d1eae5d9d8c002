//! New policies without a restart: watch, load, swap, or keep the old ones and say so.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use jiff::civil::Date;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::refusal::{Objections, Refusal};
use crate::admin::{Health, Reload, Reloaded};
use crate::metrics::{PolicyMetrics, RuleLabels};
use crate::policy::judgement::{Action, Mode};
use crate::policy::sources::RefuseAt;
use crate::policy::{Fingerprint, Glance, Policies, RuleInfo, Sources};
use crate::session::stage::Stage;

/// How often the files are looked at. When any of them was changed, what they hold is compared, so that an editor's dance of files
/// and a symlink that is swapped under the folder are seen alike.
const LOOK: Duration = Duration::from_secs(1);
/// Generations that may be alive at a time, the one in force among them.
const MAX_GENERATIONS: usize = 3;
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
    /// Who has the last word on a set that loads.
    pub examiner: Examiner,
}

/// Runs the tests of policies that are about to be taken, where that is asked for.
#[derive(Clone)]
pub struct Examiner(Arc<Examine>);

/// Says what is wrong, if anything is.
type Examine = dyn Fn(&Sources) -> Result<(), String> + Send + Sync;

impl Examiner {
    /// `examine` says what is wrong, in one line for the log. It may take its time, and is not called on the threads of sessions.
    pub fn new(examine: impl Fn(&Sources) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(examine))
    }
}

impl fmt::Debug for Examiner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Examiner")
    }
}

/// What was seen of the files at the last look.
#[derive(Clone, Debug)]
struct Seen {
    /// `None` before the first look.
    glance: Option<Glance>,
    content: Fingerprint,
    /// The day on which what was over could not be replaced; it is reported once a day.
    kept: Option<Date>,
    /// Whether it was refused.
    refusal: Refusal,
}

impl Reloader {
    /// Watches until `shutdown`; an order makes it look at once, and try again what was refused.
    pub async fn run(self, mut orders: Orders, shutdown: CancellationToken) {
        announce(&self.policies.load(), self.loaded, &self.sources.load(), &self.metrics);
        self.metrics.loaded(KIND, SystemTime::now());
        let mut seen = Seen { glance: None, content: self.loaded, kept: None, refusal: Refusal::default() };
        let mut generations = Generations::default();
        let reloader = Arc::new(self);
        loop {
            let order = tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK) => None,
                Some(order) = orders.recv() => Some(order),
            };
            // The configuration puts policies in force too.
            generations.see(&reloader.policies.load_full());
            let (worker, before, ordered) = (Arc::clone(&reloader), seen.clone(), order.is_some());
            // Reading and compiling takes milliseconds, which are not taken from sessions.
            let looked = tokio::task::spawn_blocking(move || worker.look(before, ordered)).await;
            let Ok((found, reload)) = looked else { continue };
            seen = found;
            generations.see(&reloader.policies.load_full());
            if let Some(order) = order {
                // Who ordered may have gone.
                let _ = order.send(reload);
            }
        }
    }

    /// Compares, loads and swaps; gives what was looked at, so that a broken set is reported once.
    fn look(&self, seen: Seen, ordered: bool) -> (Seen, Reload) {
        let sources = self.sources.load_full();
        let (glance, day) = (sources.glance(), sources.today());
        // An exception or an entry of a list counts until a day. Asked of what is in force at every look: it may have been loaded
        // before midnight and put in force behind it.
        let is_over = self.policies.load().until().is_some_and(|until| until < day);
        let must_load = ordered || (is_over && seen.kept != Some(day));
        let may_be_another = seen.glance.is_none_or(|last| !last.vouches_for(&glance));
        if !must_load && !may_be_another && !seen.refusal.is_due(Instant::now()) {
            return (seen, unchanged());
        }
        let now = Seen { glance: Some(glance), content: sources.fingerprint(), ..seen.clone() };
        let is_in_force = *now.content.to_string() == **self.policies.load().generation();
        if !is_over && is_in_force && !self.health.is_refused(KIND) {
            if ordered {
                self.metrics.reloaded(KIND, SystemTime::now());
            }
            return (now, unchanged());
        }
        let is_news = must_load || now.content != seen.content;
        if !is_news && !seen.refusal.stands() {
            return (now, unchanged());
        }
        let (refusal, reload) = self.renew(now.content, &sources, Some(&seen.refusal).filter(|_| !is_news));
        let is_kept = is_over && refusal.stands();
        (Seen { kept: is_kept.then_some(day), refusal, ..now }, reload)
    }

    /// Loads, and swaps or keeps the old ones. Nothing is said when it was refused `before` for the same reasons.
    fn renew(
        &self,
        generation: Fingerprint,
        sources: &Sources,
        before: Option<&Refusal>,
    ) -> (Refusal, Reload) {
        let began = Instant::now();
        let (refusal, reload) = match self.load(sources) {
            Ok(policies) => (Refusal::default(), self.swap(policies, generation, sources)),
            Err(objections) => {
                let is_known = before.is_some_and(|before| before.is_for(&objections));
                let refusal = Refusal::of(&objections, began);
                (refusal, if is_known { unchanged() } else { self.refuse(&objections) })
            }
        };
        self.health.reloaded(reload.clone());
        (refusal, reload)
    }

    /// Loads, and has the set examined.
    fn load(&self, sources: &Sources) -> Result<Policies, Objections> {
        let policies = Policies::load(sources)?;
        let Examiner(examine) = &self.examiner;
        examine(sources)?;
        Ok(policies)
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

    fn refuse(&self, objections: &Objections) -> Reload {
        objections.warn();
        for line in objections.errors() {
            tracing::error!(event = "reload_refused", "{line}");
        }
        self.metrics.reload_failed(KIND);
        Reload::new(KIND, Reloaded::Refused, objections.errors().to_vec())
    }
}

fn unchanged() -> Reload {
    Reload::new(KIND, Reloaded::Unchanged, Vec::new())
}

/// The generations that may still be alive: each may hold large lists, and a client must not keep them all by dawdling.
#[derive(Debug, Default)]
struct Generations {
    current: Weak<Policies>,
    replaced: VecDeque<Weak<Policies>>,
}

impl Generations {
    /// Takes note of what is in force. When too many are alive, the oldest has to go.
    fn see(&mut self, now: &Arc<Policies>) {
        let now = Arc::downgrade(now);
        if now.ptr_eq(&self.current) {
            return;
        }
        self.replaced.push_back(std::mem::replace(&mut self.current, now));
        self.replaced.retain(|generation| generation.strong_count() > 0);
        while self.replaced.len() >= MAX_GENERATIONS {
            if let Some(oldest) = self.replaced.pop_front().and_then(|generation| generation.upgrade()) {
                oldest.retire();
            }
        }
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
            for mode in [rule.mode].iter().chain(&rule.elsewhere) {
                let code = Some(rule.code).filter(|code| *code >= 400);
                let labels = labels(listener, rule, *mode);
                if sources.refuse_at == RefuseAt::Rcpt && code.is_some() && is_before_rcpt(rule.stage) {
                    metrics.expect_rule(RuleLabels { stage: Stage::Rcpt.name(), ..labels }, code);
                }
                metrics.expect_rule(labels, code);
            }
        }
    }
}

/// Whether what is refused at `stage` can be said at RCPT.
const fn is_before_rcpt(stage: Stage) -> bool {
    matches!(stage, Stage::Connect | Stage::Helo | Stage::Mail)
}

/// The series of a rule where it has this mode.
fn labels<'r>(listener: &'r str, rule: &'r RuleInfo, mode: Mode) -> RuleLabels<'r> {
    RuleLabels {
        listener,
        // A size limit is set for the recipient, and speaks about the message.
        stage: if rule.action == Action::LimitSize { Stage::Message } else { rule.stage }.name(),
        rule: &rule.rule,
        action: rule.action.name_in(mode),
        mode: mode.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sources::{EntrySource, Selection};

    const GATE: &str =
        "const GATE = true;\nfn rcpt(session, mail, rcpt) { reject(\"denied\", \"relaying denied\"); }\n";

    /// A reloader with a clock that stands still, and a list of which an entry ends with a day.
    struct Rig {
        folder: tempfile::TempDir,
        reloader: Reloader,
        seen: Seen,
    }

    impl Rig {
        fn new(today: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("00-relay.rhai"), GATE).unwrap();
            let entries = ["a.example until 2027-03-31", "b.example until 2027-04-02", "c.example"];
            let entries = EntrySource::Inline(entries.map(str::to_owned).to_vec());
            let sources = Sources {
                dir: folder.path().to_owned(),
                listeners: vec![("mx".to_owned(), Selection::All)],
                lists: [("partners".to_owned(), entries.into())].into(),
                today: Some(today.parse().unwrap()),
                ..Sources::default()
            };
            let (policies, loaded) = (Policies::load(&sources).unwrap(), sources.fingerprint());
            let reloader = Reloader {
                sources: Arc::new(ArcSwap::from_pointee(sources)),
                policies: Arc::new(ArcSwap::from_pointee(policies)),
                loaded,
                metrics: PolicyMetrics::detached(),
                health: Arc::default(),
                examiner: Examiner::new(|_| Ok(())),
            };
            let seen = Seen { glance: None, content: loaded, kept: None, refusal: Refusal::default() };
            Self { folder, reloader, seen }
        }

        /// What comes of a look on this day.
        fn look(&mut self, day: &str) -> Reloaded {
            let today = Some(day.parse().unwrap());
            let sources = Sources { today, ..Sources::clone(&self.reloader.sources.load()) };
            self.reloader.sources.store(Arc::new(sources));
            let (seen, reload) = self.reloader.look(self.seen.clone(), false);
            self.seen = seen;
            reload.outcome
        }

        /// How many entries are told to be over, and the last day on which all is as it is.
        fn in_force(&self) -> (usize, Option<String>) {
            let policies = self.reloader.policies.load();
            (policies.warnings().len(), policies.until().map(|day| day.to_string()))
        }
    }

    /// No file changes, and nobody orders anything.
    #[test]
    fn an_entry_ends_with_its_day() {
        let mut rig = Rig::new("2027-03-30");
        for (day, outcome, over, until) in [
            ("2027-03-30", Reloaded::Unchanged, 0, Some("2027-03-31")),
            ("2027-03-31", Reloaded::Unchanged, 0, Some("2027-03-31")),
            ("2027-04-01", Reloaded::Taken, 1, Some("2027-04-02")),
            ("2027-04-01", Reloaded::Unchanged, 1, Some("2027-04-02")),
            ("2027-04-02", Reloaded::Unchanged, 1, Some("2027-04-02")),
            ("2027-04-03", Reloaded::Taken, 2, None),
            ("2027-04-04", Reloaded::Unchanged, 2, None),
        ] {
            assert_eq!(rig.look(day), outcome, "{day}");
            assert_eq!(rig.in_force(), (over, until.map(str::to_owned)), "{day}");
        }
    }

    /// Loaded just before midnight, looked at just behind it.
    #[test]
    fn the_first_look_may_be_on_the_next_day() {
        let mut rig = Rig::new("2027-03-31");
        assert_eq!(rig.look("2027-04-01"), Reloaded::Taken);
        assert_eq!(rig.in_force(), (1, Some("2027-04-02".to_owned())));
    }

    /// The folder of the policies is no file, and its mode is none of their dates.
    #[test]
    fn a_mode_that_is_mended_is_enough() {
        let mut rig = Rig::new("2027-03-30");
        let mode = |rig: &Rig, mode| {
            let folder = rig.folder.path();
            std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        };
        mode(&rig, 0o757);
        std::fs::write(rig.folder.path().join("10-more.rhai"), "fn helo(session) {}\n").unwrap();
        let looks = [rig.look("2027-03-30"), rig.look("2027-03-30"), rig.look("2027-03-30")];
        assert_eq!(looks, [Reloaded::Refused, Reloaded::Unchanged, Reloaded::Unchanged]);
        assert_eq!(rig.reloader.health.reloads().len(), 1, "what is known already is not told again");
        mode(&rig, 0o755);
        // As soon as the files are quiet it is tried more rarely, yet it is.
        let taken = (0..1000).find(|_| rig.look("2027-03-30") == Reloaded::Taken);
        assert!(taken.is_some() && !rig.reloader.health.is_refused(KIND));
    }

    /// A set that is broken when the day ends is reported once a day, and what was in force stays.
    #[test]
    fn what_cannot_be_replaced_is_reported_once_a_day() {
        let mut rig = Rig::new("2027-03-31");
        let file = rig.folder.path().join("00-relay.rhai");
        std::fs::write(&file, "fn (").unwrap();
        for (day, outcome) in [
            ("2027-04-01", Reloaded::Refused),
            ("2027-04-01", Reloaded::Unchanged),
            ("2027-04-02", Reloaded::Refused),
            ("2027-04-02", Reloaded::Unchanged),
        ] {
            assert_eq!(rig.look(day), outcome, "{day}");
            assert_eq!(rig.in_force(), (0, Some("2027-03-31".to_owned())), "{day}");
        }
        std::fs::write(&file, GATE).unwrap();
        assert_eq!(rig.look("2027-04-02"), Reloaded::Taken);
        assert_eq!(rig.in_force(), (1, Some("2027-04-02".to_owned())));
    }
}
