//! What the operator says about an upstream.

use std::path::PathBuf;
use std::time::Duration;

use super::identity::ProxyVersion;
use crate::tls::ClientTls;

/// One upstream, ready for use: everything parsed, every file of TLS read.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The operator's name for it, the label of its metrics.
    pub name: String,
    /// What we call ourselves in EHLO, and in the names of files in a Maildir.
    pub hostname: String,
    /// Where mail goes.
    pub kind: Kind,
}

/// Where mail goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// To a mail server, over SMTP or LMTP.
    Smtp(Remote),
    /// Into a Maildir of our own, whoever the recipients are.
    Maildir(PathBuf),
}

/// A mail server and how to speak to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Remote {
    /// `host:port`, or `unix:PATH` for a socket in the file system.
    pub addresses: Vec<String>,
    /// Which of them a connection goes to.
    pub balance: Balance,
    /// What is spoken there.
    pub protocol: Protocol,
    /// How it learns who the client is.
    pub identity: Identity,
    /// Whether TLS is spoken to it.
    pub tls: TlsMode,
    /// How long it may take.
    pub timeouts: Timeouts,
}

/// Which of several addresses a new connection goes to. Those that failed come last, whatever this says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Balance {
    /// The first; the others only when it fails.
    #[default]
    First,
    /// Each in turn.
    RoundRobin,
    /// The one with the fewest connections of ours.
    LeastSessions,
}

/// What is spoken to a mail server.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Protocol {
    /// SMTP (RFC 5321).
    #[default]
    Smtp,
    /// LMTP (RFC 2033). It answers for each recipient at the end of a message, while a client hears one answer: so
    /// a transaction has one recipient.
    Lmtp,
}

impl Protocol {
    /// The command that introduces us.
    pub(super) const fn greeting(self) -> &'static str {
        match self {
            Self::Smtp => "EHLO",
            Self::Lmtp => "LHLO",
        }
    }
}

/// How an upstream learns who the client is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Identity {
    /// It does not; it takes Gatepost for the client.
    #[default]
    None,
    /// By Postfix's XCLIENT command. An upstream that does not offer it gets no mail (`451 4.3.5`): it would take
    /// every client for Gatepost's own host, which it usually trusts.
    XClient,
    /// By Postfix's XFORWARD command, before each transaction: for its log and filters. It goes on to judge Gatepost.
    XForward,
    /// By a PROXY header before everything else.
    Proxy(ProxyVersion),
    /// By the source address of the connection, which is the client's. Linux, with the right to do so; the upstream's
    /// answers must find their way back to this host.
    Transparent,
}

impl Identity {
    /// Whether a connection can serve another session once its own is done. Not one that was opened on behalf of a
    /// client.
    pub(super) const fn shares_connections(self) -> bool {
        matches!(self, Self::None | Self::XForward)
    }

    /// Whether the client's name is told.
    pub const fn tells_name(self) -> bool {
        matches!(self, Self::XClient | Self::XForward)
    }
}

/// Whether TLS is spoken to an upstream. A handshake that was begun and failed is a fault in every mode: there is no
/// way back to plaintext on that connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum TlsMode {
    /// Never.
    #[default]
    Off,
    /// When STARTTLS is offered; in plaintext when it is not offered or answered with 4yz or 5yz.
    Opportunistic(ClientTls),
    /// By STARTTLS or not at all.
    Required(ClientTls),
    /// From the first byte on, without STARTTLS.
    Implicit(ClientTls),
}

impl TlsMode {
    /// What the handshake goes by.
    pub const fn tls(&self) -> Option<&ClientTls> {
        match self {
            Self::Off => None,
            Self::Opportunistic(tls) | Self::Required(tls) | Self::Implicit(tls) => Some(tls),
        }
    }
}

impl Target {
    /// What handshakes with it go by, where it is spoken to over TLS.
    pub const fn tls(&self) -> Option<&ClientTls> {
        match &self.kind {
            Kind::Smtp(remote) => remote.tls.tls(),
            Kind::Maildir(_) => None,
        }
    }
}

/// How long an upstream may take. Each is for the whole of its step, however many bytes that comes in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// Until a connection stands, per address, names resolved.
    pub connect: Duration,
    /// For the banner and for each reply but the last; also for each 64 KiB of the message to be taken.
    pub reply: Duration,
    /// From the final dot to its reply (RFC 5321 4.5.3.2.6 asks for 10 minutes, but the client waits no longer).
    pub end_of_data: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            reply: Duration::from_secs(2 * 60),
            end_of_data: Duration::from_secs(8 * 60),
        }
    }
}
