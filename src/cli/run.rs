//! `gatepost run`: serve until told to stop.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use anyhow::{Context, anyhow};
use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Access, Health};
use crate::config::{self, Loaded, Settings};
use crate::diagnostic::{Diagnostic, Severity};
use crate::log;
use crate::policy::{Fingerprint, Policies};
use crate::proxy::End;
use crate::server::{
    Bell, CertificateReloader, Entrances, Examiner, Handed, Handshakes, Reloader, supervisor,
};
use crate::transcript::Options;

use super::Failure;
use super::desk::{self, Desk};
use super::estate::{self, Bells, Estate};
use super::fixed::Fixed;
use super::house::{Ground, House};
use super::opening::CannotOpen;
use super::probes::Probes;
use super::screen::{Screen, one_line, tally};
use super::{seal_key, test};

/// Serves with the configuration at `path` until SIGTERM or SIGINT. What is wrong is shown on a terminal, and else stands in the log in
/// the form of all its lines.
pub(super) fn run(path: &Path, screen: Screen) -> Result<(), Failure> {
    let loaded = config::load(path);
    let log = match &loaded {
        Ok(loaded) => loaded.settings.log.clone(),
        Err(_) => config::glimpse(path).map(|seen| seen.log).unwrap_or_default(),
    };
    log::init(log.format, &log.level).context("the log cannot be set up")?;
    let told = Told::to(screen);
    let loaded = loaded.map_err(|found| {
        told.show(&found);
        Failure::Untold(anyhow!("{} cannot be used: {}", path.display(), tally(&found)))
    });
    let served = loaded.and_then(|loaded| {
        told.show(&loaded.warnings);
        start(loaded, &told)
    });
    served.map_err(|failure| told.fail(failure))
}

/// Where those who started us hear what is wrong.
enum Told {
    Screen(Screen),
    /// A daemon's standard error is its log, where the lines of a file with secrets have no place.
    Log,
}

impl Told {
    /// A log that is switched off says nothing, and that would leave nobody a word.
    fn to(screen: Screen) -> Self {
        let listens = tracing::enabled!(tracing::Level::ERROR);
        if screen.is_terminal() || !listens { Self::Screen(screen) } else { Self::Log }
    }

    fn show(&self, found: &[Diagnostic]) {
        match self {
            Self::Screen(screen) => screen.diagnostics(found),
            Self::Log => found.iter().for_each(|problem| match problem.severity {
                Severity::Error => tracing::error!(event = "start_refused", "{}", problem.one_line()),
                Severity::Warning => tracing::warn!(event = "start_warning", "{}", problem.one_line()),
            }),
        }
    }

    fn fail(&self, failure: Failure) -> Failure {
        match (self, failure) {
            (Self::Log, Failure::Untold(error)) => {
                tracing::error!(event = "start_failed", "{}", one_line(&error));
                Failure::Shown
            }
            (_, failure) => failure,
        }
    }
}

/// Serves until it is told to end.
fn start(loaded: Loaded, told: &Told) -> Result<(), Failure> {
    let settings = &loaded.settings;
    // Before the files are read: a change in between is seen by the first look of the reloader.
    let fingerprint = settings.policies.fingerprint();
    let policies = Policies::load(&settings.policies).map_err(|found| {
        told.show(&found);
        Failure::Untold(anyhow!("the policies cannot be used: {}", tally(&found)))
    })?;
    told.show(policies.warnings());
    test::examine(&test::options(settings)).map_err(|problem| Failure::Untold(anyhow!(problem)))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let handshakes = Handshakes::threads().context("the threads for handshakes cannot be started")?;
    let served = runtime.block_on(serve(loaded, policies, fingerprint, handshakes.handle().clone()));
    handshakes.shutdown_background();
    served.map_err(|error| match error.downcast::<CannotOpen>() {
        Ok(CannotOpen(found)) => {
            told.show(std::slice::from_ref(&found));
            Failure::Untold(anyhow!("nothing is served: 1 error"))
        }
        Err(error) => error.into(),
    })
}

async fn serve(
    loaded: Loaded,
    policies: Policies,
    fingerprint: Fingerprint,
    handshakes: Handle,
) -> anyhow::Result<()> {
    let signals = Signals::listen().context("signals cannot be listened for")?;
    let (outline, settings) = (loaded.outline, loaded.settings);
    let ground = Arc::new(Ground::lay(&settings, policies, handshakes)?);
    let (recorder, loudness) = (Arc::clone(&ground.recorder), Arc::clone(&ground));
    let store = Arc::clone(&ground.store);
    let house = House::build(&ground, settings, None)?;
    let (end, health, admin_stop) = (End::default(), Arc::<Health>::default(), CancellationToken::new());
    let (order, orders) = mpsc::channel(1);
    let desk = Desk {
        ground: Arc::clone(&ground),
        health: Arc::clone(&health),
        orders: order.clone(),
        end: end.clone(),
        started: SystemTime::now(),
    };
    let admin = open_admin(&house.settings, desk, &admin_stop)?;
    let (drain, limit) = watch::channel(house.settings.drain);
    let mut estate = Estate {
        fixed: Fixed::of(&house.settings),
        sources: Arc::new(ArcSwap::from_pointee(house.settings.policies.clone())),
        tests: Arc::new(ArcSwap::from_pointee(test::options(&house.settings))),
        watched: Arc::new(Mutex::new(house.watched(&ground))),
        entrances: Entrances::new(end.clone(), Handed::take()?),
        probes: Probes::default(),
        drain,
        seal_key: end.drain.child_token(),
        health: Arc::clone(&health),
        metrics: ground.metrics.policy(),
        stop: end.drain.clone(),
        ground,
        house,
    };
    let bells = estate.keep_up_to_date(fingerprint);
    estate.open().await?;
    let crowd = estate.entrances.crowd().clone();
    tokio::spawn(signals.heed(end, order, Arc::clone(&health)));
    tokio::spawn(heed_volume(loudness));
    tokio::spawn(supervisor::watch(admin_stop.clone()));
    tokio::spawn(estate::run(estate, outline, bells, orders));
    health.serving();
    supervisor::ready();
    crowd.see_out(limit).await;
    // Nobody is served any more, so that blocking harms nobody.
    store.close();
    admin_stop.cancel();
    if let Some(admin) = admin {
        // It ends by itself within a second, and nothing depends on how.
        let _ = admin.await;
    }
    // What was decided last is on disk before the process ends.
    let _ = tokio::task::spawn_blocking(move || recorder.finish()).await;
    tracing::info!(event = "stopped", "stopped");
    Ok(())
}

impl Estate {
    /// Opens every listener, at all of its addresses, when the upstreams have had their chance to say what they offer.
    async fn open(&mut self) -> anyhow::Result<()> {
        self.house.move_in(&self.ground);
        let prepared = self
            .entrances
            .prepare(self.house.services(&self.ground)?)
            .map_err(|error| CannotOpen::listener(&self.house.settings, &error))?;
        for name in self.entrances.left() {
            tracing::warn!(
                event = "socket_unused",
                socket = name,
                "no listener has this socket of systemd's"
            );
        }
        self.probes.meet(&self.house.upstreams, &self.stop).await;
        for (listener, address) in self.entrances.settle(prepared).opened {
            tracing::info!(event = "listening", listener, %address, "listening");
        }
        seal_key::watch_of(&self.house.settings, &self.seal_key);
        Ok(())
    }

    /// Begins to watch policies and certificates.
    fn keep_up_to_date(&self, loaded: Fingerprint) -> Bells {
        let reloader = Reloader {
            sources: Arc::clone(&self.sources),
            policies: Arc::clone(&self.ground.policies),
            loaded,
            metrics: self.metrics.clone(),
            health: Arc::clone(&self.health),
            examiner: self.examiner(),
        };
        let certificates = CertificateReloader {
            watched: Arc::clone(&self.watched),
            metrics: self.metrics.clone(),
            health: Arc::clone(&self.health),
        };
        let (policies, orders) = Bell::new();
        tokio::spawn(reloader.run(orders, self.stop.clone()));
        let (bell, orders) = Bell::new();
        tokio::spawn(certificates.run(orders, self.stop.clone()));
        Bells { policies, certificates: bell }
    }
}

impl Estate {
    /// Who runs the policies' own tests before a reload is taken.
    fn examiner(&self) -> Examiner {
        let tests = Arc::clone(&self.tests);
        Examiner::new(move |sources| {
            let options = Options::clone(&tests.load());
            test::examine(&Options { policies: sources.clone(), ..options })
        })
    }
}

/// SIGUSR1 lets the log say everything, SIGUSR2 what is configured. Without these signals it goes on as it is.
async fn heed_volume(ground: Arc<Ground>) {
    let signals = (signal(SignalKind::user_defined1()), signal(SignalKind::user_defined2()));
    let ((Ok(mut louder), Ok(mut usual)), Ok(debug)) = (signals, log::Level::parse("debug")) else { return };
    loop {
        tokio::select! {
            _ = louder.recv() => desk::change_level(&debug),
            _ = usual.recv() => desk::change_level(&desk::configured_level(&ground)),
        }
    }
}

/// Opens the operator's side door, where there is one.
fn open_admin(
    settings: &Settings,
    desk: Desk,
    stop: &CancellationToken,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    let Some(wanted) = &settings.admin else { return Ok(None) };
    let mut entries = Vec::new();
    for place in &wanted.places {
        let entry = admin::open(place).map_err(|error| CannotOpen::admin(settings, place, &error))?;
        entries.push(entry);
        tracing::info!(event = "listening", listener = "admin", address = %place, "listening");
    }
    let served = admin::Served {
        metrics: Arc::clone(&desk.ground.metrics),
        health: Arc::clone(&desk.health),
        access: Access { token: wanted.token.clone().map(Into::into), hosts: wanted.hosts.clone() },
        office: Some(Arc::new(desk)),
    };
    Ok(Some(tokio::spawn(admin::serve(entries, served, stop.clone()))))
}

/// SIGTERM and SIGINT end, the second of them at once; SIGHUP reloads. Listened for before anything is served: a SIGHUP that nobody listens for kills.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn heed(mut self, end: End, reload: mpsc::Sender<estate::Order>, health: Arc<Health>) {
        self.order_to_end(&reload).await;
        health.draining();
        end.drain.cancel();
        self.order_to_end(&reload).await;
        end.now.cancel();
    }

    async fn order_to_end(&mut self, reload: &mpsc::Sender<estate::Order>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    // One that waits for its turn already is as good. What comes of it stands in the log.
                    let _ = reload.try_send(oneshot::channel().0);
                }
            }
        }
    }
}
