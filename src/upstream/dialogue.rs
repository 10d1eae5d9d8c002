//! What one session with a client makes of its upstream: late connect, the envelope, the message, and the one reconnect
//! that a transaction may need.

use std::sync::Arc;

use super::auth::Login;
use super::connection::{Connection, Exchange};
use super::delivery;
use super::envelope::{ask_around, check_rcpt, mail_line};
use super::fault::{Failure, Fault, FaultKind, one_line};
use super::identity::Client;
use super::mail_server::MailServer;
use crate::message::spool::Outgoing;
use crate::smtp::command::{Command, MailCommand, RcptCommand};
use crate::smtp::needs::Need;
use crate::smtp::receipt::Receipt;
use crate::smtp::reply::{Class, Reply};

/// How many commands are said in one go: their replies fit into what may be on its way, so that neither side waits for the other to
/// read (RFC 2920 3.1).
const GROUP: usize = 32;

/// The answer to RCPT where it was said together with MAIL.
type Answered = Option<Result<Reply, Failure>>;

/// One session's side of the talk with a mail server. See [`super::Session`] for what its methods promise.
///
/// Every method takes the connection out and puts it back once the server's answer is complete and in order, so that one
/// that is cut short by its caller (a deadline, a client that left) drops the connection with a question open on it.
#[derive(Debug)]
pub(super) struct Dialogue {
    pub(super) server: Arc<MailServer>,
    pub(super) client: Client,
    pub(super) connection: Option<Connection>,
    transaction: Option<Transaction>,
    /// What our log calls the transaction at hand.
    id: String,
    /// Whether nothing was said on the connection since a RSET that was answered well.
    clean: bool,
    pub(super) login: Login,
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
        Self {
            server,
            client,
            connection: None,
            transaction: None,
            id: String::new(),
            clean: false,
            login: Login::None,
        }
    }

    pub(super) fn name_transaction(&mut self, id: &str) {
        id.clone_into(&mut self.id);
    }

    pub(super) async fn rcpt(&mut self, mail: &MailCommand, rcpt: &RcptCommand) -> Result<Reply, Failure> {
        let reply = match self.begin(mail, rcpt).await? {
            Some(answer) => answer?,
            None => self.say_rcpt(rcpt).await?,
        };
        if let Some(transaction) = self.transaction.as_mut().filter(|_| reply.is_completed()) {
            transaction.accepted.push(rcpt.clone());
        }
        Ok(reply)
    }

    /// VRFY and EXPN need no transaction, and leave the one there is alone.
    pub(super) async fn inquire(&mut self, command: &Command) -> Result<Reply, Failure> {
        let mut connection = match (self.connection.take(), &self.transaction) {
            (Some(connection), _) => connection,
            // Another one would be taken for the one with the login.
            (None, _) if self.login == Login::Done => return Err(stranger().into()),
            (None, Some(transaction)) if transaction.refused.is_none() => self.reconnect().await?,
            (None, _) => self.server.connect(Some(&self.client)).await?,
        };
        let answer = ask_around(&mut connection, command).await;
        if matches!(answer, Ok(_) | Err(Failure::Withdrawn(_))) {
            self.connection = Some(connection);
        }
        answer
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
        match self.stand().await {
            Ok(connection) if connection.extensions().chunking => {
                return self.deliver_in_chunks(connection, message).await;
            }
            Ok(connection) => self.connection = Some(connection),
            Err(failure) => {
                self.reset().await;
                return Err(failure);
            }
        }
        self.deliver_by_data(message).await
    }

    /// BDAT needs nobody's leave; the answer to its last chunk is the one to the message (RFC 3030 2).
    async fn deliver_in_chunks(
        &mut self,
        mut connection: Connection,
        message: &Outgoing,
    ) -> Result<Receipt, Failure> {
        // Nothing may be said a second time: without its envelope, nothing can be.
        self.transaction = None;
        let (step, reply) = delivery::send_in_chunks(&mut connection, message).await?;
        match Receipt::from_final_reply(reply) {
            Ok(receipt) => {
                self.connection = Some(connection);
                Ok(receipt)
            }
            Err(reply) => {
                // The state behind a refused chunk is the server's to choose.
                self.connection = between_transactions(connection).await;
                Err(step.refused(reply))
            }
        }
    }

    async fn deliver_by_data(&mut self, message: &Outgoing) -> Result<Receipt, Failure> {
        match self.say(Exchange::Data, "DATA").await {
            Ok(ready) if ready.code().class() == Class::Intermediate => {}
            outcome => {
                self.reset().await;
                return Err(outcome.map_or_else(|failure| failure, |no| Exchange::Data.refused(no)));
            }
        }
        // From here on nothing may be said a second time: without its envelope, nothing can be.
        self.transaction = None;
        let mut connection = self.connection.take().ok_or_else(gone)?;
        let reply = delivery::send(&mut connection, message).await?;
        self.connection = Some(connection);
        Receipt::from_final_reply(reply).map_err(|no| Exchange::EndOfData.refused(no))
    }

    pub(super) async fn rearrange(
        &mut self,
        mail: &MailCommand,
        wanted: &[RcptCommand],
    ) -> Result<(), Failure> {
        let stands = self.transaction.as_ref().filter(|open| open.refused.is_none());
        let stands = stands.map_or(&[][..], |open| &open.accepted);
        let more = if let Some(more) = wanted.strip_prefix(stands) {
            more
        } else {
            self.reset().await;
            wanted
        };
        for rcpt in more {
            let answer = match self.rcpt(mail, rcpt).await {
                Ok(reply) if reply.is_completed() => continue,
                Ok(reply) => Exchange::Rcpt.refused(reply),
                Err(failure) => failure,
            };
            self.reset().await;
            return Err(answer);
        }
        Ok(())
    }

    pub(super) async fn reset(&mut self) {
        let Some(transaction) = self.transaction.take() else { return };
        if transaction.refused.is_none() {
            self.connection = match self.connection.take() {
                Some(connection) => between_transactions(connection).await,
                None => None,
            };
            self.clean = self.connection.is_some();
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
        // A server that waits for a response would take QUIT for one.
        let Some(connection) = self.connection.filter(|_| self.login != Login::Asked) else { return };
        if self.login != Login::None || !self.server.shares_connections() {
            connection.quit().await;
            return;
        }
        let idle = if self.clean { Some(connection) } else { between_transactions(connection).await };
        if let Some(idle) = idle {
            self.server.give_back(idle);
        }
    }

    pub(super) fn recipients(&self) -> usize {
        self.transaction.as_ref().map_or(0, |transaction| transaction.accepted.len())
    }

    /// Makes sure that the server has heard MAIL. The first recipient of a transaction may have its answer then.
    async fn begin(&mut self, mail: &MailCommand, rcpt: &RcptCommand) -> Result<Answered, Failure> {
        if let Some(transaction) = self.transaction.as_ref().filter(|open| open.mail == *mail) {
            return transaction.refused.clone().map_or(Ok(None), Err);
        }
        self.reset().await;
        // A client that greeted with HELO and uses what EHLO brings all the same is introduced as one that speaks ESMTP.
        self.client.esmtp |= Need::of_mail(&mail.params).next().is_some();
        self.transaction = Some(Transaction::new(mail.clone()));
        let begun = self.mail(mail, rcpt).await;
        if let (Err(failure), Some(transaction)) = (&begun, &mut self.transaction) {
            transaction.refused = Some(failure.clone());
        }
        begun
    }

    /// Says MAIL on the connection there is, or on an idle one, or else on a fresh one.
    async fn mail(&mut self, mail: &MailCommand, rcpt: &RcptCommand) -> Result<Answered, Failure> {
        self.clean = false;
        if self.login == Login::Done {
            let mut known = self.connection.take().ok_or_else(stranger)?;
            return match self.open(&mut known, mail, rcpt).await {
                Ok((reply, rcpt)) => self.opened(known, reply, rcpt),
                Err(failure) => {
                    self.connection = Some(known).filter(|_| matches!(failure, Failure::Withdrawn(_)));
                    Err(failure)
                }
            };
        }
        let used = self.connection.take().or_else(|| self.server.reuse());
        if let Some(mut used) = used {
            match self.open(&mut used, mail, rcpt).await {
                Ok((reply, rcpt)) => return self.opened(used, reply, rcpt),
                Err(failure) => tracing::debug!(%failure, "reused upstream connection given up"),
            }
        }
        let mut fresh = self.server.connect(Some(&self.client)).await?;
        match self.open(&mut fresh, mail, rcpt).await {
            Ok((reply, rcpt)) => self.opened(fresh, reply, rcpt),
            Err(failure) if is_lost(&failure) => {
                self.connection = Some(self.reconnect().await?);
                Ok(None)
            }
            Err(withdrawn @ Failure::Withdrawn(_)) => {
                self.connection = Some(fresh);
                Err(withdrawn)
            }
            Err(failure) => Err(failure),
        }
    }

    /// MAIL, before it who the client is where each transaction is told, and with it RCPT where the server takes both at once
    /// (RFC 2920): the answer to MAIL, and the one to RCPT if it was said.
    async fn open(
        &mut self,
        connection: &mut Connection,
        mail: &MailCommand,
        rcpt: &RcptCommand,
    ) -> Result<(Reply, Answered), Failure> {
        self.server.announce(connection, &self.client, &self.id).await?;
        let line = mail_line(connection, mail)?;
        if !connection.extensions().pipelining || check_rcpt(connection, rcpt).is_err() {
            return Ok((connection.ask(Exchange::Mail, &line).await?, None));
        }
        connection.say(&[line, rcpt.to_string()]).await?;
        let mail = connection.hear(Exchange::Mail, false).await?;
        Ok((mail, Some(connection.hear(Exchange::Rcpt, true).await)))
    }

    /// MAIL was answered, and perhaps RCPT with it. What is said about the recipient of a refused MAIL is of no interest, but it is an
    /// odd server that accepts it.
    fn opened(&mut self, connection: Connection, mail: Reply, rcpt: Answered) -> Result<Answered, Failure> {
        let odd = |answer: &Result<Reply, Failure>| match answer {
            Ok(reply) => reply.is_completed() && !mail.is_completed(),
            Err(_) => true,
        };
        self.connection = Some(connection).filter(|_| !rcpt.as_ref().is_some_and(odd));
        match rcpt {
            _ if !mail.is_completed() => Err(Exchange::Mail.refused(mail)),
            Some(Err(failure)) if is_lost(&failure) && self.may_reconnect() => Ok(None),
            answered => Ok(answered),
        }
    }

    /// The connection on which the transaction stands and nothing of its message was said.
    async fn stand(&mut self) -> Result<Connection, Failure> {
        if let Some(mut connection) = self.connection.take() {
            match connection.check() {
                Ok(()) => return Ok(connection),
                Err(fault) if fault.kind == FaultKind::Lost && self.may_reconnect() => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        self.reconnect().await
    }

    /// Says RCPT, unless this connection does not offer what it needs.
    async fn say_rcpt(&mut self, rcpt: &RcptCommand) -> Result<Reply, Failure> {
        if self.connection.is_none() {
            self.connection = Some(self.reconnect().await?);
        }
        self.connection.as_ref().map_or(Ok(()), |connection| check_rcpt(connection, rcpt))?;
        self.say(Exchange::Rcpt, &rcpt.to_string()).await
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
        if self.login == Login::Done {
            return Err(stranger().into());
        }
        let transaction = self.transaction.as_mut().ok_or_else(gone)?;
        if std::mem::replace(&mut transaction.reconnected, true) {
            return Err(gone().into());
        }
        let stands = match self.server.connect(Some(&self.client)).await {
            Ok(mut fresh) => match self.server.announce(&mut fresh, &self.client, &self.id).await {
                Ok(()) => transaction.replay(&mut fresh).await.map(|()| fresh),
                Err(failure) => Err(failure),
            },
            Err(failure) => Err(failure),
        };
        // There is no third try: what was the matter is the answer to every recipient that still comes.
        transaction.refused = stands.as_ref().err().cloned();
        stands
    }
}

impl Transaction {
    const fn new(mail: MailCommand) -> Self {
        Self { mail, accepted: Vec::new(), refused: None, reconnected: false }
    }

    /// Says the envelope again. The client was told that its recipients are accepted, so all of them must be.
    async fn replay(&self, fresh: &mut Connection) -> Result<(), Failure> {
        let mail = mail_line(fresh, &self.mail).map_err(|failure| self.promised(failure))?;
        for rcpt in &self.accepted {
            check_rcpt(fresh, rcpt).map_err(|failure| self.promised(failure))?;
        }
        let rcpts = self.accepted.iter().map(|rcpt| (Exchange::Rcpt, rcpt.to_string()));
        let steps: Vec<_> = std::iter::once((Exchange::Mail, mail)).chain(rcpts).collect();
        for group in steps.chunks(if fresh.extensions().pipelining { GROUP } else { 1 }) {
            fresh.say(&group.iter().map(|(_, line)| line.clone()).collect::<Vec<_>>()).await?;
            for (heard, (exchange, _)) in group.iter().enumerate() {
                let reply = fresh.hear(*exchange, heard.saturating_add(1) == group.len()).await?;
                self.must_stand(*exchange, reply)?;
            }
        }
        Ok(())
    }

    /// What the answer to a command that is said again means.
    fn must_stand(&self, exchange: Exchange, reply: Reply) -> Result<(), Failure> {
        match exchange {
            _ if reply.is_completed() => Ok(()),
            // Nothing was promised yet: the answer is the one to MAIL, as if there had been no other connection.
            Exchange::Mail if self.accepted.is_empty() => Err(exchange.refused(reply)),
            _ => Err(not_again(&reply)),
        }
    }
}

impl Transaction {
    /// What was accepted before a reconnect cannot be refused for good because of it: the next try will be told at MAIL.
    fn promised(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Withdrawn(need) if !self.accepted.is_empty() => {
                let detail = format!("{need:?} was offered before the reconnect");
                Fault::new(FaultKind::Capability, detail).into()
            }
            other => other,
        }
    }
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

fn stranger() -> Fault {
    Fault::new(FaultKind::Lost, "the connection with the login is gone, and another would have none")
}

fn not_again(reply: &Reply) -> Failure {
    Fault::new(FaultKind::Replay, format!("accepted before the reconnect, now {}", one_line(reply))).into()
}
