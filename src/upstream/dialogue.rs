//! What one session with a client makes of its upstream: late connect, the envelope, the message, and the one reconnect
//! that a transaction may need.

use std::sync::Arc;

use super::connection::{Connection, Exchange};
use super::delivery;
use super::fault::{Failure, Fault, FaultKind, one_line};
use super::identity::Client;
use super::mail_server::MailServer;
use crate::message::spool::Outgoing;
use crate::smtp::command::{MailCommand, RcptCommand};
use crate::smtp::extensions::Extensions;
use crate::smtp::params::Body;
use crate::smtp::receipt::Receipt;
use crate::smtp::reply::{Class, Reply};

/// Octets that Gatepost may add to a message: counted in the SIZE that goes upstream, and taken off the one that is
/// offered to clients.
pub const ADDED_FIELDS_ROOM: u64 = 16 * 1024;

/// One session's side of the talk with a mail server. See [`super::Session`] for what its methods promise.
///
/// Every method takes the connection out and puts it back once the server's answer is complete and in order, so that one
/// that is cut short by its caller (a deadline, a client that left) drops the connection with a question open on it.
#[derive(Debug)]
pub(super) struct Dialogue {
    server: Arc<MailServer>,
    client: Client,
    connection: Option<Connection>,
    transaction: Option<Transaction>,
}

/// What was said upstream since MAIL, to be said again after a reconnect.
#[derive(Debug)]
struct Transaction {
    mail: MailCommand,
    /// As many as the client's session lets through.
    accepted: Vec<RcptCommand>,
    /// Why no recipient will be accepted: the answer to MAIL, or that there is no upstream. Kept, so that a client
    /// with a thousand recipients does not have each of them wait for the same timeout.
    refused: Option<Failure>,
    reconnected: bool,
}

impl Dialogue {
    /// A dialogue on behalf of `client`; the server hears nothing yet.
    pub(super) const fn new(server: Arc<MailServer>, client: Client) -> Self {
        Self { server, client, connection: None, transaction: None }
    }

    pub(super) async fn rcpt(&mut self, mail: &MailCommand, rcpt: &RcptCommand) -> Result<Reply, Failure> {
        match self.forward(mail, rcpt).await {
            Err(Failure::Refused(reply)) => Ok(reply),
            other => other,
        }
    }

    pub(super) async fn deliver(&mut self, message: &Outgoing) -> Result<Receipt, Failure> {
        if self.recipients() == 0 {
            return Err(Fault::new(FaultKind::Unexpected, "no recipient was accepted").into());
        }
        if self.server.takes_one_recipient() && self.recipients() > 1 {
            // There would be an answer for each, and the client hears one.
            self.reset().await;
            return Err(
                Fault::new(FaultKind::Unexpected, "several recipients in one transaction of LMTP").into()
            );
        }
        match self.say(Exchange::Data, "DATA").await {
            Ok(ready) if ready.code().class() == Class::Intermediate => {}
            outcome => {
                self.reset().await;
                return Err(outcome.map_or_else(|failure| failure, Failure::Refused));
            }
        }
        // From here on nothing may be said a second time: without its envelope, nothing can be.
        self.transaction = None;
        let mut connection = self.connection.take().ok_or_else(gone)?;
        let reply = delivery::send(&mut connection, message.reader(), message.size()).await?;
        self.connection = Some(connection);
        Receipt::from_final_reply(reply).map_err(Failure::Refused)
    }

    pub(super) async fn reset(&mut self) {
        let Some(transaction) = self.transaction.take() else { return };
        if transaction.refused.is_none() {
            self.connection = match self.connection.take() {
                Some(connection) => between_transactions(connection).await,
                None => None,
            };
        }
    }

    pub(super) const fn in_transaction(&self) -> bool {
        self.connection.is_some() && self.transaction.is_some()
    }

    pub(super) async fn keep_alive(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        match connection.ask(Exchange::Noop, "NOOP").await {
            Ok(reply) if reply.is_completed() => self.connection = Some(connection),
            outcome => tracing::debug!(?outcome, "upstream not kept alive"),
        }
    }

    pub(super) async fn quit(self) {
        let Some(connection) = self.connection else { return };
        if !self.server.shares_connections() {
            connection.quit().await;
        } else if let Some(idle) = between_transactions(connection).await {
            self.server.give_back(idle);
        }
    }

    fn recipients(&self) -> usize {
        self.transaction.as_ref().map_or(0, |transaction| transaction.accepted.len())
    }

    async fn forward(&mut self, mail: &MailCommand, rcpt: &RcptCommand) -> Result<Reply, Failure> {
        self.begin(mail).await?;
        let reply = self.say(Exchange::Rcpt, &rcpt.to_string()).await?;
        if let Some(transaction) = self.transaction.as_mut().filter(|_| reply.is_completed()) {
            transaction.accepted.push(rcpt.clone());
        }
        Ok(reply)
    }

    /// Makes sure that the server has heard MAIL.
    async fn begin(&mut self, mail: &MailCommand) -> Result<(), Failure> {
        if let Some(transaction) = self.transaction.as_ref().filter(|open| open.mail == *mail) {
            return transaction.refused.clone().map_or(Ok(()), Err);
        }
        self.reset().await;
        self.transaction = Some(Transaction::new(mail.clone()));
        let begun = self.mail(mail).await;
        if let (Err(failure), Some(transaction)) = (&begun, &mut self.transaction) {
            transaction.refused = Some(failure.clone());
        }
        begun
    }

    /// Says MAIL on the connection there is, or on an idle one, or else on a fresh one.
    async fn mail(&mut self, mail: &MailCommand) -> Result<(), Failure> {
        let used = self.connection.take().or_else(|| self.server.reuse());
        if let Some(mut used) = used {
            match say_mail(&mut used, mail).await {
                Ok(reply) => return self.mail_answered(used, reply),
                Err(failure) => tracing::debug!(%failure, "reused upstream connection given up"),
            }
        }
        let mut fresh = self.server.connect(Some(&self.client)).await?;
        match say_mail(&mut fresh, mail).await {
            Ok(reply) => self.mail_answered(fresh, reply),
            Err(failure) if is_lost(&failure) => {
                self.connection = Some(self.reconnect().await?);
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    fn mail_answered(&mut self, connection: Connection, reply: Reply) -> Result<(), Failure> {
        self.connection = Some(connection);
        if reply.is_completed() { Ok(()) } else { Err(Failure::Refused(reply)) }
    }

    /// Says a command of the open transaction. A server that is lost before its reply is connected to once more.
    async fn say(&mut self, exchange: Exchange, line: &str) -> Result<Reply, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reconnect().await?,
        };
        let mut outcome = connection.ask(exchange, line).await;
        if outcome.as_ref().is_err_and(is_lost) && self.may_reconnect() {
            connection = self.reconnect().await?;
            outcome = connection.ask(exchange, line).await;
        }
        let reply = outcome?;
        self.connection = Some(connection);
        Ok(reply)
    }

    fn may_reconnect(&self) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| !transaction.reconnected)
    }

    /// A fresh connection on which the open transaction stands as it stood on the lost one. Once per transaction.
    async fn reconnect(&mut self) -> Result<Connection, Failure> {
        let transaction = self.transaction.as_mut().ok_or_else(gone)?;
        if std::mem::replace(&mut transaction.reconnected, true) {
            return Err(gone().into());
        }
        let mut fresh = self.server.connect(Some(&self.client)).await?;
        transaction.replay(&mut fresh).await?;
        Ok(fresh)
    }
}

impl Transaction {
    const fn new(mail: MailCommand) -> Self {
        Self { mail, accepted: Vec::new(), refused: None, reconnected: false }
    }

    /// Says the envelope again. The client was told that its recipients are accepted, so all of them must be.
    async fn replay(&self, fresh: &mut Connection) -> Result<(), Failure> {
        let reply = say_mail(fresh, &self.mail).await?;
        if !reply.is_completed() {
            // Nothing was promised yet: the answer is the one to MAIL, as if there had been no other connection.
            let first_word = self.accepted.is_empty();
            return Err(if first_word { Failure::Refused(reply) } else { not_again(&reply) });
        }
        for rcpt in &self.accepted {
            let reply = fresh.ask(Exchange::Rcpt, &rcpt.to_string()).await?;
            if !reply.is_completed() {
                return Err(not_again(&reply));
            }
        }
        Ok(())
    }
}

async fn say_mail(connection: &mut Connection, mail: &MailCommand) -> Result<Reply, Failure> {
    let forwarded = forwarded(mail, &connection.extensions())?;
    connection.ask(Exchange::Mail, &forwarded.to_string()).await
}

/// `mail` as the server gets it: with the parameters that it offers. SIZE is a service and is left away without
/// harm, and so is `BODY=7BIT`, which says nothing.
///
/// # Errors
/// A parameter that the client was offered and that this connection does not: the next try will be told at MAIL.
fn forwarded(mail: &MailCommand, offered: &Extensions) -> Result<MailCommand, Fault> {
    let mut forwarded = mail.clone();
    let size = mail.params.size.filter(|_| offered.size.is_some());
    forwarded.params.size = size.map(|size| size.saturating_add(ADDED_FIELDS_ROOM));
    if !offered.eight_bit_mime {
        if mail.params.body == Some(Body::EightBitMime) {
            return Err(Fault::new(FaultKind::Capability, "8BITMIME is no longer offered"));
        }
        forwarded.params.body = None;
    }
    Ok(forwarded)
}

/// The connection once it is free of any transaction, if RSET says so.
async fn between_transactions(mut connection: Connection) -> Option<Connection> {
    match connection.ask(Exchange::Rset, "RSET").await {
        Ok(reply) if reply.is_completed() => Some(connection),
        outcome => {
            tracing::debug!(?outcome, "upstream connection not reset");
            None
        }
    }
}

fn is_lost(failure: &Failure) -> bool {
    matches!(failure, Failure::Fault(Fault { kind: FaultKind::Lost, .. }))
}

fn gone() -> Fault {
    Fault::new(FaultKind::Lost, "lost again, and one reconnect is all that a transaction gets")
}

fn not_again(reply: &Reply) -> Failure {
    Fault::new(FaultKind::Replay, format!("accepted before the reconnect, now {}", one_line(reply))).into()
}
