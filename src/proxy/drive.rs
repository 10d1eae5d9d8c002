//! The loop that drives a session.

mod auth;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::books::{Books, Counted};
use super::intake::{Intake, Received};
use super::judge::Judge;
use super::outgoing::{self, Additions, Stamps};
use super::scene::{self, Connection};
use super::trouble;
use super::wire::{self, Client, Wire};
use super::{Id, Listener, Peer};
use crate::policy::judgement::Effects;
use crate::policy::scene::Moment;
use crate::session::stage::{Reason, Refusal, Source, Stage, Verdict};
use crate::session::{Action, Finished, Offers, Outcome, Question, Session};
use crate::smtp::auth::Mechanism;
use crate::smtp::command::Command;
use crate::smtp::receipt::Receipt;
use crate::smtp::reply::Reply;
use crate::smtp::xclient::XClient;
use crate::upstream::{ClientName, Upstream};
use crate::{log, tls, upstream};

/// Everything behind one command: the client itself waits five minutes (RFC 5321 4.5.3.2.3).
const COMMAND_BUDGET: Duration = Duration::from_secs(4 * 60);
/// Everything from the final dot to its reply: the client itself waits ten minutes (RFC 5321 4.5.3.2.6).
const MESSAGE_BUDGET: Duration = Duration::from_secs(9 * 60);
/// How long an upstream may take to let go of a client that goes on to another one.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often an upstream that waits for the message hears a NOOP.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Drives one session from the banner to its end. `tls` is there when the handshake came before the first byte.
///
/// `end` asks it to come to an end.
pub async fn drive<C: Client>(
    client: C,
    peer: Peer,
    tls: Option<tls::Info>,
    listener: Arc<Listener>,
    end: End,
) {
    let _counted = Counted::begin(listener.metrics.clone());
    // Apart, so that an idle session is as small as can be: what waits here is moved and copied with its task.
    let mut driver = Box::new(Driver::new(Wire::new(client), peer, tls, listener));
    if let Err(error) = driver.run(&end).await {
        Box::pin(driver.client_gone(&error)).await;
    }
    Box::pin(driver.part()).await;
}

/// How sessions are asked to come to an end: first kindly, then not.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// As soon as no transaction is open.
    pub drain: CancellationToken,
    /// At once, unless the upstream is about to answer.
    pub now: CancellationToken,
}

/// One session with everything that it needs.
#[derive(Debug)]
struct Driver<C> {
    listener: Arc<Listener>,
    connection: Connection,
    session: Session,
    /// `None` when the handshake failed and took the connection with it.
    wire: Option<Wire<C>>,
    judge: Judge,
    books: Books,
    upstream: Option<upstream::Session>,
    message: Message,
    /// When the upstream last heard from us.
    asked_upstream: Instant,
    /// The reply to a message that the upstream took, until it is on its way to the client.
    untold: Option<Reply>,
    /// Until when the client waits for the command at hand.
    patience: Instant,
}

/// How far the message of the transaction is.
#[derive(Debug)]
enum Message {
    /// There is none.
    Absent,
    /// It arrives.
    Arriving(Box<Intake>),
    /// It is there.
    Complete(Box<Received>, Additions),
    /// It was handed on or given up; its size.
    Gone(u64),
}

impl<C: Client> Driver<C> {
    fn new(wire: Wire<C>, peer: Peer, tls: Option<tls::Info>, listener: Arc<Listener>) -> Self {
        let connection = Connection {
            id: Id::fresh().to_string(),
            peer,
            name: String::new(),
            login: String::new(),
            tls,
            transaction: Id::fresh().to_string(),
        };
        let mut session = Session::new(
            listener.terms.clone(),
            connection.tls.is_some(),
            offers(&listener),
            Instant::now().into_std(),
        );
        session.receive_as(listener.arrival_of(peer));
        session.take_line_ends(listener.line_ends(peer.ip));
        Self {
            judge: Judge::new(Arc::clone(&listener), &connection),
            connection,
            session,
            wire: Some(wire),
            books: Books::new(Arc::clone(&listener)),
            upstream: None,
            message: Message::Absent,
            asked_upstream: Instant::now(),
            untold: None,
            patience: Instant::now(),
            listener,
        }
    }

    async fn run(&mut self, end: &End) -> io::Result<()> {
        self.session.begin();
        loop {
            self.perform_all().await?;
            self.flush().await?;
            self.untold = None;
            if self.session.is_closed() {
                return Ok(());
            }
            self.listen(end).await?;
        }
    }

    /// Ends the transaction of a client that went away, in the books and at the upstream.
    async fn client_gone(&mut self, error: &io::Error) {
        tracing::debug!(session = self.connection.id, %error, "the client is gone");
        if error.kind() == io::ErrorKind::TimedOut {
            self.listener.metrics.limit("write_timeout");
        }
        if let Some(reply) = self.untold.take() {
            // It does not know that its message was taken, and will send it again (RFC 1047).
            tracing::warn!(
                event = "acked_upstream_client_gone",
                session = self.connection.id,
                id = self.connection.transaction,
                reply = %log::safe(&reply.to_string()),
                "the upstream took a message, and the client went before it heard so"
            );
        }
        self.session.hung_up();
        while let Some(action) = self.session.poll(Instant::now().into_std()) {
            // Nobody is left to hear replies, and writing them fails; the books and the upstream are seen to all the same.
            let _ = self.perform(action).await;
        }
    }

    /// Waits for the client, for the clock, or for the order to end.
    async fn listen(&mut self, end: &End) -> io::Result<()> {
        let Some(wire) = &mut self.wire else { return Err(io::ErrorKind::NotConnected.into()) };
        // What was said before the banner counts as such, even when the time for it is over by now.
        if self.session.is_listening()
            && let Some(read) = wire.read_now().await
        {
            return self.take(read?);
        }
        let in_message = matches!(self.message, Message::Arriving(_));
        let deadline = self.session.deadline().map(Instant::from_std);
        let waits = |upstream: &upstream::Session| upstream.in_transaction() || upstream.holds_login();
        let upstream_waits = self.upstream.as_ref().is_some_and(waits);
        let keep_alive = upstream_waits.then(|| self.asked_upstream + KEEP_ALIVE);
        tokio::select! {
            read = wire.read(in_message) => return self.take(read?),
            () = sleep_until_some(deadline) => self.session.timed_out(Instant::now().into_std()),
            () = end.drain.cancelled(), if !self.session.is_draining() => self.session.drain(),
            () = end.now.cancelled() => self.session.shut_down(),
            () = sleep_until_some(keep_alive) => Box::pin(self.keep_alive()).await,
        }
        Ok(())
    }

    /// What the client sent; nothing at the end of the stream.
    fn take(&mut self, bytes: Bytes) -> io::Result<()> {
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.session.receive(bytes);
        Ok(())
    }

    async fn perform_all(&mut self) -> io::Result<()> {
        while let Some(action) = self.session.poll(Instant::now().into_std()) {
            self.perform(action).await?;
            if self.wire.as_ref().is_some_and(Wire::is_full) {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// What takes its time is boxed: an idle session is not to carry room for all that it might do.
    async fn perform(&mut self, action: Action) -> io::Result<()> {
        match action {
            Action::Heard(verb) => self.listener.metrics.command(verb.metric()),
            Action::Reply(reply, None) => self.grant(&reply),
            Action::Reply(reply, Some((stage, reason))) => self.refuse(reply, stage, &reason),
            Action::Decide(stage) => {
                let verdict = Box::pin(self.decide(stage)).await;
                self.session.decided(verdict);
            }
            Action::AskUpstream => {
                let answer = Box::pin(self.ask_upstream()).await;
                self.session.rcpt_answered(self.with_login(answer));
            }
            Action::Authenticate(line) => {
                let answer = self.authenticate(&line).await;
                self.session.auth_answered(answer);
            }
            Action::AuthEnded(login, outcome) => self.authenticated(&login, outcome),
            Action::LeaveUpstream => self.leave_upstream().await,
            Action::BeginMessage => self.begin_message(),
            Action::Store(piece) => self.store(piece).await,
            Action::Deliver => {
                self.flush().await?;
                let answer = Box::pin(self.deliver()).await;
                self.session.delivered(answer.map_err(|refusal| self.unless_login_is_lost(refusal)));
            }
            Action::Finish(finished) => Box::pin(self.finish(*finished)).await,
            Action::SpeakFor(said) => Box::pin(self.speak_for(&said)).await,
            Action::StartTls => Box::pin(self.start_tls()).await?,
            Action::Close => self.flush().await?,
        }
        Ok(())
    }

    // === replies ===

    fn grant(&mut self, reply: &Reply) {
        self.books.granted(reply);
        self.queue(reply);
    }

    fn refuse(&mut self, reply: Reply, stage: Stage, reason: &Reason) {
        let reply = self.books.refused(
            scene::origin(&self.connection, &self.listener, &self.judge),
            reply,
            stage,
            reason,
        );
        self.queue(&reply);
    }

    fn queue(&mut self, reply: &Reply) {
        if let Some(wire) = &mut self.wire {
            wire.queue(reply);
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        wire::flush(&mut self.wire).await
    }

    // === policy ===

    /// What policy says about the session's open question.
    async fn decide(&mut self, stage: Stage) -> Verdict {
        self.prepare(stage).await;
        if stage == Stage::Message
            && let Err(refusal) = self.complete_message().await
        {
            return Verdict::Refuse(refusal);
        }
        let message = match &self.message {
            Message::Complete(received, _) => Some((received.size, received.header.clone())),
            _ => None,
        };
        let Some(scene) = scene::of(&self.session, &self.listener, &self.connection, message) else {
            return Verdict::Pass;
        };
        let moment = scene.moment.clone();
        let judging = timeout_at(self.patience, self.judge.judge(scene));
        let Ok(judgement) = wire::in_company(&mut self.wire, judging).await else {
            return Verdict::Refuse(trouble::out_of_time());
        };
        self.books.judged(scene::origin(&self.connection, &self.listener, &self.judge), stage, &judgement);
        self.take_effects(&moment, judgement.effects);
        judgement.verdict
    }

    /// What policies ordered beside their verdict, where it takes effect at this stage.
    fn take_effects(&mut self, moment: &Moment, effects: Effects) {
        match moment {
            Moment::Data(mail) => {
                if let Some(limit) = self.judge.memory().size_limit(mail) {
                    let mut reason = Reason::new(Source::Policy, &limit.rule);
                    reason.place = Some(Arc::clone(&limit.place));
                    self.session.limit_size(limit.octets, reason);
                }
            }
            Moment::Message(mail, _) => {
                if let Message::Complete(_, additions) = &mut self.message {
                    *additions = Additions { effects, tags: self.judge.memory().tags(mail) };
                }
            }
            _ => {}
        }
    }

    /// Brings policy's side of the session to where the open question is.
    async fn prepare(&mut self, stage: Stage) {
        let budget = if stage == Stage::Message { MESSAGE_BUDGET } else { COMMAND_BUDGET };
        self.patience = Instant::now() + budget;
        match self.session.question() {
            Some(Question::Helo(hello)) => {
                let hello = hello.clone();
                self.judge.renew();
                self.judge.begin_helo(Some(scene::helo_name(&hello)));
                self.session.offer(offers(&self.listener));
                self.rename(&hello).await;
            }
            Some(Question::Mail(mail)) => {
                self.judge.renew();
                self.judge.begin_transaction(&mail.path);
                self.books.begin_transaction();
                self.connection.transaction = Id::fresh().to_string();
            }
            _ => {}
        }
    }

    /// Takes leave of the upstream; whoever needs it again connects again.
    async fn leave_upstream(&mut self) {
        if let Some(upstream) = self.upstream.take() {
            wire::in_company(&mut self.wire, upstream.quit()).await;
        }
    }

    // === the upstream ===

    /// Makes sure that the upstream's half of the session is one with `route`, which hears nothing yet.
    async fn meet_upstream(&mut self, route: &Arc<Upstream>) {
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
    async fn client_name(&mut self, route: &Upstream) -> ClientName {
        if route.tells_name() {
            wire::in_company(&mut self.wire, self.judge.reverse().name()).await
        } else {
            ClientName::Unknown
        }
    }

    /// The upstream that the recipient in question belongs to. Somebody who has logged in belongs to the one that knows it.
    fn route(&self) -> Result<Arc<Upstream>, Refusal> {
        let (Some(Question::Rcpt(rcpt)), Some(transaction)) =
            (self.session.question(), self.session.transaction())
        else {
            return Err(trouble::out_of_time());
        };
        let routes = &self.listener.routes;
        let login = self.session.login().is_some();
        let route = if login { routes.default() } else { routes.admit(transaction, &rcpt.path)? };
        Ok(Arc::clone(route))
    }

    async fn ask_upstream(&mut self) -> Result<Reply, Refusal> {
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
        self.meet_upstream(&route).await;
        let Some(upstream) = &mut self.upstream else { return Err(trouble::out_of_time()) };
        self.asked_upstream = Instant::now();
        let asking = timeout_at(self.patience, upstream.inquire(&command));
        match wire::in_company(&mut self.wire, asking).await {
            Ok(answer) => answer.or_else(trouble::relayed),
            Err(_) => Err(trouble::out_of_time()),
        }
    }

    async fn deliver(&mut self) -> Result<Receipt, Refusal> {
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
    async fn keep_alive(&mut self) {
        self.asked_upstream = Instant::now();
        if let Some(upstream) = &mut self.upstream {
            upstream.keep_alive().await;
        }
    }

    // === the message ===

    fn begin_message(&mut self) {
        let facts = Arc::clone(&self.listener.facts);
        let intake = Intake::begin(facts, &self.listener.spooler, self.listener.header_limit);
        self.message = Message::Arriving(Box::new(intake));
    }

    async fn store(&mut self, piece: Bytes) {
        let Message::Arriving(intake) = &mut self.message else { return };
        let stored =
            if intake.touches_disk(&piece) { self.store_on_disk(piece).await } else { intake.store(&piece) };
        if let Err(refusal) = stored {
            self.session.spoil(refusal);
        }
    }

    async fn store_on_disk(&mut self, piece: Bytes) -> Result<(), Refusal> {
        let Message::Arriving(intake) = std::mem::replace(&mut self.message, Message::Absent) else {
            return Ok(());
        };
        self.message = Message::Gone(intake.size());
        let (intake, stored) = intake.store_aside(piece).await?;
        self.message = Message::Arriving(intake);
        stored
    }

    /// The final dot: seals the spool, and does what checks are still to do.
    async fn complete_message(&mut self) -> Result<(), Refusal> {
        self.books.message_complete();
        let Message::Arriving(intake) = std::mem::replace(&mut self.message, Message::Absent) else {
            return Ok(());
        };
        let (received, check) = intake.seal().await?;
        let examining = timeout_at(self.patience, self.judge.examine(*check));
        if wire::in_company(&mut self.wire, examining).await.is_err() {
            return Err(trouble::out_of_time());
        }
        self.message = Message::Complete(Box::new(received), Additions::default());
        Ok(())
    }

    async fn finish(&mut self, finished: Finished) {
        let size = match std::mem::replace(&mut self.message, Message::Absent) {
            Message::Absent => 0,
            Message::Arriving(intake) => intake.size(),
            Message::Complete(received, _) => received.size,
            Message::Gone(size) => size,
        };
        let origin = scene::origin(&self.connection, &self.listener, &self.judge);
        let reply =
            self.books.finished(origin, &self.connection.transaction, &finished, self.judge.checked(), size);
        if let Some(reply) = reply {
            self.queue(&reply);
            self.untold = (finished.outcome == Some(Outcome::Accepted)).then_some(reply);
        }
        self.judge.end_transaction();
        if let Some(upstream) = &mut self.upstream {
            wire::in_company(&mut self.wire, upstream.reset()).await;
        }
    }

    // === the connection ===

    /// Forgets the client that there was: the upstream was told its name, and policy learnt about it.
    async fn speak_for(&mut self, said: &XClient) {
        self.leave_upstream().await;
        let hop = self.connection.peer;
        self.connection.adopt(said);
        self.judge = Judge::new(Arc::clone(&self.listener), &self.connection);
        self.session.take_line_ends(self.listener.line_ends(self.connection.peer.ip));
        let (session, client) = (&self.connection.id, self.connection.peer.ip);
        tracing::info!(event = "xclient", session, listener = %self.listener.name, hop = %hop.ip, %client, "another client");
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        self.flush().await?;
        let Some(wire) = self.wire.take() else { return Ok(()) };
        match wire.start_tls().await {
            Ok((wire, info)) => {
                self.listener.metrics.tls_handshake(info.version, info.group.as_deref());
                self.wire = Some(wire);
                self.connection.tls = Some(info);
                self.judge.begin_helo(None);
                self.session.tls_established();
                // Whatever it learnt in the clear, a login too, is forgotten (RFC 3207 4.2).
                self.leave_upstream().await;
                Ok(())
            }
            Err(error) => {
                self.listener.no_handshake(&self.connection.id, self.connection.peer, &error);
                Err(error)
            }
        }
    }

    /// Leaves everybody in good order, and lets neither side wait for the other.
    async fn part(self: Box<Self>) {
        let Self { upstream, wire, .. } = *self;
        let leave_upstream = async {
            if let Some(upstream) = upstream {
                upstream.quit().await;
            }
        };
        let leave_client = async {
            if let Some(wire) = wire {
                wire.close().await;
            }
        };
        tokio::join!(leave_upstream, leave_client);
    }
}

async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// What EHLO may offer: what every upstream was last seen to offer, and we can carry.
fn offers(listener: &Listener) -> Offers {
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    /// Thousands of sessions wait at a time: what each of them costs is decided here.
    #[test]
    fn a_session_is_small() {
        fn size<F>(_: impl FnOnce(TcpStream, Peer, Option<tls::Info>, Arc<Listener>, End) -> F) -> usize {
            size_of::<F>()
        }
        let (task, driver) = (size(drive::<TcpStream>), size_of::<Driver<TcpStream>>());
        assert!(task <= 3 << 10 && driver <= 2 << 10, "{task} and {driver} octets");
    }
}
