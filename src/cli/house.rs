//! Builds the house: from the settings of each room to rooms that know each other.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwap;

use crate::checks::{Checker, Clock};
use crate::config::Settings;
use crate::config::ready::{self, ListenerTls};
use crate::dns::{self, Resolver};
use crate::facts::World;
use crate::message::spool::{self, Spooler};
use crate::metrics::{DnsMetrics, Metrics};
use crate::policy::Policies;
use crate::proxy::{Border, Facts, Journal, Listener, Tracing};
use crate::server::{Admission, Door, Entrance};
use crate::tls::ServerTls;
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
}

impl House {
    /// A house with these settings and policies; nothing in it is open to the street yet.
    pub(super) fn build(settings: &Settings, policies: Policies) -> anyhow::Result<Self> {
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
            metrics,
        })
    }

    /// Binds every address of every listener.
    pub(super) fn open(&self, settings: Settings) -> anyhow::Result<Vec<Entrance>> {
        let mut entrances = Vec::new();
        for wanted in settings.listeners {
            let addresses = wanted.addresses.clone();
            let admission = Admission::new(wanted.bounds.clone());
            let (listener, door) = self.furnish(wanted, &settings.authserv_id, settings.received_spf)?;
            for address in addresses {
                let entrance =
                    Entrance::bind(address, Arc::clone(&listener), Arc::clone(&admission), door.clone())
                        .with_context(|| format!("listener {} cannot listen on {address}", listener.name))?;
                entrances.push(entrance);
            }
        }
        Ok(entrances)
    }

    /// What the sessions of one listener need, and its door.
    fn furnish(
        &self,
        wanted: ready::Listener,
        authserv_id: &str,
        received_spf: bool,
    ) -> anyhow::Result<(Arc<Listener>, Door)> {
        let upstream = self.upstreams.get(&wanted.upstream).context("the upstream is not there")?;
        let metrics = self.metrics.listener(&wanted.name);
        metrics.sessions_limit(wanted.bounds.sessions as u64);
        let starttls = matches!(wanted.tls, ListenerTls::StartTls(_));
        let listener = Listener {
            name: wanted.name.as_str().into(),
            terms: wanted.terms,
            starttls,
            header_limit: wanted.header_limit,
            authserv_id: authserv_id.to_owned(),
            received_spf,
            border: self.border.clone(),
            manners: wanted.manners,
            policies: Arc::clone(&self.policies),
            upstream: Arc::clone(upstream),
            facts: Arc::clone(&self.facts),
            spooler: Arc::clone(&self.spooler),
            journal: Arc::clone(&self.journal),
            metrics,
            policy_metrics: self.metrics.policy(),
            check_metrics: self.metrics.checks(),
        };
        Ok((Arc::new(listener), door(wanted.tls)?))
    }
}

fn spooler(settings: &spool::Settings) -> anyhow::Result<Spooler> {
    Spooler::new(settings.clone()).with_context(|| match &settings.dir {
        Some(dir) => format!("the folder of the spool, {}, cannot be used", dir.display()),
        None => "the spool cannot be used".to_owned(),
    })
}

fn door(tls: ListenerTls) -> anyhow::Result<Door> {
    Ok(match tls {
        ListenerTls::Off => Door::Clear,
        ListenerTls::StartTls(identity) => Door::StartTls(Arc::new(ServerTls::new(identity.certificates)?)),
        ListenerTls::Implicit(identity) => Door::Implicit(Arc::new(ServerTls::new(identity.certificates)?)),
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
