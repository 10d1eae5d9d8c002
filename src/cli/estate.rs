//! Another configuration without a restart: watch the file, read it, build the house anew, move in, or keep the old one and say
//! so. Sessions go on in the house in which they began.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Context, SHA256};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::admin::{Health, Reload, Reloaded};
use crate::config::{self, Loaded, Outline};
use crate::diagnostic::Diagnostic;
use crate::files;
use crate::log;
use crate::metrics::PolicyMetrics;
use crate::policy::{Policies, Sources};
use crate::server::{self, Bell, Entrances, Moved, Objections, Refusal, Watched};
use crate::transcript::Options;

use super::fixed::Fixed;
use super::house::{Ground, House, addresses};
use super::opening::CannotOpen;
use super::probes::Probes;
use super::{seal_key, test};

/// How often the file is looked at. What it holds is compared, not its time, so that a symlink that is swapped is seen too.
const LOOK: Duration = Duration::from_secs(1);
/// What is read of a file, in octets: one that is longer is refused by those who load it.
const LONGEST: u64 = 64 << 20;
/// The name of this kind of reload in metrics and on the health page.
pub(super) const KIND: &str = "config";

/// Orders everything to be reloaded at once; the answer says what came of each kind.
pub(super) type Order = oneshot::Sender<Vec<Reload>>;

/// Everything that follows the configuration.
#[derive(Debug)]
pub(super) struct Estate {
    pub(super) ground: Arc<Ground>,
    pub(super) house: House,
    pub(super) entrances: Entrances,
    pub(super) probes: Probes,
    /// What takes a restart to change.
    pub(super) fixed: Fixed,
    /// Where policies are read from, as their own reloader sees it.
    pub(super) sources: Arc<ArcSwap<Sources>>,
    /// What the policies' own tests are run with.
    pub(super) tests: Arc<ArcSwap<Options>>,
    /// The certificates in use, as their own reloader sees them.
    pub(super) watched: Arc<Mutex<Vec<Watched>>>,
    /// How long sessions have at the end.
    pub(super) drain: watch::Sender<Duration>,
    /// Ends with the house that it belongs to.
    pub(super) seal_key: CancellationToken,
    pub(super) health: Arc<Health>,
    pub(super) metrics: PolicyMetrics,
    /// Ends with the process.
    pub(super) stop: CancellationToken,
}

/// The bells of those who reload by themselves.
#[derive(Debug)]
pub(super) struct Bells {
    pub(super) policies: Bell,
    pub(super) certificates: Bell,
}

/// What the file was like when it was last looked at.
#[derive(Debug)]
struct Seen {
    file: PathBuf,
    outline: Outline,
    digest: Digest,
    /// What it held when it was found broken for the first time: half of it, perhaps, whose other half is about to be written. It is
    /// refused if it is still there at the next look.
    doubtful: Option<Digest>,
    /// Whether what it held was refused. Who orders a reload is told so again.
    refusal: Refusal,
}

type Digest = [u8; 32];

/// Watches the configuration until `estate.stop`.
pub(super) async fn run(
    mut estate: Estate,
    outline: Outline,
    bells: Bells,
    mut orders: mpsc::Receiver<Order>,
) {
    let file = estate.house.settings.file.clone();
    let digest = digest(&file, &outline);
    let mut seen = Seen { file, outline, digest, doubtful: None, refusal: Refusal::default() };
    estate.metrics.loaded(KIND, SystemTime::now());
    loop {
        let order = tokio::select! {
            () = estate.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => None,
            Some(order) = orders.recv() => Some(order),
        };
        let Some(order) = order else {
            seen.look(&mut estate, false).await;
            continue;
        };
        server::supervisor::reloading();
        let mut came = vec![seen.look(&mut estate, true).await];
        for bell in [&bells.policies, &bells.certificates] {
            came.extend(bell.ring().await);
        }
        server::supervisor::ready();
        // Who ordered may have gone.
        let _ = order.send(came);
    }
}

impl Seen {
    async fn look(&mut self, estate: &mut Estate, ordered: bool) -> Reload {
        let (file, outline) = (self.file.clone(), self.outline.clone());
        let Ok(now) = tokio::task::spawn_blocking(move || digest(&file, &outline)).await else {
            return unchanged();
        };
        let is_another = now != self.digest;
        let again = if ordered { self.refusal.stands() } else { self.refusal.is_due(Instant::now()) };
        if !is_another && !again {
            self.doubtful = None;
            return unchanged();
        }
        let began = Instant::now();
        let came = match self.read().await {
            Ok(new) => self.take(estate, new, now).await,
            Err(_) if is_another && !ordered && self.doubtful != Some(now) => {
                self.doubtful = Some(now);
                return unchanged();
            }
            Err(objections) => {
                self.digest = now;
                Err(objections)
            }
        };
        let reload = self.conclude(came, began, ordered || is_another);
        estate.tell(&reload);
        reload
    }

    /// Makes a reload of what came of it. Nothing happened when it was refused before for the same reasons and is no news.
    fn conclude(&mut self, came: Result<Vec<String>, Objections>, began: Instant, is_news: bool) -> Reload {
        let objections = match came {
            Ok(changes) => {
                self.refusal = Refusal::default();
                return Reload::new(KIND, Reloaded::Taken, changes);
            }
            Err(objections) => objections,
        };
        let is_known = self.refusal.is_for(&objections);
        self.refusal = Refusal::of(&objections, began);
        if is_known && !is_news {
            return unchanged();
        }
        objections.warn();
        Reload::new(KIND, Reloaded::Refused, objections.errors().to_vec())
    }

    /// The configuration and its policies, read and compiled where blocking harms nobody.
    async fn read(&self) -> Result<New, Objections> {
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || {
            let loaded = config::load(&file)?;
            let fingerprint = loaded.settings.policies.fingerprint();
            let policies = Policies::load(&loaded.settings.policies)?;
            test::examine(&test::options(&loaded.settings))
                .map_err(|problem| vec![Diagnostic::error(&file, problem)])?;
            Ok(New { loaded, policies, fingerprint })
        });
        let interrupted = |error| vec![Diagnostic::error(&self.file, format!("cannot be read: {error}"))];
        read.await.unwrap_or_else(|error| Err(interrupted(error).into()))
    }

    /// Gives what changed.
    async fn take(
        &mut self,
        estate: &mut Estate,
        new: New,
        digest: Digest,
    ) -> Result<Vec<String>, Objections> {
        self.digest = digest;
        self.doubtful = None;
        let outline = new.loaded.outline.clone();
        let mut lines = estate.renew(new).await.map_err(|error| format!("{error:#}"))?;
        lines.splice(0..0, self.outline.changes(&outline));
        self.outline = outline;
        Ok(lines)
    }
}

/// What is to be in force.
#[derive(Debug)]
struct New {
    loaded: Loaded,
    policies: Policies,
    fingerprint: crate::policy::Fingerprint,
}

fn unchanged() -> Reload {
    Reload::new(KIND, Reloaded::Unchanged, Vec::new())
}

impl Estate {
    /// Builds a house by the new settings and moves in; gives what changed. All or nothing.
    async fn renew(&mut self, new: New) -> anyhow::Result<Vec<String>> {
        let Loaded { settings, warnings, .. } = new.loaded;
        let waiting = self.fixed.waiting(&settings);
        let mut lines: Vec<String> =
            waiting.iter().map(|section| format!("{section} takes effect at the next start")).collect();
        let house = House::build(&self.ground, settings, Some(&self.house))?;
        let prepared = house.services(&self.ground).and_then(|wanted| {
            let prepared = self.entrances.prepare(wanted);
            Ok(prepared.map_err(|error| CannotOpen::listener(&house.settings, &error))?)
        });
        let prepared = prepared.inspect_err(|_| self.forget_all_but(&house, &self.house))?;
        self.probes.meet(&house.upstreams, &self.stop).await;
        for warning in warnings.iter().chain(new.policies.warnings()) {
            tracing::warn!(event = "reload_warning", "{}", warning.one_line());
        }
        let sources = &house.settings.policies;
        server::announce(&new.policies, new.fingerprint, sources, &self.metrics);
        self.sources.store(Arc::new(sources.clone()));
        self.tests.store(Arc::new(test::options(&house.settings)));
        let before = self.ground.policies.swap(Arc::new(new.policies));
        lines.extend(server::changes(&before, &self.ground.policies.load()));
        let before = std::mem::replace(&mut self.house, house);
        self.house.move_in(&self.ground);
        lines.extend(in_words(&self.entrances.settle(prepared)));
        self.settle(&before);
        self.health.waiting(waiting);
        Ok(lines)
    }

    /// Lets go of what only the house `before` had.
    fn settle(&mut self, before: &House) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.iter().for_each(Watched::leave);
        let wanted = self.house.watched(&self.ground).into_iter();
        *watched = wanted.map(|wanted| wanted.succeed(&watched)).collect();
        drop(watched);
        self.forget_all_but(before, &self.house);
        self.probes.retain(&self.house.upstreams);
        if self.house.settings.log.level != before.settings.log.level {
            log::set_level(&self.house.settings.log.level);
        }
        // Nobody waits for the end yet who could miss it.
        let _ = self.drain.send(self.house.settings.drain);
        self.seal_key.cancel();
        self.seal_key = self.stop.child_token();
        seal_key::watch_of(&self.house.settings, &self.seal_key);
    }

    /// Upstreams that `gone` has and `stays` has not are no longer up or down.
    fn forget_all_but(&self, gone: &House, stays: &House) {
        for target in &gone.settings.upstreams {
            if !stays.settings.upstreams.iter().any(|other| other.name == target.name) {
                self.ground.metrics.upstream(&target.name).forget(addresses(target));
            }
        }
    }

    fn tell(&self, reload: &Reload) {
        match reload.outcome {
            Reloaded::Unchanged => {}
            Reloaded::Taken => {
                self.metrics.reloaded(KIND, SystemTime::now());
                let changes = reload.lines.join("; ");
                tracing::info!(event = "reloaded", %changes, "configuration reloaded");
            }
            Reloaded::Refused => {
                self.metrics.reload_failed(KIND);
                for line in &reload.lines {
                    tracing::error!(event = "reload_refused", "{line}");
                }
            }
        }
        self.health.reloaded(reload.clone());
    }
}

fn in_words(moved: &Moved) -> Vec<String> {
    let opened = moved.opened.iter().map(|(name, address)| format!("{name} listens on {address}"));
    let closed = moved.closed.iter().map(|(name, address)| format!("{name} no longer listens on {address}"));
    opened.chain(closed).collect()
}

/// What the file and those that belong to it hold. One that cannot be read counts by its error.
fn digest(file: &Path, outline: &Outline) -> Digest {
    let mut digest = Context::new(&SHA256);
    for path in std::iter::once(file).chain(outline.files().iter().map(PathBuf::as_path)) {
        // It may hold a secret.
        let content = files::read(path, LONGEST).unwrap_or_else(|error| error.to_string().into_bytes());
        let content = Zeroizing::new(content);
        digest.update(&content.len().to_be_bytes());
        digest.update(&content);
    }
    let mut value = [0; 32];
    value.iter_mut().zip(digest.finish().as_ref()).for_each(|(to, from)| *to = *from);
    value
}
