//! The client side of the dialogue: the mail server behind the gate, or the Maildir in its place.
//!
//! A [`Session`] with a client asks [`Upstream::session`] for the other half. Nothing is dialled before its first
//! recipient (late connect); then the way of a message is
//!
//! ```text
//! dial -> banner -> EHLO [-> STARTTLS -> EHLO] [-> XCLIENT -> EHLO] -> MAIL -> RCPT.. -> DATA -> body -> dot -> 2yz
//!         mail_server, connection               identity              dialogue          delivery        Receipt
//! ```
//!
//! What holds throughout:
//!
//! - **No receipt without the upstream's word.** [`Receipt`] is made of a complete 2yz to the final dot, or of a file that
//!   is safe on disk, and nowhere else.
//! - **A question, an answer.** Bytes that answer no question (before a command, during a message, behind a final
//!   reply, between STARTTLS and the handshake) are a fault, because the reply after them could be one to something
//!   else. So is a reply of the wrong class.
//! - **A connection with a fault is dropped.** It goes neither to another transaction nor to another session. At most
//!   one reconnect per transaction, and none once DATA was answered.
//! - **Whatever fails is 4yz.** Only what the upstream itself says about a client or its message is 5yz.
//! - **Everything has an end**: each step by [`Timeouts`], replies by the decoder's limits, idle connections by number
//!   and age.
//!
//! Deliberately absent: a queue, MX look-ups, sessions with clients, policy. Pipelining towards the upstream will
//! be a second way to say what [`Session::rcpt`] and [`Session::deliver`] collect; the wire reads replies one by one
//! already.

mod connection;
mod delivery;
mod dial;
mod dialogue;
mod fault;
mod identity;
mod mail_server;
mod maildir;
mod pool;
pub mod simulated;
mod stripping;
mod target;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

pub use self::dial::{BoxFuture, Dial, Stream, TcpDial};
pub use self::dialogue::ADDED_FIELDS_ROOM;
use self::dialogue::Dialogue;
pub use self::fault::{Failure, Fault, FaultKind};
pub use self::identity::Client;
use self::mail_server::MailServer;
use self::maildir::{Delivery, Maildir};
pub use self::target::{Identity, Kind, Remote, Target, Timeouts, TlsMode};
use crate::message::spool::Outgoing;
use crate::metrics::UpstreamMetrics;
use crate::smtp::command::{MailCommand, RcptCommand};
use crate::smtp::extensions::Extensions;
use crate::smtp::receipt::Receipt;
use crate::smtp::reply::Reply;

/// Where accepted mail goes, shared by all sessions that send it there.
#[derive(Debug)]
pub struct Upstream(Place);

#[derive(Debug)]
enum Place {
    Server(Arc<MailServer>),
    Maildir(Arc<Maildir>, UpstreamMetrics),
}

impl Upstream {
    /// The upstream `target`, reached through `dial`. Nothing is dialled or created yet.
    pub fn new(target: Target, dial: Arc<dyn Dial>, metrics: UpstreamMetrics) -> Arc<Self> {
        let Target { name, hostname, kind } = target;
        Arc::new(Self(match kind {
            Kind::Smtp(remote) => {
                Place::Server(Arc::new(MailServer::new(name, hostname, remote, dial, metrics)))
            }
            Kind::Maildir(root) => Place::Maildir(Arc::new(Maildir::new(root, &hostname)), metrics),
        }))
    }

    /// What it can do, by the last probe or session that got through its greeting; `None` before the first.
    pub fn extensions(&self) -> Option<Arc<Extensions>> {
        match &self.0 {
            Place::Server(server) => server.extensions(),
            Place::Maildir(..) => Some(maildir::extensions()),
        }
    }

    /// Finds out what it can do, without a client: greets and says goodbye, or makes the Maildir's folders. At
    /// start, and whenever somebody asks whether the upstream is there.
    ///
    /// # Errors
    /// Why it cannot be used. XCLIENT that is configured and not offered shows in the extensions, not as an error.
    pub async fn probe(&self) -> Result<Arc<Extensions>, Failure> {
        match &self.0 {
            Place::Server(server) => server.probe().await,
            Place::Maildir(maildir, metrics) => {
                let made = Maildir::make(Arc::clone(maildir)).await;
                metrics.up(made.is_ok());
                made?;
                Ok(maildir::extensions())
            }
        }
    }

    /// The upstream's half of a session with `client`.
    pub fn session(&self, client: Client) -> Session {
        Session(match &self.0 {
            Place::Server(server) => Half::Server(Box::new(Dialogue::new(Arc::clone(server), client))),
            Place::Maildir(maildir, metrics) => {
                Half::Maildir(Delivery::new(Arc::clone(maildir), metrics.clone()))
            }
        })
    }
}

/// The upstream's half of one session with a client.
///
/// A future of its methods may be dropped at any time (a deadline, a client that left): the connection then goes with
/// it, and a message whose final dot was not written yet is not delivered. Dropping the session closes its connection;
/// [`quit`](Self::quit) does so in good order.
#[derive(Debug)]
pub struct Session(Half);

#[derive(Debug)]
enum Half {
    Server(Box<Dialogue>),
    Maildir(Delivery),
}

impl Session {
    /// Asks the upstream to take `rcpt` in the transaction of `mail`, and gives its answer, whatever class it is of.
    ///
    /// The first recipient opens the transaction: connection, identity, MAIL. A refusal of MAIL is the answer to every
    /// recipient of it, and a 421 is answered as 451 with its text. A transaction lasts until
    /// [`deliver`](Self::deliver) or [`reset`](Self::reset), or until another `mail` comes.
    ///
    /// # Errors
    /// Only [`Failure::Fault`]. A fault before the transaction stands is given to all its recipients alike.
    pub async fn rcpt(&mut self, mail: &MailCommand, rcpt: &RcptCommand) -> Result<Reply, Failure> {
        match &mut self.0 {
            Half::Server(dialogue) => dialogue.rcpt(mail, rcpt).await,
            Half::Maildir(delivery) => Ok(delivery.rcpt(mail)),
        }
    }

    /// Sends `message` to the recipients that were accepted; the transaction is over afterwards.
    ///
    /// # Errors
    /// The upstream's refusal of DATA or of the message in its own words, or a fault. One that is
    /// [ambiguous](Fault::ambiguous) came after the final dot.
    pub async fn deliver(&mut self, message: &Outgoing) -> Result<Receipt, Failure> {
        match &mut self.0 {
            Half::Server(dialogue) => dialogue.deliver(message).await,
            Half::Maildir(delivery) => delivery.deliver(message).await,
        }
    }

    /// Ends the transaction without a message. A connection on which that does not work is dropped in silence.
    pub async fn reset(&mut self) {
        match &mut self.0 {
            Half::Server(dialogue) => dialogue.reset().await,
            Half::Maildir(delivery) => delivery.reset(),
        }
    }

    /// Whether the upstream waits for the rest of a transaction.
    pub fn in_transaction(&self) -> bool {
        match &self.0 {
            Half::Server(dialogue) => dialogue.in_transaction(),
            Half::Maildir(_) => false,
        }
    }

    /// Says NOOP, so that an upstream with a message long under way does not give up. One that is lost is found to be
    /// so and connected to again by the next method.
    pub async fn keep_alive(&mut self) {
        if let Half::Server(dialogue) = &mut self.0 {
            dialogue.keep_alive().await;
        }
    }

    /// Takes leave: QUIT, or a place among the idle connections where those are shared.
    pub async fn quit(self) {
        if let Half::Server(dialogue) = self.0 {
            dialogue.quit().await;
        }
    }
}
