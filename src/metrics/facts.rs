//! What policies ask the world outside, beside plain DNS.

use std::sync::Arc;

use super::families::Families;
use super::names::Names;

/// The services, by the words with which scripts ask them.
const SERVICES: [&str; 4] = ["clamd", "http_get", "http_post", "rspamd"];
/// What a list can say.
const LISTED: [&str; 3] = ["listed", "not_listed", "error"];

/// Handles for facts.
#[derive(Clone, Debug)]
pub struct FactMetrics {
    families: Families,
    names: Arc<Names>,
}

impl FactMetrics {
    /// Handles that nobody scrapes.
    pub fn detached() -> Self {
        Self::new(&Families::detached(), &Arc::default())
    }

    pub(super) fn new(families: &Families, names: &Arc<Names>) -> Self {
        for service in SERVICES {
            for outcome in ["ok", "error"] {
                families.services_asked_total.with([service, outcome]);
            }
        }
        for outcome in LISTED {
            families.dnsbl_lookups_total.with(["other", outcome]);
        }
        Self { families: families.clone(), names: Arc::clone(names) }
    }

    /// A list was asked; `list` is its zone if that stands in a script or a setting, and `outcome` is `listed`, `not_listed`
    /// or `error`.
    pub fn listed(&self, list: Option<&str>, outcome: &'static str) {
        let list = list.map_or("other", |list| self.names.bounded(list));
        self.families.dnsbl_lookups_total.with([list, outcome]).inc();
    }

    /// A list was tested through our own resolver.
    pub fn usable(&self, list: &str, usable: bool) {
        let list = self.names.bounded(list);
        for outcome in LISTED {
            self.families.dnsbl_lookups_total.with([list, outcome]);
        }
        self.families.dnsbl_usable.with([list]).set(usable.into());
    }

    /// A list is no longer named: whether it can be used is no longer a question.
    pub fn forget_list(&self, list: &str) {
        self.families.dnsbl_usable.forget([self.names.bounded(list)]);
    }

    /// A service was asked.
    pub fn asked(&self, service: &'static str, ok: bool) {
        self.families.services_asked_total.with([service, if ok { "ok" } else { "error" }]).inc();
    }
}
