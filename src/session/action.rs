//! What a session wants of its caller.

use bytes::Bytes;

use super::auth::{AuthOutcome, Exchange};
use super::stage::{Reason, Refusal, Stage, Violation};
use super::terms::Hello;
use super::transaction::Finished;
use crate::smtp::auth::{AuthLine, Login};
use crate::smtp::command::{ChunkCommand, Command, MailCommand, RcptCommand, Verb};
use crate::smtp::path::{ForwardPath, ReversePath};
use crate::smtp::reply::Reply;
use crate::smtp::xclient::XClient;

/// What the session wants done, in the order in which it must be done.
#[derive(Debug)]
pub enum Action {
    /// A command was heard, understood or not; for the books.
    Heard(Verb),
    /// Write this reply to the client; with a refusal, also its grounds.
    Reply(Reply, Option<Box<Grounds>>),
    /// Ask policy about [`Session::question`](super::Session::question); the answer goes to [`Session::decided`](super::Session::decided).
    Decide(Stage),
    /// Ask the upstream about the recipient, or what VRFY or EXPN asks, in [`Session::question`](super::Session::question); the answer goes to [`Session::rcpt_answered`](super::Session::rcpt_answered).
    AskUpstream,
    /// Say this line of AUTH to the upstream; the answer goes to [`Session::auth_answered`](super::Session::auth_answered).
    Authenticate(AuthLine),
    /// An exchange of AUTH ended so; for the books.
    AuthEnded(Login, AuthOutcome),
    /// Leave the upstream: it knows of a login that does not hold, or waits for one that does not come.
    LeaveUpstream,
    /// A message begins: the 354 is written or a first chunk was announced, bytes for [`Action::Store`] follow.
    BeginMessage,
    /// Keep these bytes of the message, dots unstuffed.
    Store(Bytes),
    /// Send the message to the upstream, with a copy for the recipients that are
    /// [quarantined](super::Transaction::quarantined); the answer goes to [`Session::delivered`](super::Session::delivered).
    Deliver,
    /// Put the message into the quarantine, and nowhere else; the answer goes to [`Session::delivered`](super::Session::delivered).
    Quarantine,
    /// The transaction is over. Book it, and reset the upstream unless it has just answered for the message.
    Finish(Box<Finished>),
    /// The client is another one from here on: forget what is known of the old one. Policy is asked about it next.
    SpeakFor(Box<XClient>),
    /// Begin the TLS handshake; nothing received before it may be used after it (RFC 3207 4.2).
    StartTls,
    /// Hang up, after the replies before this one are written.
    Close,
}

/// Why a command was refused, and whose mail it was about.
#[derive(Debug)]
pub struct Grounds {
    /// The stage at which it was said.
    pub stage: Stage,
    /// Why.
    pub reason: Reason,
    /// The sender of the transaction that was open, or the one that MAIL named.
    pub sender: Option<ReversePath>,
    /// The recipient that RCPT named, as the client said it.
    pub recipient: Option<ForwardPath>,
    /// The login that AUTH was about.
    pub login: Option<Login>,
}

/// Whom the command at hand is about, until it has its reply.
#[derive(Debug, Default)]
pub(super) enum About {
    /// Nobody.
    #[default]
    Nobody,
    /// The sender of MAIL.
    Sender(ReversePath),
    /// The recipient of RCPT.
    Recipient(ForwardPath),
    /// The login of AUTH, as far as it is known.
    Login(Login),
}

impl About {
    pub(super) fn of(command: &Command) -> Self {
        match command {
            Command::Mail(mail) => Self::Sender(mail.path.clone()),
            Command::Rcpt(rcpt) => Self::Recipient(rcpt.path.clone()),
            Command::Auth(auth) => Self::Login(auth.login()),
            _ => Self::Nobody,
        }
    }
}

/// The open question: what policy or the upstream is being asked about.
#[derive(Clone, Debug)]
pub enum Question {
    /// May the client talk to us at all?
    Connect,
    /// HELO or EHLO.
    Helo(Hello),
    /// AUTH: the upstream first, then policy.
    Auth(Exchange),
    /// MAIL.
    Mail(MailCommand),
    /// One RCPT: policy first, then the upstream.
    Rcpt(RcptCommand),
    /// VRFY or EXPN, for the upstream alone.
    Inquiry(Command),
    /// DATA.
    Data,
    /// The first BDAT.
    Chunk(ChunkCommand),
    /// The whole message: policy first, then the upstream.
    Message,
    /// What to do about a breach of the protocol.
    Violation(Violation),
    /// What to do about a login that the upstream refused with these words.
    LoginRefused(Refusal),
    /// How the TLS handshake went.
    Tls,
}

impl Question {
    pub(super) const fn stage(&self) -> Stage {
        match self {
            Self::Connect => Stage::Connect,
            Self::Helo(_) => Stage::Helo,
            Self::Auth(_) => Stage::Auth,
            Self::Mail(_) => Stage::Mail,
            Self::Rcpt(_) => Stage::Rcpt,
            Self::Data | Self::Chunk(_) => Stage::Data,
            Self::Message => Stage::Message,
            Self::Inquiry(_) | Self::Violation(_) | Self::LoginRefused(_) | Self::Tls => Stage::Violation,
        }
    }
}
