//! One connection to an upstream: greeted, perhaps under TLS, and every reply checked against its command.

use std::sync::Arc;

use tokio::time::Instant;

use super::addresses::Lease;
use super::fault::{Failure, Fault, FaultKind, Refused, one_line};
use super::target::{Protocol, Timeouts, TlsMode};
use super::wire::Wire;
use crate::metrics::UpstreamMetrics;
use crate::smtp::extensions::Extensions;
use crate::smtp::reply::{Class, Code, Reply};
use crate::tap::{self, Speaker};
use crate::tls::ClientTls;

/// A step of the dialogue: a command, the banner or the end of a message, and the reply that is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Exchange {
    Banner,
    Ehlo,
    StartTls,
    XClient,
    XForward,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// A chunk that is not the last.
    Bdat,
    /// The final dot, or the last chunk.
    EndOfData,
    Rset,
    Vrfy,
    Expn,
    Noop,
    Quit,
}

impl Exchange {
    /// The label in metrics and faults.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Banner => "connect",
            Self::Ehlo => "ehlo",
            Self::StartTls => "starttls",
            Self::XClient => "xclient",
            Self::XForward => "xforward",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Bdat => "bdat",
            Self::EndOfData => "end_of_data",
            Self::Rset => "rset",
            Self::Vrfy => "vrfy",
            Self::Expn => "expn",
            Self::Noop => "noop",
            Self::Quit => "quit",
        }
    }

    /// The name in decisions and logs, where the answer was a "no".
    pub(super) const fn step(self) -> &'static str {
        match self {
            Self::Banner => "banner",
            Self::EndOfData => "end-of-data",
            Self::Vrfy | Self::Expn => "inquiry",
            other => other.name(),
        }
    }

    /// `reply`, a "no", as the failure of this step.
    pub(super) const fn refused(self, reply: Reply) -> Failure {
        Failure::Refused(Refused::new(self.step(), reply))
    }

    /// Whether a reply with `code` answers this at all; 4yz and 5yz always do (RFC 5321 4.3.2).
    fn is_answered_by(self, code: Code) -> bool {
        match code.class() {
            Class::Transient | Class::Permanent => true,
            Class::Intermediate => match self {
                Self::Data => code.get() == 354,
                Self::Auth => code.get() == 334,
                _ => false,
            },
            Class::Completed => match self {
                Self::Data => false,
                Self::Auth => code.get() == 235,
                Self::Banner | Self::StartTls => code.get() == 220,
                _ => true,
            },
        }
    }
}

/// A connection to an upstream.
///
/// **Invariant: after an `Err` of any of its methods a connection is dropped and never used again.** Refusals that
/// leave it in order are `Ok`.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) timeouts: Timeouts,
    pub(super) metrics: UpstreamMetrics,
    /// Whether TLS is under the dialogue.
    pub(super) encrypted: bool,
    /// Whether its certificate was checked, so that the other end is known to be the one that is meant.
    pub(super) verified_tls: bool,
    extensions: Arc<Extensions>,
    /// Whether it stays on this machine.
    near: bool,
    protocol: Protocol,
    /// Held until it is closed.
    _lease: Lease,
}

impl Connection {
    /// The connection on `wire`, on which nothing was said yet and `protocol` is to be spoken; `near` if it does not leave this
    /// machine.
    pub(super) fn new(
        wire: Wire,
        protocol: Protocol,
        timeouts: Timeouts,
        metrics: UpstreamMetrics,
        near: bool,
        lease: Lease,
    ) -> Self {
        let (encrypted, verified_tls, extensions) = (false, false, Arc::default());
        Self { wire, timeouts, metrics, encrypted, verified_tls, extensions, near, protocol, _lease: lease }
    }

    /// Whether it is a place for passwords: under TLS, or within this machine.
    pub(super) const fn is_confidential(&self) -> bool {
        self.near || self.encrypted
    }

    /// What the last EHLO offered.
    pub(super) fn extensions(&self) -> Arc<Extensions> {
        Arc::clone(&self.extensions)
    }

    /// Reads the banner, greets, and does what TLS asks for.
    ///
    /// Whom a refusal is about, Gatepost or a client, is for the caller to say.
    pub(super) async fn greet(mut self, greeting: &Greeting<'_>) -> Result<Self, Failure> {
        let Greeting { name, host, .. } = *greeting;
        self.banner().await?;
        self.introduce(greeting).await?;
        let (tls, required) = match greeting.tls {
            TlsMode::Off | TlsMode::Implicit(_) => return Ok(self),
            TlsMode::Opportunistic(tls) => (tls, false),
            TlsMode::Required(tls) => (tls, true),
        };
        if !self.start_tls(required).await? {
            return Ok(self);
        }
        let mut secured = self.into_tls(tls, host).await?;
        secured.ehlo(name).await?;
        Ok(secured)
    }

    /// Says EHLO, or HELO to a server that does not know the word and says so (RFC 5321 3.2).
    async fn introduce(&mut self, greeting: &Greeting<'_>) -> Result<(), Failure> {
        match self.ehlo(greeting.name).await {
            Err(Failure::Refused(no)) if greeting.helo_will_do && is_unknown(no.reply.code()) => {
                self.helo(greeting.name).await
            }
            other => other,
        }
    }

    /// Whether the text of replies may be in UTF-8 from here on: under SMTPUTF8 only (RFC 6531 3.7.4.1).
    pub(super) const fn expect_utf8(&mut self, expected: bool) {
        self.wire.expect_utf8(expected);
    }

    /// What [`expect_utf8`](Self::expect_utf8) was told last.
    pub(super) const fn expects_utf8(&self) -> bool {
        self.wire.expects_utf8()
    }

    /// Says EHLO, or LHLO (RFC 2033 4.1), and keeps what is offered; a refusal ends the connection.
    pub(super) async fn ehlo(&mut self, name: &str) -> Result<(), Failure> {
        let line = format!("{} {name}", self.protocol.greeting());
        let reply = self.ask(Exchange::Ehlo, &line).await?;
        if !reply.is_completed() {
            return Err(Exchange::Ehlo.refused(reply));
        }
        let mut offered = Extensions::from_ehlo(&reply);
        if !self.is_confidential() {
            offered.auth.clear();
        }
        // RFC 8689 4.2.1: it is worth what the certificate is worth.
        offered.require_tls &= self.verified_tls;
        if self.protocol == Protocol::Lmtp {
            // Each recipient has an answer of its own, and a client hears one (RFC 9422 4.2).
            offered.limits.rcpt_max = Some(1);
        }
        self.extensions = Arc::new(offered);
        Ok(())
    }

    /// Says HELO, after which nothing beyond RFC 821 may be used; a refusal ends the connection. LMTP has no such word (RFC 2033 4.1).
    pub(super) async fn helo(&mut self, name: &str) -> Result<(), Failure> {
        if self.protocol == Protocol::Lmtp {
            return self.ehlo(name).await;
        }
        let reply = self.ask(Exchange::Ehlo, &format!("HELO {name}")).await?;
        if !reply.is_completed() {
            return Err(Exchange::Ehlo.refused(reply));
        }
        self.extensions = Arc::default();
        Ok(())
    }

    /// Says `line` and gives the reply, whether it is what was hoped for or a refusal.
    ///
    /// # Errors
    /// A 421 as [`Failure::Refused`] with a 451 and its text; everything that is no answer as a fault.
    pub(super) async fn ask(&mut self, exchange: Exchange, line: &str) -> Result<Reply, Failure> {
        let begun = Instant::now();
        tell_said(exchange, line);
        let outcome = self.wire.ask(line, self.timeouts.reply).await;
        self.heard(exchange, begun, outcome)
    }

    /// Says `lines` in one go (RFC 2920 3.1); each has its reply, to be [heard](Self::hear) in their order.
    pub(super) async fn say(&mut self, lines: &[String]) -> Result<(), Failure> {
        lines.iter().for_each(|line| tap::say(Speaker::Gatepost, line));
        Ok(self.wire.say(lines, self.timeouts.reply).await?)
    }

    /// The reply to the oldest line without one. With `is_last` it is the reply to the last of them, and whatever else was said is
    /// no answer to anything.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub(super) async fn hear(&mut self, exchange: Exchange, is_last: bool) -> Result<Reply, Failure> {
        let begun = Instant::now();
        let outcome = self.wire.reply(self.timeouts.reply).await;
        let reply = self.heard(exchange, begun, outcome)?;
        if !is_last {
            return Ok(reply);
        }
        match self.check() {
            // Gone after its reply: the reply stands, and the next command will find out.
            Ok(()) | Err(Fault { kind: FaultKind::Lost, .. }) => Ok(reply),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Checks that the upstream is there and waits for a command.
    pub(super) fn check(&mut self) -> Result<(), Fault> {
        self.wire.quiet()
    }

    /// What to make of the outcome of an exchange that began at `begun`.
    pub(super) fn heard(
        &self,
        exchange: Exchange,
        begun: Instant,
        outcome: Result<Reply, Fault>,
    ) -> Result<Reply, Failure> {
        let code = outcome.as_ref().map_or(0, |reply| reply.code().get());
        if let Ok(reply) = &outcome {
            tap::answered(code, || reply.on_the_wire());
        }
        let class = u8::try_from(code / 100).unwrap_or(0);
        self.metrics.reply(exchange.name(), class, begun.elapsed());
        let reply = outcome
            .map_err(|fault| Fault { detail: format!("{}: {}", exchange.name(), fault.detail), ..fault })?;
        if code == 421 {
            return Err(Failure::Refused(Refused::softened(exchange.step(), reply)));
        }
        if !exchange.is_answered_by(reply.code()) {
            let detail = format!("{}: answered with {}", exchange.name(), one_line(&reply));
            return Err(Fault::new(FaultKind::Unexpected, detail).into());
        }
        Ok(reply)
    }

    /// Says QUIT and waits a little for the answer, so that the upstream does not see a client that hangs up.
    pub(super) async fn quit(mut self) {
        self.timeouts.reply = self.timeouts.reply.min(QUIT);
        if let Err(failure) = self.ask(Exchange::Quit, "QUIT").await {
            tracing::debug!(%failure, "upstream did not say goodbye");
        }
    }

    /// Puts TLS under the connection; what was offered in plaintext is forgotten (RFC 3207 4.2).
    pub(super) async fn into_tls(self, tls: &ClientTls, host: &str) -> Result<Self, Fault> {
        let wire = self.wire.into_tls(tls, host, &self.metrics).await?;
        let (encrypted, verified_tls) = (true, tls.verifies());
        Ok(Self { wire, encrypted, verified_tls, extensions: Arc::default(), ..self })
    }

    async fn banner(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        let outcome = self.wire.reply(self.timeouts.reply).await;
        let reply = self.heard(Exchange::Banner, begun, outcome)?;
        if reply.is_completed() { Ok(()) } else { Err(Exchange::Banner.refused(reply)) }
    }

    /// Whether the upstream is ready for a handshake. Asked in plaintext only: what an EHLO under TLS says of STARTTLS is nothing.
    async fn start_tls(&mut self, required: bool) -> Result<bool, Failure> {
        if !self.extensions.starttls {
            let missing = || Fault::new(FaultKind::Tls, "TLS is required and STARTTLS is not offered");
            if required {
                self.metrics.starttls_missing("required");
                return Err(missing().into());
            }
            return Ok(false);
        }
        let reply = self.ask(Exchange::StartTls, "STARTTLS").await?;
        if required && !reply.is_completed() {
            self.metrics.starttls_missing("required");
            let detail = format!("TLS is required and STARTTLS was answered {}", one_line(&reply));
            return Err(Fault::new(FaultKind::Tls, detail).into());
        }
        Ok(reply.is_completed())
    }
}

/// How a connection is greeted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Greeting<'a> {
    /// What we call ourselves.
    pub(super) name: &'a str,
    /// What is asked for by way of TLS.
    pub(super) tls: &'a TlsMode,
    /// The name by which the upstream is known.
    pub(super) host: &'a str,
    /// Whether a server that does not know EHLO is greeted with HELO. Not where its answer may be one to something else.
    pub(super) helo_will_do: bool,
}

/// Whether a reply says that the command is not known (RFC 5321 4.2.2).
const fn is_unknown(code: Code) -> bool {
    matches!(code.get(), 500 | 502)
}

/// Tells those who listen what is said; of a login neither name nor password.
fn tell_said(exchange: Exchange, line: &str) {
    let secret = exchange == Exchange::Auth;
    tap::say(Speaker::Gatepost, if secret { "AUTH (exchange)" } else { line });
}

/// How long a goodbye may take.
const QUIT: std::time::Duration = std::time::Duration::from_secs(5);
