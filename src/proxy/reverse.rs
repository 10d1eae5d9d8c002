//! The client's name: looked up from the first moment on, and waited for only by those who need it.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::Facts;
use crate::checks::results::{CheckResult, Iprev};
use crate::upstream::ClientName;

/// The look-up of one client's name.
#[derive(Debug)]
pub(super) struct Reverse(State);

#[derive(Debug)]
enum State {
    Looking(JoinHandle<Iprev>),
    Found(Iprev),
}

impl Reverse {
    /// Begins to look. Nobody asks about loopback addresses.
    pub(super) fn begin(facts: &Arc<dyn Facts>, client: IpAddr) -> Self {
        Self(if client.is_loopback() {
            State::Found(Iprev::default())
        } else {
            State::Looking(tokio::spawn(facts.iprev(client)))
        })
    }

    /// A name that a hop has verified.
    pub(super) fn told(name: &str) -> Self {
        Self(State::Found(Iprev { result: CheckResult::Pass, names: vec![name.to_owned()] }))
    }

    /// There is no address to ask about.
    pub(super) fn nobody() -> Self {
        Self(State::Found(Iprev::default()))
    }

    /// What was found, as soon as it is: the look-up has a deadline of its own.
    pub(super) async fn found(&mut self) -> &Iprev {
        if let State::Looking(looking) = &mut self.0 {
            // A look-up that broke down found nothing out.
            let broken = Iprev { result: CheckResult::TempError, names: Vec::new() };
            self.0 = State::Found(looking.await.unwrap_or(broken));
        }
        self.known()
    }

    /// What was found by now.
    fn known(&self) -> &Iprev {
        const NOTHING: &Iprev = &Iprev { result: CheckResult::None, names: Vec::new() };
        match &self.0 {
            State::Looking(_) => NOTHING,
            State::Found(found) => found,
        }
    }

    /// What was found, unless it is still being looked for.
    pub(super) const fn result(&self) -> Option<&Iprev> {
        match &self.0 {
            State::Looking(_) => None,
            State::Found(found) => Some(found),
        }
    }

    /// The name as the upstream is to know it.
    pub(super) async fn name(&mut self) -> ClientName {
        let found = self.found().await;
        match (found.result, found.names.first()) {
            (CheckResult::Pass, Some(name)) => ClientName::Verified(name.clone()),
            (CheckResult::TempError, _) => ClientName::Unavailable,
            (_, Some(name)) => ClientName::Unverified(name.clone()),
            (_, None) => ClientName::Unknown,
        }
    }

    /// The verified name, if it is there by now.
    pub(super) fn verified(&self) -> Option<&str> {
        self.known().verified()
    }
}

impl Drop for Reverse {
    fn drop(&mut self) {
        if let State::Looking(looking) = &self.0 {
            looking.abort();
        }
    }
}
