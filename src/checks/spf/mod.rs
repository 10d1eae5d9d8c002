//! SPF (RFC 7208), by an evaluator of our own.
//!
//! mail-auth's evaluator takes broken records for good ones, and what a record means hangs on its syntax: of the 203 cases
//! of the RFC's test suite it got 163, and guards around it cannot see what its parser has thrown away. This one reads
//! records by the letter ([`record`], [`macros`]) and asks our resolver itself ([`evaluate`]).

mod evaluate;
mod macros;
mod name;
mod record;
#[cfg(test)]
mod suite;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use mail_auth::SpfResult;
use tokio::time::timeout;

use self::evaluate::{Evaluation, Outcome, Progress, Receiver, Sender, lock};
use super::Checker;
use super::names::is_qualified;
use super::results::{CheckResult, Spf};
use crate::smtp::path::{Domain, ReversePath};

impl Checker {
    /// SPF of the name that the client gave in HELO (RFC 7208 2.3). `none` unless it is a fully qualified name.
    pub async fn spf_helo(&self, client: IpAddr, helo: &str) -> Spf {
        self.spf_of(client, helo, "postmaster", helo).await
    }

    /// SPF of the sender (RFC 7208 2.4); of `postmaster` at the HELO name if the sender is null. `none` for address
    /// literals.
    pub async fn spf_mail(&self, client: IpAddr, helo: &str, sender: &ReversePath) -> Spf {
        match sender {
            ReversePath::Null => self.spf_helo(client, helo).await,
            ReversePath::Mailbox(mailbox) => match mailbox.domain() {
                Domain::Literal(_) => Spf::default(),
                Domain::Name(name) => {
                    self.spf_of(client, helo, mailbox.local().unquoted(), name.ascii()).await
                }
            },
        }
    }

    pub(super) async fn spf_of(&self, client: IpAddr, helo: &str, local: &str, domain: &str) -> Spf {
        let domain = domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase();
        // RFC 7208 4.3: only a fully qualified name has a policy.
        if !self.settings.spf || !is_qualified(&domain) {
            return Spf::default();
        }
        // RFC 7208 4.3: a sender without a local part is the postmaster.
        let local = if local.is_empty() { "postmaster" } else { local };
        let sender = Sender { client: client.to_canonical(), helo, local, domain: &domain };
        let receiver = Receiver { hostname: &self.settings.hostname, now: self.clock.unix_seconds() };
        let progress = Arc::<Mutex<Progress>>::default();
        let evaluation = Evaluation::new(&self.dns, sender, receiver, Arc::clone(&progress));
        let outcome = timeout(self.settings.spf_budget, evaluation.run()).await;
        let Outcome { result, mechanism, explanation } =
            outcome.unwrap_or_else(|_| Outcome { result: CheckResult::TempError, ..Outcome::default() });
        let Progress { record, breadth, trace } = std::mem::take(&mut *lock(&progress));
        let (explanation, explanation_less) =
            explanation.map(|told| (told.whole, told.less.map(Into::into))).unwrap_or_default();
        let lookups = trace.asked();
        Spf { result, domain, record, mechanism, breadth, lookups, explanation, explanation_less }
    }
}

impl CheckResult {
    /// For mail-auth's DMARC, which takes SPF's result in its own words.
    pub(super) const fn to_spf(self) -> SpfResult {
        match self {
            Self::Pass => SpfResult::Pass,
            Self::Fail => SpfResult::Fail,
            Self::SoftFail => SpfResult::SoftFail,
            Self::Neutral | Self::Policy => SpfResult::Neutral,
            Self::TempError => SpfResult::TempError,
            Self::PermError => SpfResult::PermError,
            Self::None => SpfResult::None,
        }
    }
}
