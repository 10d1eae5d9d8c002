//! What Gatepost counts, and how a scrape reads it.
//!
//! Every metric is declared in one place ([`families`]), which gives it name, labels and help in one act. Rooms hold
//! handles ([`ListenerMetrics`], [`UpstreamMetrics`], ...) that were resolved when the configuration was loaded, so that
//! counting is an atomic addition, and every known series exists from the start with 0.
//!
//! Label values are words of this program or names that the operator chose, and even of those there is a bound: nothing
//! that a client sends can make a new series.
//!
//! Two sums hold at all times and tests assert them with [`sum`]: `rejections_total` equals `replies_total` of the
//! classes 4 and 5, and `messages_total{outcome="accepted"}` equals
//! `upstream_replies_total{command="end_of_data",class="2"}`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::process_collector::ProcessCollector;
use prometheus::{Registry, TextEncoder};

mod checks;
mod decisions;
mod dns;
mod exposition;
mod facts;
mod families;
mod family;
mod figures;
mod listener;
mod names;
mod policy;
mod quarantine;
mod state;
mod tls;
mod upstream;

pub use checks::CheckMetrics;
pub use decisions::DecisionMetrics;
pub use dns::DnsMetrics;
pub use exposition::sum;
pub use facts::FactMetrics;
pub use family::Description;
pub use figures::{Figures, PolicyFigures, RuleFigures};
pub use listener::{Admission, ListenerMetrics, Outcome};
pub use policy::{PolicyMetrics, RuleLabels};
pub use quarantine::QuarantineMetrics;
pub use state::StoreMetrics;
pub use upstream::{AddressMetrics, UpstreamMetrics};

use families::Families;
use figures::Tally;
use names::Names;

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// What stands in front of the name of every metric of Gatepost's own.
pub const PREFIX: &str = "gatepost_";

/// Every family of Gatepost's own, as it is declared; `grafana/metrics.md` is made from this.
pub const fn descriptions() -> &'static [Description] {
    Families::DESCRIPTIONS
}

/// The metrics cannot be written down.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be encoded: {0}")]
pub struct EncodeError(#[from] prometheus::Error);

/// All metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    /// Metrics of Gatepost's own, behind the prefix `gatepost_`.
    own: Registry,
    /// `process_...`, which dashboards know without a prefix.
    process: Registry,
    families: Families,
    names: Arc<Names>,
    tally: Arc<Tally>,
    last_loss: decisions::LastLoss,
    dns_cache: Mutex<Option<Gauged>>,
}

/// A number that is asked for at each scrape.
struct Gauged(Box<dyn Fn() -> usize + Send + Sync>);

impl fmt::Debug for Gauged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauged")
    }
}

impl Metrics {
    /// A set of metrics with nothing counted yet.
    pub fn new() -> Arc<Self> {
        let own = Registry::new_custom(Some("gatepost".to_owned()), None)
            .inspect_err(|error| tracing::error!(%error, "metrics have no prefix"))
            .unwrap_or_default();
        let process = Registry::new();
        if let Err(error) = process.register(Box::new(ProcessCollector::for_self())) {
            tracing::error!(%error, "process metrics cannot be registered");
        }
        let families = Families::register(&own);
        families.build_info.with([env!("CARGO_PKG_VERSION")]).set(1);
        Arc::new(Self {
            own,
            process,
            families,
            names: Arc::default(),
            tally: Arc::default(),
            last_loss: Arc::default(),
            dns_cache: Mutex::default(),
        })
    }

    /// Handles for the listener of this name in the configuration.
    pub fn listener(&self, name: &str) -> ListenerMetrics {
        ListenerMetrics::new(&self.families, &self.names, name)
    }

    /// Handles for the upstream of this name in the configuration.
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        UpstreamMetrics::new(&self.families, name)
    }

    /// Handles for policies and reloads.
    pub fn policy(&self) -> PolicyMetrics {
        PolicyMetrics::new(&self.families, &self.names, &self.tally)
    }

    /// Handles for SPF, DKIM and DMARC.
    pub fn checks(&self) -> CheckMetrics {
        CheckMetrics::new(&self.families)
    }

    /// Handles for the recorder of decisions.
    pub fn decisions(&self) -> DecisionMetrics {
        DecisionMetrics::new(&self.families, &self.last_loss)
    }

    /// Handles for the quarantine.
    pub fn quarantine(&self) -> QuarantineMetrics {
        QuarantineMetrics::new(&self.families)
    }

    /// Handles for the resolver.
    pub fn dns(&self) -> DnsMetrics {
        DnsMetrics::new(&self.families)
    }

    /// Handles for the store of policies' memory.
    pub fn store(&self) -> StoreMetrics {
        StoreMetrics::new(&self.families)
    }

    /// Handles for what policies ask the world.
    pub fn facts(&self) -> FactMetrics {
        FactMetrics::new(&self.families, &self.names)
    }

    /// `entries` is asked at each scrape how many answers the DNS cache holds; the last call counts.
    pub fn watch_dns_cache(&self, entries: impl Fn() -> usize + Send + Sync + 'static) {
        *self.dns_cache.lock().unwrap_or_else(PoisonError::into_inner) = Some(Gauged(Box::new(entries)));
    }

    /// The text exposition format (version 0.0.4) of everything, with the state of the process and, called within a
    /// runtime, of the runtime as they are now.
    ///
    /// It reads files of `/proc`, so call it where blocking for some milliseconds harms nobody.
    ///
    /// # Errors
    /// A family that the format cannot express, which no declared family is.
    pub fn encode(&self) -> Result<String, EncodeError> {
        self.read_runtime();
        if let Some(Gauged(entries)) = &*self.dns_cache.lock().unwrap_or_else(PoisonError::into_inner) {
            self.dns().cache_entries(entries() as u64);
        }
        let mut families = self.own.gather();
        families.extend(self.process.gather());
        Ok(TextEncoder::new().encode_to_string(&families)?)
    }

    fn read_runtime(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let now = runtime.metrics();
        let level = |count: usize| count as u64;
        self.families.tokio_workers.with([]).set_count(level(now.num_workers()));
        self.families.tokio_alive_tasks.with([]).set_count(level(now.num_alive_tasks()));
        self.families.tokio_global_queue_depth.with([]).set_count(level(now.global_queue_depth()));
    }
}

#[cfg(test)]
mod tests;
