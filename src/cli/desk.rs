//! What the admin endpoint is told of the house, and what it may order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};

use crate::admin::{self, Health, Later, ListenerStatus, Office, Reload, Rule, Status, UpstreamStatus};
use crate::config::Settings;
use crate::config::ready::{self, ListenerTls};
use crate::decisions::Recorder;
use crate::dns::Resolver;
use crate::log;
use crate::metrics::Figures;
use crate::policy::RuleInfo;
use crate::proxy::End;
use crate::server::Admission;
use crate::tls::ServerTls;
use crate::upstream::Upstream;

use super::estate::Order;
use super::house::{Ground, House, addresses};

/// Where questions are answered and orders taken, whatever house is lived in.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) ground: Arc<Ground>,
    pub(super) health: Arc<Health>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) end: End,
    pub(super) started: SystemTime,
}

/// Who is where in the house that is lived in.
#[derive(Debug)]
pub(super) struct Directory {
    config: PathBuf,
    hostname: String,
    listeners: Vec<(ready::Listener, Arc<Admission>)>,
    upstreams: Vec<(Vec<String>, Arc<Upstream>)>,
    resolver: Resolver,
    log_level: log::Level,
}

impl Directory {
    /// Of this house.
    pub(super) fn of(house: &House) -> Self {
        let Settings { file, hostname, listeners, upstreams, .. } = &house.settings;
        let found = |listener: &ready::Listener| {
            Some((listener.clone(), Arc::clone(house.admissions.get(&listener.name)?)))
        };
        let reached = upstreams.iter().filter_map(|target| {
            Some((addresses(target).to_vec(), Arc::clone(house.upstreams.get(&target.name)?)))
        });
        Self {
            config: file.clone(),
            hostname: hostname.clone(),
            listeners: listeners.iter().filter_map(found).collect(),
            upstreams: reached.collect(),
            resolver: house.resolver.clone(),
            log_level: house.settings.log.level.clone(),
        }
    }
}

impl Desk {
    fn upstream_status(&self, addresses: &[String], upstream: &Upstream) -> UpstreamStatus {
        let offers = upstream.extensions().map(|extensions| extensions.keywords()).unwrap_or_default();
        UpstreamStatus {
            name: upstream.name().to_owned(),
            addresses: addresses.to_vec(),
            up: self.ground.metrics.upstream(upstream.name()).is_up(),
            offers,
        }
    }
}

impl Office for Desk {
    fn status(&self) -> Status {
        let (policies, metrics) = (self.ground.policies.load(), &self.ground.metrics);
        let directory = self.ground.directory.load();
        let directory = directory.as_deref();
        let listeners = directory.into_iter().flat_map(|directory| &directory.listeners);
        let upstreams = directory.into_iter().flat_map(|directory| &directory.upstreams);
        Status {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            started: seconds(self.started),
            config: directory.map(|directory| directory.config.display().to_string()).unwrap_or_default(),
            hostname: directory.map(|directory| directory.hostname.clone()).unwrap_or_default(),
            generation: policies.generation().to_string(),
            rules: policies.rules().len(),
            listeners: listeners.map(|(listener, held)| listener_status(listener, held)).collect(),
            upstreams: upstreams.map(|(at, upstream)| self.upstream_status(at, upstream)).collect(),
            store_up: metrics.store().is_up(),
            dns_failing: metrics.dns().is_failing(),
            decisions_lost: metrics.decisions().lost(),
            decisions_lost_at: metrics.decisions().last_loss().map(seconds),
        }
    }

    fn rules(&self) -> Vec<Rule> {
        let figures = self.ground.metrics.policy().figures();
        self.ground.policies.load().rules().iter().map(|rule| rule_status(rule, &figures)).collect()
    }

    fn recorder(&self) -> &Arc<Recorder> {
        &self.ground.recorder
    }

    fn sessions(&self) -> Vec<admin::Session> {
        let here = self.ground.presence.now().into_iter();
        here.map(|guest| admin::Session {
            id: guest.id,
            listener: guest.listener.to_string(),
            client: guest.client.to_string(),
            helo: guest.helo,
            since: seconds(guest.since),
            stage: guest.stage,
            sender: guest.sender,
        })
        .collect()
    }

    fn reload(&self) -> Later<'_, Result<Vec<Reload>, String>> {
        Box::pin(async {
            let (answer, answered) = oneshot::channel();
            let gone = "Gatepost is about to end";
            self.orders.send(answer).await.map_err(|_| gone)?;
            Ok(answered.await.map_err(|_| gone)?)
        })
    }

    fn drain(&self) {
        self.health.draining();
        self.end.drain.cancel();
    }

    fn clear_dns_cache(&self) -> usize {
        let directory = self.ground.directory.load();
        let Some(resolver) = directory.as_ref().map(|directory| &directory.resolver) else { return 0 };
        let known = resolver.cache_entries();
        resolver.clear();
        known
    }

    fn set_log_level(&self, level: Option<&str>) -> Result<String, String> {
        let level = match level {
            Some(text) => log::Level::parse(text).map_err(|error| error.to_string())?,
            None => configured_level(&self.ground),
        };
        change_level(&level);
        Ok(level.to_string())
    }
}

/// What the configuration in force says of the log.
pub(super) fn configured_level(ground: &Ground) -> log::Level {
    ground.directory.load().as_ref().map(|directory| directory.log_level.clone()).unwrap_or_default()
}

/// The log has this level from now on, and says so at any.
pub(super) fn change_level(level: &log::Level) {
    log::set_level(level);
    // Not `level`, which every line has of its own.
    tracing::info!(event = "log_level", directives = %level, "the log has another level");
}

fn listener_status(listener: &ready::Listener, held: &Admission) -> ListenerStatus {
    let tls = match &listener.tls {
        ListenerTls::Off => None,
        ListenerTls::StartTls(identity) | ListenerTls::Implicit(identity) => Some(&identity.tls),
    };
    ListenerStatus {
        name: listener.name.clone(),
        addresses: listener.addresses.iter().map(ToString::to_string).collect(),
        sessions: held.sessions(),
        sessions_limit: held.most(),
        certificates_end: tls.and_then(|tls| first_end(tls)),
    }
}

fn first_end(tls: &ServerTls) -> Option<u64> {
    tls.certificates().validities().map(|(_, validity)| seconds(validity.not_after)).min()
}

fn rule_status(rule: &RuleInfo, figures: &Figures) -> Rule {
    let fired = figures.rules.iter().find(|fired| fired.rule == rule.rule);
    let asked =
        figures.policies.iter().find(|asked| asked.policy == rule.policy && asked.stage == rule.stage.name());
    Rule {
        rule: rule.rule.to_string(),
        stage: rule.stage.name(),
        action: rule.action.name(),
        mode: rule.mode.name(),
        gate: rule.gate,
        place: format!("{}:{}", rule.file, rule.line),
        hits: fired.map_or(0, |fired| fired.hits),
        last_hit: fired.map(|fired| seconds(fired.last)),
        median_us: asked.map(|asked| u64::try_from(asked.median.as_micros()).unwrap_or(u64::MAX)),
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
