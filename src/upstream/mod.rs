//! The client side of the dialogue: the mail server behind the gate, by SMTP or LMTP and at one or several addresses, or the
//! Maildir in its place.
//!
//! A [`Session`] with a client asks [`Upstream::session`] for the other half. Nothing is dialled before its first
//! recipient (late connect); then the way of a message is
//!
//! ```text
//! dial [-> PROXY] -> banner -> EHLO [-> STARTTLS -> EHLO] [-> XCLIENT -> EHLO] [-> XFORWARD] -> MAIL -> RCPT.. -> message -> 2yz
//!         mail_server, connection, identity                                            dialogue    delivery  Receipt
//! ```
//!
//! What holds throughout:
//!
//! - **No receipt without the upstream's word.** [`Receipt`] is made of a complete 2yz to the final dot, or of a file that
//!   is safe on disk, and nowhere else.
//! - **As many answers as questions.** Commands go one by one, or several together where the upstream offers PIPELINING;
//!   each has its own reply. Bytes that answer no question (before a command, during a message, behind a final reply,
//!   between STARTTLS and the handshake) are a fault, because the reply after them could be one to something else. So is a
//!   reply of the wrong class.
//! - **A connection with a fault is dropped.** It goes neither to another transaction nor to another session. At most
//!   one reconnect per transaction, and none once DATA was answered or the first chunk was begun.
//! - **Whatever fails is 4yz.** Only what the upstream itself says about a client or its message is 5yz: its replies, and in
//!   its EHLO that it no longer has what a parameter of MAIL or RCPT needs.
//! - **Everything has an end**: each step by [`Timeouts`], replies by the decoder's limits, idle connections by number
//!   and age.
//!
//! A message goes by BDAT where the upstream offers CHUNKING, else by DATA with its dots doubled; a binary one by BDAT only.
//! The last octet of the last chunk is what the final dot is.
//!
//! Deliberately absent: a queue, MX look-ups, sessions with clients, policy; chunks that are sent before the last was
//! answered.

mod addresses;
mod auth;
mod connection;
mod delivery;
mod dial;
mod dialogue;
mod envelope;
mod fault;
mod identity;
mod mail_server;
mod maildir;
mod pieces;
mod pool;
pub mod simulated;
mod stripping;
mod target;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;
use std::time::Duration;

pub use self::auth::is_loopback;
pub use self::dial::{BoxFuture, Dial, Stream, TcpDial, may_be_transparent};
use self::dialogue::Dialogue;
pub use self::envelope::ADDED_FIELDS_ROOM;
pub use self::fault::{Failure, Fault, FaultKind, Refused};
pub use self::identity::{Client, ClientName, ProxyVersion};
use self::mail_server::MailServer;
use self::maildir::{Delivery, Maildir};
pub use self::target::{Balance, Identity, Kind, Protocol, Remote, Target, Timeouts, TlsMode};
use crate::message::spool::Outgoing;
use crate::metrics::UpstreamMetrics;
use crate::smtp::auth::AuthLine;
use crate::smtp::command::{Command, MailCommand, RcptCommand};
use crate::smtp::extensions::Extensions;
use crate::smtp::receipt::Receipt;
use crate::smtp::reply::Reply;

/// Where accepted mail goes, shared by all sessions that send it there.
#[derive(Debug)]
pub struct Upstream {
    name: Arc<str>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Server(Arc<MailServer>),
    Maildir(Arc<Maildir>, UpstreamMetrics),
}

impl Upstream {
    /// The upstream `target`, reached through `dial`. Nothing is dialled or created yet.
    pub fn new(target: Target, dial: Arc<dyn Dial>, metrics: UpstreamMetrics) -> Arc<Self> {
        let Target { name, hostname, kind } = target;
        let place = match kind {
            Kind::Smtp(remote) => {
                Place::Server(Arc::new(MailServer::new(name.clone(), hostname, remote, dial, metrics)))
            }
            Kind::Maildir(root) => Place::Maildir(Arc::new(Maildir::new(root, &hostname)), metrics),
        };
        Arc::new(Self { name: name.into(), place })
    }

    /// The operator's name for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it takes one recipient a transaction and no more: LMTP, which has an answer for each recipient where the
    /// client has room for one.
    pub fn takes_one_recipient(&self) -> bool {
        match &self.place {
            Place::Server(server) => server.takes_one_recipient(),
            Place::Maildir(..) => false,
        }
    }

    /// How long until one of its addresses that failed is to be tried again; `None` when none has.
    pub fn next_trial(&self) -> Option<Duration> {
        match &self.place {
            Place::Server(server) => server.next_trial(),
            Place::Maildir(..) => None,
        }
    }

    /// What it can do, by the last probe or session that got through its greeting; `None` before the first.
    pub fn extensions(&self) -> Option<Arc<Extensions>> {
        match &self.place {
            Place::Server(server) => server.extensions(),
            Place::Maildir(..) => Some(maildir::extensions()),
        }
    }

    /// Finds out what it can do, without a client: greets and says goodbye, or makes the Maildir's folders. At
    /// start, and whenever somebody asks whether the upstream is there.
    ///
    /// # Errors
    /// Why it cannot be used. An identity that is configured and not offered is [`misgiving`](Self::misgiving), not an
    /// error.
    pub async fn probe(&self) -> Result<Arc<Extensions>, Failure> {
        match &self.place {
            Place::Server(server) => server.probe().await,
            Place::Maildir(maildir, metrics) => {
                let made = Maildir::make(Arc::clone(maildir)).await;
                metrics.up(made.is_ok());
                made?;
                Ok(maildir::extensions())
            }
        }
    }

    /// Why mail will not go there although it answers: what a [`probe`](Self::probe) was offered does not hand the clients'
    /// identities over.
    pub fn misgiving(&self, offered: &Extensions) -> Option<&'static str> {
        match &self.place {
            Place::Server(server) => server.misgiving(offered),
            Place::Maildir(..) => None,
        }
    }

    /// Whether [`session`](Self::session) has a use for the client's name, so that waiting for it is worth while.
    pub fn tells_name(&self) -> bool {
        matches!(&self.place, Place::Server(server) if server.tells_name())
    }

    /// Waits until one of its addresses fails, so that it is tried again in time.
    pub async fn set_aside(&self) {
        match &self.place {
            Place::Server(server) => server.set_aside().await,
            Place::Maildir(..) => std::future::pending().await,
        }
    }

    /// The upstream's half of a session with `client`.
    pub fn session(self: &Arc<Self>, client: Client) -> Session {
        let half = match &self.place {
            Place::Server(server) => Half::Server(Box::new(Dialogue::new(Arc::clone(server), client))),
            Place::Maildir(maildir, metrics) => {
                Half::Maildir(Delivery::new(Arc::clone(maildir), metrics.clone()))
            }
        };
        Session { upstream: Arc::clone(self), half }
    }
}

/// The upstream's half of one session with a client.
///
/// A future of its methods may be dropped at any time (a deadline, a client that left): the connection then goes with
/// it, and a message whose final dot was not written yet is not delivered. Dropping the session closes its connection;
/// [`quit`](Self::quit) does so in good order.
#[derive(Debug)]
pub struct Session {
    upstream: Arc<Upstream>,
    half: Half,
}

#[derive(Debug)]
enum Half {
    Server(Box<Dialogue>),
    Maildir(Delivery),
}

impl Session {
    /// Says what our log calls the transaction at hand, before its first recipient: an upstream that is told so knows it by
    /// the same word.
    pub fn name_transaction(&mut self, id: &str) {
        if let Half::Server(dialogue) = &mut self.half {
            dialogue.name_transaction(id);
        }
    }

    /// Whose half it is.
    pub const fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Asks the upstream to take `rcpt` in the transaction of `mail`, and gives its answer to RCPT, whatever class it is of.
    ///
    /// The first recipient opens the transaction: connection, identity, MAIL. A transaction lasts until
    /// [`deliver`](Self::deliver) or [`reset`](Self::reset), or until another `mail` comes.
    ///
    /// # Errors
    /// What was refused before RCPT, and a 421, as [`Failure::Refused`]; a fault. Those before the transaction stands, a refusal of MAIL
    /// among them, are given to all its recipients alike.
    pub async fn rcpt(&mut self, mail: &MailCommand, rcpt: &RcptCommand) -> Result<Reply, Failure> {
        match &mut self.half {
            Half::Server(dialogue) => dialogue.rcpt(mail, rcpt).await,
            Half::Maildir(delivery) => Ok(delivery.rcpt(mail)),
        }
    }

    /// Asks the upstream what VRFY or EXPN asks, in a transaction or without one.
    ///
    /// # Errors
    /// What is no answer to it, and a 421.
    pub async fn inquire(&mut self, command: &Command) -> Result<Reply, Failure> {
        match &mut self.half {
            Half::Server(dialogue) => dialogue.inquire(command).await,
            Half::Maildir(_) => Ok(maildir::no_answer(command)),
        }
    }

    /// Makes `wanted` the recipients of the transaction of `mail`, before its message: more are asked for, or the transaction is
    /// reset and begun again with all of them. It stands with exactly these afterwards, or not at all.
    ///
    /// # Errors
    /// The upstream does not take one of them, whatever it said of it before; or a fault. Nothing is left of the transaction then.
    pub async fn rearrange(&mut self, mail: &MailCommand, wanted: &[RcptCommand]) -> Result<(), Failure> {
        match &mut self.half {
            Half::Server(dialogue) => dialogue.rearrange(mail, wanted).await,
            Half::Maildir(delivery) => {
                delivery.rcpt(mail);
                Ok(())
            }
        }
    }

    /// Sends `message` to the recipients that were accepted; the transaction is over afterwards.
    ///
    /// # Errors
    /// The upstream's refusal of DATA or of the message in its own words, or a fault. One that is
    /// [ambiguous](Fault::ambiguous) came after the final dot.
    pub async fn deliver(&mut self, message: &Outgoing) -> Result<Receipt, Failure> {
        match &mut self.half {
            Half::Server(dialogue) => dialogue.deliver(message).await,
            Half::Maildir(delivery) => delivery.deliver(message).await,
        }
    }

    /// Ends the transaction without a message. A connection on which that does not work is dropped in silence.
    pub async fn reset(&mut self) {
        match &mut self.half {
            Half::Server(dialogue) => dialogue.reset().await,
            Half::Maildir(delivery) => delivery.reset(),
        }
    }

    /// Says a line of the client's AUTH, and gives the answer: 334, 235, or a refusal (RFC 4954). The first opens the
    /// connection, by which the login then stands and falls: it is neither shared nor replaced.
    ///
    /// # Errors
    /// A 421 as a 451 with its text; a fault, also where the mechanism is not offered or the connection is no place for a
    /// password.
    pub async fn auth(&mut self, line: &AuthLine) -> Result<Reply, Failure> {
        match &mut self.half {
            Half::Server(dialogue) => dialogue.auth(line).await,
            Half::Maildir(_) => Err(Fault::new(FaultKind::Capability, "a Maildir knows no logins").into()),
        }
    }

    /// Whether the upstream knows who the client is, on a connection that was not lost as far as we know.
    pub fn holds_login(&self) -> bool {
        match &self.half {
            Half::Server(dialogue) => dialogue.holds_login(),
            Half::Maildir(_) => false,
        }
    }

    /// The same client has another name now.
    pub async fn rename(&mut self, client: Client) {
        if let Half::Server(dialogue) = &mut self.half {
            dialogue.rename(client).await;
        }
    }

    /// Whether the transaction has so many recipients there; a Maildir does not care.
    pub fn knows_recipients(&self, accepted: usize) -> bool {
        match &self.half {
            Half::Server(dialogue) => dialogue.recipients() == accepted,
            Half::Maildir(_) => true,
        }
    }

    /// Whether the upstream waits for the rest of a transaction.
    pub fn in_transaction(&self) -> bool {
        match &self.half {
            Half::Server(dialogue) => dialogue.in_transaction(),
            Half::Maildir(_) => false,
        }
    }

    /// Says NOOP, so that an upstream with a message long under way does not give up. One that is lost is found to be
    /// so and connected to again by the next method.
    pub async fn keep_alive(&mut self) {
        if let Half::Server(dialogue) = &mut self.half {
            dialogue.keep_alive().await;
        }
    }

    /// Takes leave: QUIT, or a place among the idle connections where those are shared.
    pub async fn quit(self) {
        if let Half::Server(dialogue) = self.half {
            dialogue.quit().await;
        }
    }
}
