//! Which policies are asked at a stage: the common ones, and those of the recipients' domains.

use std::collections::HashMap;
use std::sync::Arc;

use super::scene::Moment;
use crate::session::stage::Stage;

/// The policies of one listener, by their places, in the order in which they are asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// At each stage, in the order of [`Stage::ALL`].
    pub(super) common: [Arc<[usize]>; Stage::ALL.len()],
    /// Those of single domains, by the domain, in lower case and A-labels.
    pub(super) tenants: HashMap<Arc<str>, Tenant>,
}

/// The policies of one domain.
#[derive(Clone, Debug, Default)]
pub(super) struct Tenant {
    pub(super) rcpt: Arc<[usize]>,
    pub(super) message: Arc<[usize]>,
}

impl Plan {
    /// Who is asked at this moment: the common policies, then those of the recipient's domain. At `message` those of every
    /// recipient's domain; [`speaker`](Self::speaker) sees to it that there is one at most.
    pub(super) fn at(&self, moment: &Moment) -> Arc<[usize]> {
        let common = self.common.get(moment.stage() as usize).cloned().unwrap_or_default();
        if self.tenants.is_empty() {
            return common;
        }
        match moment {
            Moment::Rcpt(_, rcpt) => match self.tenants.get(rcpt.address.domain()) {
                Some(tenant) if !tenant.rcpt.is_empty() => joined(&common, &tenant.rcpt),
                _ => common,
            },
            Moment::Message(mail, _) => {
                let mut domains: Vec<&str> =
                    mail.recipients.iter().filter_map(|rcpt| self.speaker(rcpt.address.domain())).collect();
                domains.dedup();
                let own = domains.into_iter().filter_map(|domain| self.tenants.get(domain));
                own.fold(common, |all, tenant| joined(&all, &tenant.message))
            }
            _ => common,
        }
    }

    /// The domain as the one whose policies judge whole messages for it; `None` where it has none that do.
    pub(super) fn speaker(&self, domain: &str) -> Option<&str> {
        let (name, tenant) = self.tenants.get_key_value(domain)?;
        (!tenant.message.is_empty()).then_some(name)
    }
}

fn joined(first: &[usize], second: &[usize]) -> Arc<[usize]> {
    first.iter().chain(second).copied().collect()
}
