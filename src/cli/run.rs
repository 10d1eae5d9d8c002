//! `gatepost run`: serve until told to stop.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Health};
use crate::config::{Loaded, Settings};
use crate::log;
use crate::policy::{Fingerprint, Policies};
use crate::server::{self, Reloader};
use crate::upstream::Upstream;

use super::Failure;
use super::house::House;
use super::screen::tally;
use super::seal_key;

/// How long sessions under way may take to come to an end after SIGTERM. With the farewells behind it, the process is gone
/// within ten seconds.
const DRAIN_LIMIT: Duration = Duration::from_secs(8);
/// How often an upstream is asked what it can do, so that EHLO stays true between two messages.
const PROBE: Duration = Duration::from_secs(60);
/// The same for one that has never answered: until it does, clients are not offered what it can do.
const FIRST_PROBE: Duration = Duration::from_secs(5);
/// How long the first client waits for the first answers of the upstreams.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// Serves with this configuration until SIGTERM or SIGINT. What is wrong with the policies goes to `show`.
pub(super) fn run(loaded: Loaded, show: impl Fn(&[crate::diagnostic::Diagnostic])) -> Result<(), Failure> {
    let settings = loaded.settings;
    log::init(settings.log.format, &settings.log.level).context("the log cannot be set up")?;
    // Before the files are read: a change in between is seen by the first look of the reloader.
    let fingerprint = settings.policies.fingerprint();
    let policies = Policies::load(&settings.policies).map_err(|found| {
        show(&found);
        Failure::Untold(anyhow!("the policies cannot be used: {}", tally(&found)))
    })?;
    show(policies.warnings());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    Ok(runtime.block_on(serve(settings, policies, fingerprint))?)
}

async fn serve(settings: Settings, policies: Policies, loaded: Fingerprint) -> anyhow::Result<()> {
    let signals = Signals::listen().context("signals cannot be listened for")?;
    let house = House::build(&settings, policies)?;
    let health = Arc::new(Health::default());
    let (stop, reload) = (CancellationToken::new(), Arc::new(Notify::new()));
    let admin_stop = CancellationToken::new();
    let admin = open_admin(&settings, &house, &health, &admin_stop).await?;
    let reloader = Reloader {
        sources: settings.policies.clone(),
        policies: Arc::clone(&house.policies),
        loaded,
        metrics: house.metrics.policy(),
        health: Arc::clone(&health),
        order: Arc::clone(&reload),
    };
    if let (Some(sealer), Some(file)) = (&settings.checks.seal, &settings.seal_key) {
        tokio::spawn(seal_key::watch(Arc::clone(sealer), file.clone(), stop.clone()));
    }
    let entrances = house.open(settings)?;
    for entrance in &entrances {
        let address = entrance.local_addr()?;
        tracing::info!(event = "listening", listener = %entrance.listener.name, %address, "listening");
    }
    tokio::spawn(reloader.run(stop.clone()));
    tokio::spawn(signals.heed(stop.clone(), reload, Arc::clone(&health)));
    meet(&house.upstreams, &stop).await;
    health.serving();
    server::serve(entrances, stop, DRAIN_LIMIT).await;
    admin_stop.cancel();
    if let Some(admin) = admin {
        // It ends by itself within a second, and nothing depends on how.
        let _ = admin.await;
    }
    tracing::info!(event = "stopped", "stopped");
    Ok(())
}

async fn open_admin(
    settings: &Settings,
    house: &House,
    health: &Arc<Health>,
    stop: &CancellationToken,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    let Some(address) = settings.admin else { return Ok(None) };
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("the admin endpoint cannot listen on {address}"))?;
    tracing::info!(event = "listening", listener = "admin", address = %listener.local_addr()?, "listening");
    let served = admin::serve(listener, Arc::clone(&house.metrics), Arc::clone(health), stop.clone());
    Ok(Some(tokio::spawn(served)))
}

/// Begins to watch the upstreams, and waits a little for what they say first: a client that is not offered 8BITMIME would
/// re-encode its mail, and break its signatures.
async fn meet(upstreams: &HashMap<String, Arc<Upstream>>, stop: &CancellationToken) {
    let (asked, mut answered) = mpsc::channel::<()>(1);
    for (name, upstream) in upstreams {
        tokio::spawn(probe(name.clone(), Arc::clone(upstream), stop.clone(), asked.clone()));
    }
    drop(asked);
    tokio::select! {
        () = stop.cancelled() => {}
        // The channel closes when the last of them has had its first answer.
        _ = tokio::time::timeout(PROBE_LIMIT, answered.recv()) => {}
    }
}

/// Keeps what is known about an upstream fresh; `first` goes with the first answer.
async fn probe(name: String, upstream: Arc<Upstream>, stop: CancellationToken, first: mpsc::Sender<()>) {
    let mut first = Some(first);
    loop {
        if let Err(error) = upstream.probe().await {
            tracing::warn!(event = "upstream_down", upstream = name, %error, "cannot be reached");
        }
        drop(first.take());
        let pause = if upstream.extensions().is_some() { PROBE } else { FIRST_PROBE };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// SIGTERM and SIGINT end, SIGHUP reloads. Listened for before anything is served: a SIGHUP that nobody listens for kills.
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

    async fn heed(mut self, stop: CancellationToken, reload: Arc<Notify>, health: Arc<Health>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                _ = self.hangup.recv() => reload.notify_one(),
            }
        }
        health.draining();
        stop.cancel();
    }
}
