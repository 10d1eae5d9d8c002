//! The session's way to an upstream: which one, what it is asked, and what EHLO may say of it.

use std::sync::Arc;

use tokio::time::{Instant, timeout, timeout_at};

use super::{COMMAND_BUDGET, Driver, FAREWELL, Message};
use crate::message::spool::Outgoing;
use crate::proxy::outgoing::{self, Stamps};
use crate::proxy::wire::{self, Client};
use crate::proxy::{Listener, scene, trouble};
use crate::session::stage::Refusal;
use crate::session::{Offers, Question};
use crate::smtp::auth::Mechanism;
use crate::smtp::command::{Command, RcptCommand};
use crate::smtp::receipt::Receipt;
use crate::smtp::reply::Reply;
use crate::upstream::{self, ClientName, Upstream};

impl<C: Client> Driver<C> {
    /// Takes leave of the upstream; whoever needs it again connects again.
    pub(super) async fn leave_upstream(&mut self) {
        if let Some(upstream) = self.upstream.take() {
            wire::in_company(&mut self.wire, upstream.quit()).await;
        }
    }

    /// Makes sure that the upstream's half of the session is one with `route`, which hears nothing yet.
    pub(super) async fn meet_upstream(&mut self, route: &Arc<Upstream>) {
        if let Some(other) = self.upstream.take_if(|upstream| !Arc::ptr_eq(upstream.upstream(), route)) {
            // None of its recipients was accepted, so nothing is lost with its half of the transaction. One that does
            // not say goodbye keeps nobody waiting who has nothing to do with it.
            let _ = wire::in_company(&mut self.wire, timeout(FAREWELL, other.quit())).await;
        }
        if self.upstream.is_none() {
            let name = self.client_name(route).await;
            let client = scene::identity(&self.connection, self.session.hello(), name);
            self.upstream = Some(route.session(client));
        }
    }

    /// The client's name, where the upstream is told it.
    pub(super) async fn client_name(&mut self, route: &Upstream) -> ClientName {
        if route.tells_name() {
            wire::in_company(&mut self.wire, self.judge.reverse().name()).await
        } else {
            ClientName::Unknown
        }
    }

    /// The upstream that the recipient in question belongs to. Somebody who has logged in belongs to the one that knows it.
    pub(super) fn route(&self) -> Result<Arc<Upstream>, Refusal> {
        let (Some(Question::Rcpt(rcpt)), Some(transaction)) =
            (self.session.question(), self.session.transaction())
        else {
            return Err(trouble::out_of_time());
        };
        let routes = &self.listener.routes;
        let login = self.session.login().is_some();
        let route =
            if login { routes.admit_known(transaction)? } else { routes.admit(transaction, &rcpt.path)? };
        self.judge.admit(transaction, &rcpt.path)?;
        Ok(Arc::clone(route))
    }

    pub(super) async fn ask_upstream(&mut self) -> Result<Reply, Refusal> {
        if let Some(Question::Inquiry(command)) = self.session.question() {
            return self.inquire(command.clone()).await;
        }
        let route = self.route()?;
        self.meet_upstream(&route).await;
        let (Some(Question::Rcpt(rcpt)), Some(transaction), Some(upstream)) =
            (self.session.question(), self.session.transaction(), &mut self.upstream)
        else {
            return Err(trouble::out_of_time());
        };
        upstream.name_transaction(&self.connection.transaction);
        self.asked_upstream = Instant::now();
        let asking = timeout_at(self.patience, upstream.rcpt(&transaction.mail, rcpt));
        match wire::in_company(&mut self.wire, asking).await {
            Ok(answer) => answer.map_err(trouble::refusal),
            // The connection went with the question. The upstream's half stays: it knows which recipients were accepted, and
            // whoever delivers without them has lost their mail.
            Err(_) => Err(trouble::out_of_time()),
        }
    }

    /// VRFY or EXPN.
    async fn inquire(&mut self, command: Command) -> Result<Reply, Refusal> {
        self.patience = Instant::now() + COMMAND_BUDGET;
        let route = Arc::clone(self.listener.routes.default());
        // A transaction that stands with another upstream stays there, and the question is asked beside it.
        let stands = self.session.transaction().is_some_and(|open| !open.recipients.is_empty());
        let other = |upstream: &mut upstream::Session| stands && !Arc::ptr_eq(upstream.upstream(), &route);
        let aside = self.upstream.take_if(other);
        let answer = self.inquire_at(&route, &command).await;
        if let Some(asked) = aside.and_then(|other| self.upstream.replace(other)) {
            let _ = wire::in_company(&mut self.wire, timeout(FAREWELL, asked.quit())).await;
        }
        answer
    }

    async fn inquire_at(&mut self, route: &Arc<Upstream>, command: &Command) -> Result<Reply, Refusal> {
        self.meet_upstream(route).await;
        let Some(upstream) = &mut self.upstream else { return Err(trouble::out_of_time()) };
        self.asked_upstream = Instant::now();
        let asking = timeout_at(self.patience, upstream.inquire(command));
        match wire::in_company(&mut self.wire, asking).await {
            Ok(answer) => answer.map_err(trouble::refusal),
            Err(_) => Err(trouble::out_of_time()),
        }
    }

    /// Sends the message to the upstream. A copy for those who are not to get it is safe before the upstream hears of it.
    pub(super) async fn deliver(&mut self) -> Result<Receipt, Refusal> {
        self.rearrange().await?;
        let (Some(upstream), Some(transaction)) = (&self.upstream, self.session.transaction()) else {
            return Err(trouble::out_of_time());
        };
        if !upstream.knows_recipients(transaction.bound_for().count()) {
            // Whoever is missing there was promised to the client, and would be lost.
            return Err(trouble::other_recipients());
        }
        let outgoing = self.outgoing()?;
        let copy = self.pend(&outgoing).await?;
        let delivered = self.send(&outgoing).await;
        match (copy, &delivered) {
            (Some(copy), Ok(_)) => copy.finish().await,
            (Some(copy), Err(_)) => copy.withdraw().await,
            (None, _) => {}
        }
        delivered
    }

    /// The message as it goes on; it is gone from here then.
    pub(super) fn outgoing(&mut self) -> Result<Outgoing, Refusal> {
        let Message::Complete(received, additions) = std::mem::replace(&mut self.message, Message::Gone(0))
        else {
            return Err(trouble::out_of_time());
        };
        self.message = Message::Gone(received.size);
        let (Some(transaction), Some(hello)) = (self.session.transaction(), self.session.hello()) else {
            return Err(trouble::out_of_time());
        };
        Ok(outgoing::prepare(
            *received,
            &Stamps {
                listener: &self.listener,
                connection: &self.connection,
                hello,
                transaction,
                checked: self.judge.checked(),
                additions: &additions,
                client_name: self.judge.client_name(),
                authenticated: self.session.login().is_some(),
            },
        ))
    }

    async fn send(&mut self, outgoing: &Outgoing) -> Result<Receipt, Refusal> {
        let Some(upstream) = &mut self.upstream else { return Err(trouble::out_of_time()) };
        let since = Instant::now();
        let delivered = timeout_at(self.patience, upstream.deliver(outgoing)).await;
        self.books.upstream_took(since);
        match delivered {
            Ok(answer) => answer.map_err(trouble::refusal),
            Err(_) => {
                self.upstream = None;
                Err(trouble::out_of_time())
            }
        }
    }

    /// Tells the upstream of the recipients that policy ordered in place of those that it accepted, before it hears of the
    /// message. It takes all of them, or nobody gets the message.
    async fn rearrange(&mut self) -> Result<(), Refusal> {
        let Some(transaction) = self.session.transaction().filter(|open| open.rearranged) else {
            return Ok(());
        };
        let (mail, wanted) = (transaction.mail.clone(), transaction.bound_for().cloned().collect::<Vec<_>>());
        let route = self.route_of(&wanted)?;
        self.meet_upstream(&route).await;
        let Some(upstream) = &mut self.upstream else { return Err(trouble::out_of_time()) };
        upstream.name_transaction(&self.connection.transaction);
        self.asked_upstream = Instant::now();
        match timeout_at(self.patience, upstream.rearrange(&mail, &wanted)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(trouble::changed_recipients(&failure)),
            Err(_) => {
                self.upstream = None;
                Err(trouble::out_of_time())
            }
        }
    }

    /// The upstream that all of these recipients belong to.
    fn route_of(&self, wanted: &[RcptCommand]) -> Result<Arc<Upstream>, Refusal> {
        let routes = &self.listener.routes;
        if self.session.login().is_some() {
            return Ok(Arc::clone(routes.default()));
        }
        let mut all = wanted.iter().map(|rcpt| routes.for_recipient(&rcpt.path));
        let first = all.next().unwrap_or_else(|| routes.default());
        if all.all(|other| Arc::ptr_eq(other, first)) {
            Ok(Arc::clone(first))
        } else {
            Err(trouble::changed_route())
        }
    }

    /// Keeps an upstream awake that waits for the rest of a transaction.
    pub(super) async fn keep_alive(&mut self) {
        self.asked_upstream = Instant::now();
        if let Some(upstream) = &mut self.upstream {
            upstream.keep_alive().await;
        }
    }
}

/// What EHLO may offer: what every upstream was last seen to offer, and we can carry.
pub(super) fn offers(listener: &Listener) -> Offers {
    let limit = listener.terms.limits.message_size;
    let extensions = listener.routes.extensions().unwrap_or_default();
    let room = extensions.size.flatten().map(|size| size.saturating_sub(upstream::ADDED_FIELDS_ROOM));
    Offers {
        starttls: listener.starttls,
        size: Some(room.map_or(limit, |room| limit.min(room).max(1))),
        chunking: true,
        binary_mime: extensions.chunking && extensions.binary_mime,
        auth: mechanisms(listener),
        ..Offers::carried(&extensions)
    }
}

/// The mechanisms of AUTH that the upstream offers and that mean anything behind a proxy.
fn mechanisms(listener: &Listener) -> Vec<String> {
    let extensions = listener.routes.default().extensions().unwrap_or_default();
    let relayed = |name: &&String| Mechanism::parse(name).is_some_and(|mechanism| mechanism.can_be_relayed());
    let offered = extensions.auth.iter().filter(|_| listener.terms.auth.relay);
    offered.filter(relayed).cloned().collect()
}
