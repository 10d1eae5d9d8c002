//! The loop that drives a session.

mod auth;
mod message;
mod quarantine;
mod relay;
mod tarpit;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use self::relay::offers;
use super::books::{Books, Counted};
use super::intake::{Intake, Received};
use super::judge::Judge;
use super::outgoing::Additions;
use super::presence::{self, Guest};
use super::scene::{self, Connection};
use super::trouble;
use super::wire::{self, Client, Wire};
use super::{Id, Listener, Peer};
use crate::decisions::Hearing;
use crate::facts::Letter;
use crate::policy::judgement::Effects;
use crate::policy::scene::{Address, Moment};
use crate::session::stage::{Reason, Source, Stage, Verdict};
use crate::session::{Action, Grounds, Question, Session};
use crate::smtp::reply::Reply;
use crate::smtp::xclient::XClient;
use crate::{log, tap, tls, upstream};

/// Everything behind one command: the client itself waits five minutes (RFC 5321 4.5.3.2.3).
const COMMAND_BUDGET: Duration = Duration::from_secs(4 * 60);
/// Everything from the final dot to its reply: the client itself waits ten minutes (RFC 5321 4.5.3.2.6).
const MESSAGE_BUDGET: Duration = Duration::from_secs(9 * 60);
/// How long an upstream may take to let go of a client that goes on to another one.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long policies may take with the end of a session.
const CONCLUSION: Duration = Duration::from_secs(5);
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
    let id = Id::fresh().to_string();
    let identity =
        tap::Identity { session: id.clone(), listener: Arc::clone(&listener.name), client: peer.ip };
    // Apart, so that an idle session is as small as can be: what waits here is moved and copied with its task.
    let mut driver = Box::new(Driver::new(Wire::new(client), peer, tls, listener, (id, end)));
    let driver = tap::within(identity, async move {
        if let Err(error) = driver.run().await {
            Box::pin(driver.client_gone(&error)).await;
        }
        Box::pin(driver.conclude()).await;
        tap::tell(|| tap::What::Closed);
        driver
    });
    let driver = driver.await;
    driver.books.session_over(scene::origin(
        &driver.session,
        &driver.connection,
        &driver.listener,
        &driver.judge,
    ));
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
    /// Its place in the book of who is here.
    guest: presence::Entry,
    judge: Judge,
    books: Books,
    upstream: Option<upstream::Session>,
    message: Message,
    /// When the upstream last heard from us.
    asked_upstream: Instant,
    /// The reply to a message that the upstream took, until it is on its way to the client.
    untold: Option<Box<Reply>>,
    /// Until when the client waits for the command at hand.
    patience: Instant,
    /// How long replies of the open transaction were delayed by order of policy.
    tarpitted: Duration,
    end: End,
}

/// How far the message of the transaction is.
#[derive(Debug)]
enum Message {
    /// There is none.
    Absent,
    /// It arrives.
    Arriving(Box<Intake>),
    /// It is there.
    Complete(Box<Received>, Box<Additions>),
    /// It was handed on or given up; its size.
    Gone(u64),
}

impl<C: Client> Driver<C> {
    fn new(
        wire: Wire<C>,
        peer: Peer,
        tls: Option<tls::Info>,
        listener: Arc<Listener>,
        (id, end): (String, End),
    ) -> Self {
        let connection = Connection {
            id,
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
        let guest = listener.presence.enter(Guest::new(&connection.id, &listener.name, peer.ip));
        Self {
            guest,
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
            tarpitted: Duration::ZERO,
            end,
            listener,
        }
    }

    async fn run(&mut self) -> io::Result<()> {
        self.session.begin();
        loop {
            self.perform_all().await?;
            self.flush().await?;
            self.untold = None;
            if self.session.is_closed() {
                return Ok(());
            }
            self.listen().await?;
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
    async fn listen(&mut self) -> io::Result<()> {
        let Some(wire) = &mut self.wire else { return Err(io::ErrorKind::NotConnected.into()) };
        // What was said before the banner counts as such, even when the time for it is over by now.
        if self.session.is_listening()
            && let Some(read) = wire.read_now().await
        {
            return self.take(read?);
        }
        if self.session.transaction().is_none() {
            self.judge.rest();
        }
        let in_message = matches!(self.message, Message::Arriving(_));
        let deadline = self.session.deadline().map(Instant::from_std);
        let waits = |upstream: &upstream::Session| upstream.in_transaction() || upstream.holds_login();
        let upstream_waits = self.upstream.as_ref().is_some_and(waits);
        let keep_alive = upstream_waits.then(|| self.asked_upstream + KEEP_ALIVE);
        tokio::select! {
            read = wire.read(in_message) => return self.take(read?),
            () = sleep_until_some(deadline) => self.session.timed_out(Instant::now().into_std()),
            () = self.end.drain.cancelled(), if !self.session.is_draining() => self.session.drain(),
            () = self.end.now.cancelled() => self.session.shut_down(),
            () = sleep_until_some(keep_alive) => Box::pin(self.keep_alive()).await,
        }
        Ok(())
    }

    /// What the client sent; nothing at the end of the stream.
    fn take(&mut self, bytes: Bytes) -> io::Result<()> {
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        tap::heard(&bytes);
        if self.judge.is_retired() {
            self.session.retire();
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
            Action::Heard(verb) => {
                tap::came_to(verb);
                self.listener.metrics.command(verb.metric());
            }
            Action::Reply(reply, None) => self.grant(&reply),
            Action::Reply(reply, Some(grounds)) => self.refuse(reply, &grounds),
            Action::Decide(stage) => {
                let verdict = Box::pin(self.decide(stage)).await;
                self.session.decided(verdict);
            }
            Action::AskUpstream => {
                let answer = Box::pin(self.ask_upstream()).await;
                self.session.rcpt_answered(self.with_login(answer));
            }
            Action::Authenticate(line) => {
                let answer = Box::pin(self.authenticate(&line)).await;
                self.session.auth_answered(answer);
            }
            Action::AuthEnded(login, outcome) => self.authenticated(&login, outcome),
            Action::LeaveUpstream => Box::pin(self.leave_upstream()).await,
            Action::BeginMessage => self.begin_message(),
            Action::Store(piece) => self.store(piece).await,
            Action::Deliver => {
                self.flush().await?;
                let answer = Box::pin(self.deliver()).await;
                self.session.delivered(answer.map_err(|refusal| self.unless_login_is_lost(refusal)));
            }
            Action::Quarantine => {
                self.flush().await?;
                let answer = Box::pin(self.quarantine()).await;
                self.session.delivered(answer);
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
        self.books.replied(self.session.transaction().is_some());
        self.queue(reply);
    }

    fn refuse(&mut self, reply: Reply, grounds: &Grounds) {
        let here =
            scene::here(&self.session, &self.connection, &self.listener, &self.judge, self.upstream.as_ref());
        let reply = self.books.refused(here, reply, grounds);
        self.books.replied(self.session.transaction().is_some());
        self.queue(&reply);
    }

    fn queue(&mut self, reply: &Reply) {
        tap::replied(reply.code().get(), || reply.on_the_wire());
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
        let sender = self.session.transaction().map(|transaction| &transaction.mail.path);
        let helo = self.judge.subject().helo.as_deref().unwrap_or_default();
        self.guest.at(stage, self.connection.peer.ip, helo, sender);
        if stage == Stage::Message
            && let Err(refusal) = self.complete_message().await
        {
            return Verdict::Refuse(refusal);
        }
        let (message, letter) = match &self.message {
            Message::Complete(received, _) => {
                let (header, body) = (received.header.clone(), received.body.clone());
                (Some((received.size, header.clone())), Some(Letter { header, body }))
            }
            _ => (None, None),
        };
        let Some(scene) = scene::of(&self.session, &self.listener, &self.connection, message) else {
            return Verdict::Pass;
        };
        let (at, asked, seen) = (self.listener.facts.now(), Instant::now(), scene.clone());
        let judging = timeout_at(self.patience, self.judge.judge(scene, letter));
        let Ok(judgement) = wire::in_company(&mut self.wire, judging).await else {
            return Verdict::Refuse(trouble::out_of_time());
        };
        let moment = seen.moment.clone();
        let (policies, took) = (self.judge.policies(), asked.elapsed());
        let hearing = Hearing { scene: seen, policies: &policies, judgement: &judgement, at, took };
        self.books
            .judged(scene::origin(&self.session, &self.connection, &self.listener, &self.judge), hearing);
        let tarpit = judgement.effects.tarpit;
        self.take_effects(&moment, &judgement.verdict, judgement.effects);
        if let Some(time) = tarpit {
            self.tarpit(time).await;
        }
        judgement.verdict
    }

    /// Tells the policies that the session is over. Nothing that they say changes anything; it is counted and logged.
    async fn conclude(&mut self) {
        let scene = scene::closing(&self.session, &self.listener, &self.connection);
        let (at, asked, seen) = (self.listener.facts.now(), Instant::now(), scene.clone());
        if let Ok(judgement) = timeout(CONCLUSION, self.judge.judge(scene, None)).await {
            let origin = scene::origin(&self.session, &self.connection, &self.listener, &self.judge);
            let (policies, took) = (self.judge.policies(), asked.elapsed());
            self.books.judged(
                origin,
                Hearing { scene: seen, policies: &policies, judgement: &judgement, at, took },
            );
        }
    }

    /// What policies ordered beside their verdict, where it takes effect at this stage.
    fn take_effects(&mut self, moment: &Moment, verdict: &Verdict, mut effects: Effects) {
        let goes_on = !matches!(verdict, Verdict::Refuse(_) | Verdict::Disconnect(_));
        if goes_on {
            self.session.rearrange(std::mem::take(&mut effects.recipients));
        }
        match moment {
            Moment::Rcpt(..) => {
                if let Some(path) = effects.redirect.filter(|_| goes_on) {
                    self.session.redirect(*path);
                }
            }
            Moment::Data(mail) => {
                self.books.limit_in_shadow(self.judge.memory().shadow_limit(mail).cloned());
                if let Some(limit) = self.judge.memory().size_limit(mail) {
                    let mut reason = Reason::new(Source::Policy, &limit.rule);
                    reason.place = Some(Arc::clone(&limit.place));
                    self.session.limit_size(limit.octets, reason);
                }
            }
            Moment::Message(mail, _) => {
                if let Message::Complete(_, additions) = &mut self.message {
                    **additions = Additions { effects, tags: self.judge.memory().tags(mail) };
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
                self.judge.begin_helo(Some(scene::helo_name(&hello)));
                self.session.offer(offers(&self.listener));
                self.rename(&hello).await;
            }
            Some(Question::Mail(mail)) => {
                tap::tell(|| tap::What::Sender(Address::from(&mail.path).original().to_owned()));
                self.judge.begin_transaction(&mail.path);
                self.books.begin_transaction();
                self.tarpitted = Duration::ZERO;
                self.connection.transaction = Id::fresh().to_string();
            }
            Some(Question::Rcpt(rcpt)) => {
                tap::tell(|| tap::What::Recipient(Address::from(&rcpt.path).original().to_owned()));
            }
            _ => {}
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
        tap::speaks_for(client);
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
        assert!(task <= 2 << 10 && driver <= 5 << 9, "{task} and {driver} octets");
    }
}
