//! Builds the house: from the settings of each room to rooms that know each other.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::runtime::Handle;

use crate::checks::{Checker, Clock};
use crate::config::Settings;
use crate::config::ready::{self, Identity, ListenerTls};
use crate::dns::{self, Resolver};
use crate::facts::World;
use crate::message::spool::{self, Spooler};
use crate::metrics::{DnsMetrics, Metrics};
use crate::policy::Policies;
use crate::proxy::{Border, Facts, Journal, Listener, Routes, Tracing};
use crate::server::{
    self, Address, Admission, Ceiling, Door, Entrance, HANDSHAKES, Handed, Handshakes, Upgrade, Watched,
};
use crate::upstream::{TcpDial, Upstream};

/// Everything that lives as long as the process.
#[derive(Debug)]
pub(super) struct House {
    pub(super) metrics: Arc<Metrics>,
    pub(super) policies: Arc<ArcSwap<Policies>>,
    pub(super) upstreams: HashMap<String, Arc<Upstream>>,
    facts: Arc<dyn Facts>,
    spooler: Arc<Spooler>,
    journal: Arc<dyn Journal>,
    border: Border,
    /// Domains, and the names of the upstreams to which their mail goes.
    routes: Vec<(String, String)>,
    handshakes: Arc<Handshakes>,
}

impl House {
    /// A house with these settings and policies, and threads for handshakes; nothing in it is open to the street yet.
    pub(super) fn build(settings: &Settings, policies: Policies, handshakes: Handle) -> anyhow::Result<Self> {
        let metrics = Metrics::new();
        let resolver = Resolver::new(settings.dns.clone(), Arc::new(Lookups(metrics.dns())))?;
        let cache = resolver.clone();
        metrics.watch_dns_cache(move || cache.cache_entries());
        let checker = Arc::new(Checker::new(resolver.clone(), settings.checks.clone(), Clock::default()));
        let upstreams = settings.upstreams.iter().map(|target| {
            let upstream = Upstream::new(target.clone(), Arc::new(TcpDial), metrics.upstream(&target.name));
            (target.name.clone(), upstream)
        });
        Ok(Self {
            upstreams: upstreams.collect(),
            policies: Arc::new(ArcSwap::from_pointee(policies)),
            facts: Arc::new(World::new(resolver, checker, Clock::default())),
            spooler: Arc::new(spooler(&settings.spool)?),
            journal: Arc::new(Tracing),
            border: Border::new(settings.domains.iter().cloned(), settings.trusted_networks.clone()),
            routes: settings.routes.clone(),
            handshakes: Handshakes::new(handshakes, HANDSHAKES),
            metrics,
        })
    }

    /// Everything whose certificates can change while it is in use.
    pub(super) fn watched(&self, settings: &Settings) -> Vec<Watched> {
        let listeners = settings.listeners.iter().filter_map(|listener| match &listener.tls {
            ListenerTls::Off => None,
            ListenerTls::StartTls(identity) | ListenerTls::Implicit(identity) => Some(Watched::listener(
                &listener.name,
                Arc::clone(&identity.tls),
                self.metrics.listener(&listener.name),
            )),
        });
        let upstreams = settings.upstreams.iter().filter_map(|target| {
            let tls = target.tls().filter(|tls| !tls.files().is_empty())?;
            Some(Watched::upstream(&target.name, tls.clone()))
        });
        listeners.chain(upstreams).collect()
    }

    /// Opens every listener, at all of its addresses, with as many sessions as there are file descriptors for.
    pub(super) fn open(&self, settings: Settings) -> anyhow::Result<Vec<Entrance>> {
        let ceiling = Ceiling::of_descriptors(server::raise_limit());
        warn_of_ceiling(&settings.listeners, &ceiling);
        let mut handed = Handed::take()?;
        let mut entrances = Vec::new();
        let received_spf = settings.received_spf;
        for mut wanted in settings.listeners {
            let addresses = std::mem::take(&mut wanted.addresses);
            let admission = Admission::new(wanted.bounds.clone(), Arc::clone(&ceiling));
            let (listener, door) = self.furnish(wanted, &settings.authserv_id, received_spf, &ceiling)?;
            for address in addresses {
                let opened = open(&address, &mut handed, &listener, &admission, &door)
                    .with_context(|| format!("the listener `{}` cannot be opened", listener.name))?;
                entrances.extend(opened);
            }
        }
        for name in handed.left() {
            tracing::warn!(
                event = "socket_unused",
                socket = name,
                "no listener has this socket of systemd's"
            );
        }
        Ok(entrances)
    }

    /// What the sessions of one listener need, and its door.
    fn furnish(
        &self,
        wanted: ready::Listener,
        authserv_id: &str,
        received_spf: bool,
        ceiling: &Ceiling,
    ) -> anyhow::Result<(Arc<Listener>, Door)> {
        let routes = self.routes(&wanted.upstream)?;
        let metrics = self.metrics.listener(&wanted.name);
        metrics.sessions_limit(wanted.bounds.sessions.min(ceiling.most()) as u64);
        if wanted.terms.auth.relay {
            metrics.offers_auth();
        }
        let starttls = matches!(wanted.tls, ListenerTls::StartTls(_));
        let listener = Listener {
            name: wanted.name.as_str().into(),
            terms: wanted.terms,
            starttls,
            header_limit: wanted.header_limit,
            normalise: wanted.normalise,
            authserv_id: authserv_id.to_owned(),
            received_spf,
            border: self.border.clone(),
            manners: wanted.manners,
            policies: Arc::clone(&self.policies),
            routes,
            facts: Arc::clone(&self.facts),
            spooler: Arc::clone(&self.spooler),
            journal: Arc::clone(&self.journal),
            metrics,
            policy_metrics: self.metrics.policy(),
            check_metrics: self.metrics.checks(),
        };
        Ok((Arc::new(listener), self.door(wanted.tls)))
    }

    fn door(&self, tls: ListenerTls) -> Door {
        let upgrade =
            |identity: Identity| Upgrade { tls: identity.tls, handshakes: Arc::clone(&self.handshakes) };
        match tls {
            ListenerTls::Off => Door::Clear,
            ListenerTls::StartTls(identity) => Door::StartTls(upgrade(identity)),
            ListenerTls::Implicit(identity) => Door::Implicit(upgrade(identity)),
        }
    }
}

impl House {
    /// The routes of a listener whose mail goes to `default` unless a domain's goes elsewhere.
    fn routes(&self, default: &str) -> anyhow::Result<Routes> {
        let upstream =
            |name: &str| self.upstreams.get(name).map(Arc::clone).context("the upstream is not there");
        let routes = self.routes.iter().map(|(domain, name)| Ok((domain.clone(), upstream(name)?)));
        Ok(Routes::new(upstream(default)?, routes.collect::<anyhow::Result<Vec<_>>>()?))
    }
}

/// The sockets of one address, bound or taken over.
fn open(
    address: &Address,
    handed: &mut Handed,
    listener: &Arc<Listener>,
    admission: &Arc<Admission>,
    door: &Door,
) -> anyhow::Result<Vec<Entrance>> {
    let shared = || (Arc::clone(listener), Arc::clone(admission), door.clone());
    match address {
        Address::Bind(address) => {
            let (listener, admission, door) = shared();
            let entrance = Entrance::bind(*address, listener, admission, door)
                .with_context(|| format!("cannot listen on {address}"))?;
            Ok(vec![entrance])
        }
        Address::Handed(name) => {
            let adopt = |socket| {
                let (listener, admission, door) = shared();
                Ok(Entrance::adopt(socket, listener, admission, door)?)
            };
            handed.named(name)?.into_iter().map(adopt).collect()
        }
    }
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

fn spooler(settings: &spool::Settings) -> anyhow::Result<Spooler> {
    Spooler::new(settings.clone()).with_context(|| match &settings.dir {
        Some(dir) => format!("the folder of the spool, {}, cannot be used", dir.display()),
        None => "the spool cannot be used".to_owned(),
    })
}

/// Look-ups as metrics.
#[derive(Debug)]
struct Lookups(DnsMetrics);

impl dns::Observe for Lookups {
    fn looked_up(&self, lookup: &dns::Lookup) {
        let cache = if lookup.cached { "hit" } else { "miss" };
        self.0.lookup(lookup.kind.name(), cache, lookup.outcome.name(), lookup.elapsed);
    }
}
