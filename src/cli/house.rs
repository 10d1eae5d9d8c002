//! Builds the house: from the settings of each room to rooms that know each other.
//!
//! The [`Ground`] is laid once. On it stands one [`House`] for each configuration; what two of them have in common (an upstream
//! with its connections, the resolver with its cache, the places of a listener's sessions) the later one takes over.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::checks::{Checker, Clock};
use crate::config::Settings;
use crate::config::ready::{self, Identity, ListenerTls};
use crate::decisions::Recorder;
use crate::dns::{self, Resolver};
use crate::facts::{self, World};
use crate::message::spool::{self, Spooler};
use crate::metrics::{DnsMetrics, Metrics};
use crate::policy::Policies;
use crate::proxy::{Border, Facts, Journal, Ledger, Listener, Presence, Routes, Tarpits};
use crate::quarantine::Quarantine;
use crate::server::{
    self, Address, Admission, Ceiling, Door, HANDSHAKES, Handshakes, Service, Upgrade, Watched,
};
use crate::state::Store;
use crate::upstream::{Kind, Target, TcpDial, Upstream};

use super::desk::Directory;

/// What stays as long as the process lives, whatever its configuration becomes.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) metrics: Arc<Metrics>,
    /// The policies in force.
    pub(super) policies: Arc<ArcSwap<Policies>>,
    pub(super) presence: Arc<Presence>,
    /// Who is where in the house that is lived in; empty before the first.
    pub(super) directory: Arc<ArcSwapOption<Directory>>,
    /// Keeps what was decided.
    pub(super) recorder: Arc<Recorder>,
    /// Policies' memory.
    pub(super) store: Arc<Store>,
    journal: Arc<dyn Journal>,
    handshakes: Arc<Handshakes>,
    ceiling: Arc<Ceiling>,
}

/// The rooms as one configuration wants them; nothing in it is open to the street yet.
#[derive(Debug)]
pub(super) struct House {
    pub(super) settings: Settings,
    pub(super) upstreams: HashMap<String, Arc<Upstream>>,
    pub(super) resolver: Resolver,
    facts: Arc<dyn Facts>,
    spooler: Arc<Spooler>,
    quarantine: Option<Arc<Quarantine>>,
    tarpits: Arc<Tarpits>,
    border: Border,
    pub(super) admissions: HashMap<String, Arc<Admission>>,
    /// Tests the lists in DNS that the policies in force name, for as long as the house stands.
    list_tests: OnceLock<AbortOnDropHandle<()>>,
}

impl Ground {
    /// With this memory, these policies, threads for handshakes, and a place for decisions.
    ///
    /// # Errors
    /// When the memory cannot be had: its file is damaged, or somebody else's. When the file of the decisions cannot be opened.
    pub(super) fn lay(settings: &Settings, policies: Policies, handshakes: Handle) -> anyhow::Result<Self> {
        let decisions = &settings.decisions;
        let metrics = Metrics::new();
        let recorder = Recorder::start(decisions.clone(), metrics.decisions());
        let recorder = recorder.with_context(|| match &decisions.file {
            Some(file) => format!("the file of the decisions, {}, cannot be used", file.display()),
            None => "the decisions cannot be kept".to_owned(),
        })?;
        let recorder = Arc::new(recorder);
        Ok(Self {
            store: Arc::new(Store::open(&settings.state, metrics.store())?),
            metrics,
            journal: Arc::new(Ledger(Arc::clone(&recorder))),
            policies: Arc::new(ArcSwap::from_pointee(policies)),
            presence: Arc::default(),
            directory: Arc::default(),
            recorder,
            handshakes: Handshakes::new(handshakes, HANDSHAKES),
            ceiling: Ceiling::of_descriptors(server::raise_limit()),
        })
    }
}

impl House {
    /// A house by `settings`, which takes over what it can from the one `before`.
    ///
    /// # Errors
    /// What the system or the disk refuses. Nothing has changed then.
    pub(super) fn build(
        ground: &Ground,
        mut settings: Settings,
        before: Option<&Self>,
    ) -> anyhow::Result<Self> {
        if let Some(before) = before {
            keep_certificates(&mut settings, &before.settings);
            keep_upstreams(&mut settings, &before.settings);
        }
        let resolver = resolver(ground, &settings, before)?;
        let checker = Arc::new(Checker::new(resolver.clone(), settings.checks.clone(), Clock::default()));
        let world = World::new(resolver.clone(), checker, Clock::default());
        Ok(Self {
            upstreams: upstreams(ground, &settings, before),
            facts: Arc::new(
                world
                    .with_store(Arc::clone(&ground.store))
                    .with(settings.services.clone(), ground.metrics.facts()),
            ),
            list_tests: OnceLock::new(),
            spooler: spooler(&settings.spool, before)?,
            quarantine: quarantine(ground, &settings, before)?,
            tarpits: tarpits(&settings, before),
            border: Border::new(settings.domains.iter().cloned(), settings.trusted_networks.clone()),
            admissions: admissions(ground, &settings, before),
            resolver,
            settings,
        })
    }

    /// Everything whose certificates can change while it is in use.
    pub(super) fn watched(&self, ground: &Ground) -> Vec<Watched> {
        let listeners = self.settings.listeners.iter().filter_map(|listener| {
            let identity = identity(&listener.tls)?;
            let metrics = ground.metrics.listener(&listener.name);
            Some(Watched::listener(&listener.name, Arc::clone(&identity.tls), metrics))
        });
        let upstreams = self.settings.upstreams.iter().filter_map(|target| {
            let tls = target.tls().filter(|tls| !tls.files().is_empty())?;
            Some(Watched::upstream(&target.name, tls.clone()))
        });
        listeners.chain(upstreams).collect()
    }

    /// What clients find at each address.
    ///
    /// # Errors
    /// When an upstream that the settings speak of is not among them, which their assembly has ruled out.
    pub(super) fn services(&self, ground: &Ground) -> anyhow::Result<Vec<(Address, Service)>> {
        let mut services = Vec::new();
        for wanted in &self.settings.listeners {
            let service = self.service(ground, wanted)?;
            services.extend(wanted.addresses.iter().map(|address| (address.clone(), service.clone())));
        }
        Ok(services)
    }

    /// From now on this is the house that is lived in: limits hold, and metrics speak of it.
    pub(super) fn move_in(&self, ground: &Ground) {
        let policies = Arc::clone(&ground.policies);
        let zones = move || policies.load().zones().map(str::to_owned).collect::<Vec<_>>();
        let tests = facts::test_lists(self.resolver.clone(), ground.metrics.facts(), zones);
        self.list_tests.get_or_init(|| AbortOnDropHandle::new(tokio::spawn(tests)));
        let cache = self.resolver.clone();
        ground.metrics.watch_dns_cache(move || cache.cache_entries());
        for listener in &self.settings.listeners {
            let most = listener.bounds.sessions.min(ground.ceiling.most());
            ground.metrics.listener(&listener.name).sessions_limit(most as u64);
            if let Some(admission) = self.admissions.get(&listener.name) {
                admission.rebind(&listener.bounds);
            }
        }
        ground.directory.store(Some(Arc::new(Directory::of(self))));
        warn_of_ceiling(&self.settings.listeners, &ground.ceiling);
    }

    fn service(&self, ground: &Ground, wanted: &ready::Listener) -> anyhow::Result<Service> {
        let metrics = ground.metrics.listener(&wanted.name);
        if wanted.terms.auth.relay {
            metrics.offers_auth();
        }
        let listener = Listener {
            name: wanted.name.as_str().into(),
            terms: wanted.terms.clone(),
            starttls: matches!(wanted.tls, ListenerTls::StartTls(_)),
            header_limit: wanted.header_limit,
            normalise: wanted.normalise.clone(),
            authserv_id: self.settings.authserv_id.clone(),
            received_spf: self.settings.received_spf,
            border: self.border.clone(),
            manners: wanted.manners.clone(),
            policies: Arc::clone(&ground.policies),
            routes: self.routes(&wanted.upstream)?,
            facts: Arc::clone(&self.facts),
            spooler: Arc::clone(&self.spooler),
            presence: Arc::clone(&ground.presence),
            quarantine: self.quarantine.clone(),
            tarpits: Arc::clone(&self.tarpits),
            journal: Arc::clone(&ground.journal),
            metrics,
            policy_metrics: ground.metrics.policy(),
            check_metrics: ground.metrics.checks(),
        };
        let admission = self.admissions.get(&wanted.name).context("the listener has no limits")?;
        Ok(Service {
            listener: Arc::new(listener),
            admission: Arc::clone(admission),
            door: door(&wanted.tls, &ground.handshakes),
        })
    }

    /// The routes of a listener whose mail goes to `default` unless a domain's goes elsewhere.
    fn routes(&self, default: &str) -> anyhow::Result<Routes> {
        let upstream =
            |name: &str| self.upstreams.get(name).map(Arc::clone).context("the upstream is not there");
        let routes = self.settings.routes.iter().map(|(domain, name)| Ok((domain.clone(), upstream(name)?)));
        Ok(Routes::new(upstream(default)?, routes.collect::<anyhow::Result<Vec<_>>>()?))
    }
}

const fn identity(tls: &ListenerTls) -> Option<&Identity> {
    match tls {
        ListenerTls::Off => None,
        ListenerTls::StartTls(identity) | ListenerTls::Implicit(identity) => Some(identity),
    }
}

fn door(tls: &ListenerTls, handshakes: &Arc<Handshakes>) -> Door {
    let upgrade =
        |identity: &Identity| Upgrade { tls: Arc::clone(&identity.tls), handshakes: Arc::clone(handshakes) };
    match tls {
        ListenerTls::Off => Door::Clear,
        ListenerTls::StartTls(identity) => Door::StartTls(upgrade(identity)),
        ListenerTls::Implicit(identity) => Door::Implicit(upgrade(identity)),
    }
}

/// A listener that goes by the same files as before keeps the keys of its tickets, so that clients can resume.
fn keep_certificates(settings: &mut Settings, before: &Settings) {
    for listener in &mut settings.listeners {
        let old = before.listeners.iter().find(|old| old.name == listener.name);
        let (ListenerTls::StartTls(own) | ListenerTls::Implicit(own)) = &mut listener.tls else { continue };
        if let Some(old) = old.and_then(|old| identity(&old.tls)).filter(|old| old.tls.is_like(&own.tls)) {
            own.tls = Arc::clone(&old.tls);
        }
    }
}

/// An upstream that is as it was is the same one: what is read anew of its files is for the connections that it has.
fn keep_upstreams(settings: &mut Settings, before: &Settings) {
    for target in &mut settings.upstreams {
        if let Some(old) = before.upstreams.iter().find(|old| *old == target) {
            target.clone_from(old);
        }
    }
}

fn resolver(ground: &Ground, settings: &Settings, before: Option<&House>) -> anyhow::Result<Resolver> {
    match before.filter(|before| before.settings.dns == settings.dns) {
        Some(before) => Ok(before.resolver.clone()),
        None => Ok(Resolver::new(settings.dns.clone(), Arc::new(Lookups(ground.metrics.dns())))?),
    }
}

/// An upstream that is as it was goes on with its connections and what is known of it.
fn upstreams(ground: &Ground, settings: &Settings, before: Option<&House>) -> HashMap<String, Arc<Upstream>> {
    let kept = |target: &Target| {
        let before = before.filter(|before| before.settings.upstreams.contains(target))?;
        before.upstreams.get(&target.name).map(Arc::clone)
    };
    let made = |target: &Target| {
        Upstream::new(target.clone(), Arc::new(TcpDial), ground.metrics.upstream(&target.name))
    };
    let all = settings.upstreams.iter();
    all.map(|target| (target.name.clone(), kept(target).unwrap_or_else(|| made(target)))).collect()
}

/// A listener that goes on has its sessions counted as before; its new limits hold from [`House::move_in`] on.
fn admissions(
    ground: &Ground,
    settings: &Settings,
    before: Option<&House>,
) -> HashMap<String, Arc<Admission>> {
    let kept = |name: &str| before?.admissions.get(name).map(Arc::clone);
    let all = settings.listeners.iter();
    all.map(|listener| {
        let admission = kept(&listener.name)
            .unwrap_or_else(|| Admission::new(listener.bounds.clone(), Arc::clone(&ground.ceiling)));
        (listener.name.clone(), admission)
    })
    .collect()
}

fn spooler(settings: &spool::Settings, before: Option<&House>) -> anyhow::Result<Arc<Spooler>> {
    if let Some(before) = before.filter(|before| before.settings.spool == *settings) {
        return Ok(Arc::clone(&before.spooler));
    }
    let spooler = Spooler::new(settings.clone()).with_context(|| match &settings.dir {
        Some(dir) => format!("the folder of the spool, {}, cannot be used", dir.display()),
        None => "the spool cannot be used".to_owned(),
    });
    spooler.map(Arc::new)
}

fn warn_of_ceiling(listeners: &[ready::Listener], ceiling: &Ceiling) {
    let wanted = listeners.iter().map(|listener| listener.bounds.sessions).fold(0, usize::saturating_add);
    if wanted > ceiling.most() {
        tracing::warn!(
            event = "few_descriptors",
            sessions = ceiling.most(),
            configured = wanted,
            "there are file descriptors for fewer sessions than configured: raise LimitNOFILE or lower limits.sessions"
        );
    }
}

/// The addresses of an upstream, as its metrics name them.
pub(super) fn addresses(target: &Target) -> &[String] {
    match &target.kind {
        Kind::Smtp(remote) => &remote.addresses,
        Kind::Maildir(_) => &[],
    }
}

/// The folder of the quarantine, if there is one; the one that there was where it is the same.
fn quarantine(
    ground: &Ground,
    settings: &Settings,
    before: Option<&House>,
) -> anyhow::Result<Option<Arc<Quarantine>>> {
    let Some(ready::Quarantine::Folder(wanted)) = &settings.quarantine else { return Ok(None) };
    let known = before.and_then(|before| before.quarantine.as_ref());
    if let Some(known) = known.filter(|known| known.settings() == wanted) {
        return Ok(Some(Arc::clone(known)));
    }
    let opened = Quarantine::open(wanted.clone(), ground.metrics.quarantine());
    let opened = opened
        .with_context(|| format!("the folder of the quarantine, {}, cannot be used", wanted.dir.display()))?;
    opened.keep_tidy();
    Ok(Some(opened))
}

/// The places for sessions whose replies are delayed; those that there were where there are as many.
fn tarpits(settings: &Settings, before: Option<&House>) -> Arc<Tarpits> {
    match before.filter(|before| before.settings.tarpits == settings.tarpits) {
        Some(before) => Arc::clone(&before.tarpits),
        None => Tarpits::new(settings.tarpits),
    }
}

/// Look-ups as metrics.
#[derive(Debug)]
struct Lookups(DnsMetrics);

impl dns::Observe for Lookups {
    fn looked_up(&self, lookup: &dns::Lookup) {
        let cache = if lookup.cached { "hit" } else { "miss" };
        self.0.lookup(lookup.kind.name(), cache, lookup.outcome.name(), lookup.elapsed);
        if !lookup.cached {
            self.0.servers_fail(lookup.servers_fail);
        }
    }
}
