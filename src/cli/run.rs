//! `gatepost run`: serve until told to stop.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Health};
use crate::config::{Loaded, Settings};
use crate::log;
use crate::policy::{Fingerprint, Policies};
use crate::proxy::End;
use crate::server::{self, CertificateReloader, Handshakes, Reloader, supervisor};
use crate::upstream::Upstream;

use super::Failure;
use super::house::House;
use super::screen::tally;
use super::seal_key;

/// How often an upstream is asked what it can do, so that EHLO stays true between two messages.
const PROBE: Duration = Duration::from_secs(60);
/// The same for one that has never answered: until it does, clients are not offered what it can do.
const FIRST_PROBE: Duration = Duration::from_secs(5);
/// The same for one with an address that is set aside, however soon that is due.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
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
    let handshakes = Handshakes::threads().context("the threads for handshakes cannot be started")?;
    let served = runtime.block_on(serve(settings, policies, fingerprint, handshakes.handle().clone()));
    handshakes.shutdown_background();
    Ok(served?)
}

async fn serve(
    settings: Settings,
    policies: Policies,
    loaded: Fingerprint,
    handshakes: Handle,
) -> anyhow::Result<()> {
    let signals = Signals::listen().context("signals cannot be listened for")?;
    let house = House::build(&settings, policies, handshakes)?;
    let health = Arc::new(Health::default());
    let (end, orders) = (End::default(), [(); 2].map(|()| Arc::new(Notify::new())));
    let (stop, drain_limit) = (end.drain.clone(), settings.drain);
    let [reload_policies, reload_certificates] = orders.clone();
    let admin_stop = CancellationToken::new();
    let admin = open_admin(&settings, &house, &health, &admin_stop).await?;
    let reloader = Reloader {
        sources: settings.policies.clone(),
        policies: Arc::clone(&house.policies),
        loaded,
        metrics: house.metrics.policy(),
        health: Arc::clone(&health),
        order: reload_policies,
    };
    let certificates = CertificateReloader {
        watched: house.watched(&settings),
        metrics: house.metrics.policy(),
        health: Arc::clone(&health),
        order: reload_certificates,
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
    tokio::spawn(certificates.run(stop.clone()));
    tokio::spawn(signals.heed(end.clone(), orders, Arc::clone(&health)));
    tokio::spawn(supervisor::watch(admin_stop.clone()));
    meet(&house.upstreams, &stop).await;
    health.serving();
    supervisor::ready();
    server::serve(entrances, end, drain_limit).await;
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
        match upstream.probe().await {
            Ok(offered) => {
                if let Some(missing) = upstream.misgiving(&offered) {
                    tracing::warn!(
                        event = "identity_not_offered",
                        upstream = name,
                        missing,
                        "clients cannot be made known to it: all mail for it is deferred (451 4.3.5)"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(event = "upstream_down", upstream = name, %error, "cannot be reached");
            }
        }
        drop(first.take());
        tokio::select! {
            () = stop.cancelled() => return,
            () = pause(&upstream) => {}
        }
    }
}

/// Until an upstream is to be asked again, also when one of its addresses fails meanwhile.
async fn pause(upstream: &Upstream) {
    loop {
        let usual = if upstream.extensions().is_some() { PROBE } else { FIRST_PROBE };
        let time = upstream.next_trial().map_or(usual, |trial| trial.clamp(SHORTEST_PAUSE, usual));
        tokio::select! {
            () = tokio::time::sleep(time) => return,
            () = upstream.set_aside() => {}
        }
    }
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

    async fn heed(mut self, end: End, orders: [Arc<Notify>; 2], health: Arc<Health>) {
        self.order_to_end(&orders).await;
        health.draining();
        end.drain.cancel();
        self.order_to_end(&orders).await;
        end.now.cancel();
    }

    async fn order_to_end(&mut self, orders: &[Arc<Notify>]) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => orders.iter().for_each(|order| order.notify_one()),
            }
        }
    }
}
