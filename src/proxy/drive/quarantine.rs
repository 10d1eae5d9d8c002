//! Mail that is kept back: the whole message, or a copy for some of its recipients.

use jiff::Timestamp;

use super::Driver;
use crate::message::spool::Outgoing;
use crate::proxy::trouble;
use crate::proxy::wire::Client;
use crate::quarantine::{self, Entry, Kept, Pending};
use crate::session::stage::Refusal;
use crate::session::{SetAside, Transaction};
use crate::smtp::command::RcptCommand;
use crate::smtp::receipt::Receipt;

impl<C: Client> Driver<C> {
    /// Puts the message into the quarantine, and nowhere else.
    pub(super) async fn quarantine(&mut self) -> Result<Receipt, Refusal> {
        let outgoing = self.outgoing()?;
        let (Some(store), Some(entry)) = (&self.listener.quarantine, self.entry(&outgoing)) else {
            return Err(trouble::no_quarantine());
        };
        store.store(entry, &outgoing).await.map_err(|error| trouble::quarantine(&error))
    }

    /// A copy for the recipients that are held, before the upstream hears of the message; `None` where there are none.
    pub(super) async fn pend(&mut self, outgoing: &Outgoing) -> Result<Option<Pending>, Refusal> {
        let held = |open: &Transaction| open.stand_in.is_none() && !open.quarantined.is_empty();
        if !self.session.transaction().is_some_and(held) {
            return Ok(None);
        }
        let (Some(store), Some(entry)) = (&self.listener.quarantine, self.entry(outgoing)) else {
            return Err(trouble::no_quarantine());
        };
        store.pend(entry, outgoing).await.map(Some).map_err(|error| trouble::quarantine(&error))
    }

    /// What is to be known about the message later.
    fn entry(&self, outgoing: &Outgoing) -> Option<Entry> {
        let (transaction, hello) = (self.session.transaction()?, self.session.hello()?);
        let first = transaction.quarantined.first()?;
        let logged_in = self.session.login().map(|login| login.user.clone());
        Some(Entry {
            time: Timestamp::try_from(self.listener.facts.now()).unwrap_or_default(),
            listener: self.listener.name.to_string(),
            session: self.connection.id.clone(),
            transaction: self.connection.transaction.clone(),
            client: quarantine::Client {
                ip: self.connection.peer.ip,
                port: self.connection.peer.port,
                name: self.judge.client_name().unwrap_or_default().to_owned(),
                helo: hello.greeting.text.clone(),
                esmtp: hello.extended,
                login: logged_in.unwrap_or_else(|| self.connection.login.clone()),
            },
            upstream: self.upstream_for(&first.rcpt),
            mail: transaction.mail.clone(),
            recipients: transaction.quarantined.iter().map(kept).collect(),
            size: outgoing.size(),
        })
    }

    /// The name of the upstream that a recipient belongs to.
    fn upstream_for(&self, rcpt: &RcptCommand) -> String {
        let routes = &self.listener.routes;
        let route =
            if self.session.login().is_some() { routes.default() } else { routes.for_recipient(&rcpt.path) };
        route.name().to_owned()
    }
}

fn kept(held: &SetAside) -> Kept {
    Kept {
        rcpt: held.rcpt.clone(),
        rule: held.reason.rule.to_string(),
        place: held.reason.place.as_deref().unwrap_or_default().to_owned(),
        reason: held.reason.detail.clone(),
    }
}
