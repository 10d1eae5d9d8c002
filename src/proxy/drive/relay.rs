//! The session's way to an upstream: which one, what it is asked, and what EHLO may say of it.

use std::sync::Arc;

use tokio::time::{Instant, timeout, timeout_at};

use super::{COMMAND_BUDGET, Driver, FAREWELL, Message};
use crate::proxy::outgoing::{self, Stamps};
use crate::proxy::wire::{self, Client};
use crate::proxy::{Listener, scene, trouble};
use crate::session::stage::Refusal;
use crate::session::{Offers, Question};
use crate::smtp::auth::Mechanism;
use crate::smtp::command::Command;
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
            Ok(answer) => answer.or_else(trouble::relayed),
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
            Ok(answer) => answer.or_else(trouble::relayed),
            Err(_) => Err(trouble::out_of_time()),
        }
    }

    pub(super) async fn deliver(&mut self) -> Result<Receipt, Refusal> {
        let Message::Complete(received, additions) = std::mem::replace(&mut self.message, Message::Gone(0))
        else {
            return Err(trouble::out_of_time());
        };
        self.message = Message::Gone(received.size);
        let (Some(upstream), Some(transaction), Some(hello)) =
            (&mut self.upstream, self.session.transaction(), self.session.hello())
        else {
            return Err(trouble::out_of_time());
        };
        if !upstream.knows_recipients(transaction.recipients.len()) {
            // Whoever is missing there was promised to the client, and would be lost.
            return Err(trouble::other_recipients());
        }
        let outgoing = outgoing::prepare(
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
        );
        let since = Instant::now();
        let delivered = timeout_at(self.patience, upstream.deliver(&outgoing)).await;
        self.books.upstream_took(since);
        match delivered {
            Ok(answer) => answer.map_err(trouble::refusal),
            Err(_) => {
                self.upstream = None;
                Err(trouble::out_of_time())
            }
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
