//! What EHLO offers (RFC 5321 4.1.1.1): what the upstream can do and Gatepost can carry, and what Gatepost does itself.

use super::Session;
use super::inquiries::Inquiry;
use super::stage::{Reason, Refusal, Source};
use crate::smtp::extensions::{Extensions, FutureRelease, ServerLimits};
use crate::smtp::needs::Need;
use crate::smtp::xclient;

/// What EHLO offers beyond what the session does itself, and thereby which parameters MAIL and RCPT take. The caller keeps it
/// true to the upstream with [`Session::offer`](super::Session::offer). What is not offered is `false`, `None` or empty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Offers {
    /// STARTTLS, while there is no TLS yet.
    pub starttls: bool,
    /// The largest message in octets that both sides take (RFC 1870).
    pub size: Option<u64>,
    /// BODY=8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// BDAT (RFC 3030).
    pub chunking: bool,
    /// BODY=BINARYMIME (RFC 3030), only together with [`chunking`](Self::chunking).
    pub binary_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// The SASL mechanisms of AUTH (RFC 4954), in upper case.
    pub auth: Vec<String>,
    /// DELIVERBY (RFC 2852), perhaps with the shortest time in seconds.
    pub deliver_by: Option<Option<u32>>,
    /// MT-PRIORITY (RFC 6710), perhaps with the name of a profile.
    pub mt_priority: Option<Option<String>>,
    /// FUTURERELEASE (RFC 4865).
    pub future_release: Option<FutureRelease>,
    /// REQUIRETLS (RFC 8689). The session offers it under TLS only; the caller sees to the upstream's leg.
    pub require_tls: bool,
    /// LIMITS (RFC 9422): the upstream's; the session adds its own.
    pub limits: ServerLimits,
    /// VRFY and EXPN have an answer of the upstream's (RFC 5321 4.1.1.6, 4.1.1.7).
    pub vrfy: bool,
    /// See [`vrfy`](Self::vrfy).
    pub expn: bool,
}

impl Offers {
    /// What an upstream with these extensions lets a client do, as far as Gatepost carries it as it is. SIZE and STARTTLS are for
    /// the caller to fill in, and so is what Gatepost has a part in itself: CHUNKING, BINARYMIME, AUTH.
    pub fn carried(upstream: &Extensions) -> Self {
        Self {
            eight_bit_mime: upstream.eight_bit_mime,
            smtputf8: upstream.smtputf8 && upstream.eight_bit_mime,
            dsn: upstream.dsn,
            deliver_by: upstream.deliver_by,
            mt_priority: upstream.mt_priority.clone(),
            future_release: upstream.future_release.clone(),
            require_tls: upstream.require_tls,
            limits: upstream.limits,
            vrfy: upstream.vrfy,
            expn: upstream.expn,
            ..Self::default()
        }
    }

    /// # Errors
    /// The refusal of a command that needs what is not offered: never is a parameter dropped in silence.
    pub(super) fn meet(&self, need: Need) -> Result<(), Refusal> {
        if self.has(need) {
            return Ok(());
        }
        Err(Refusal { reply: need.reply(), reason: Reason::new(Source::Protocol, need.rule()) })
    }

    const fn has(&self, need: Need) -> bool {
        match need {
            Need::EightBitMime => self.eight_bit_mime,
            Need::BinaryMime => self.chunking && self.binary_mime,
            Need::SmtpUtf8 => self.smtputf8,
            Need::Dsn => self.dsn,
            Need::Auth => !self.auth.is_empty(),
            Need::DeliverBy => self.deliver_by.is_some(),
            Need::MtPriority => self.mt_priority.is_some(),
            Need::FutureRelease => self.future_release.is_some(),
            Need::RequireTls => self.require_tls,
        }
    }
}

impl Session {
    /// What `AUTH=` of MAIL is worth (RFC 4954 5): the word of a client that has authenticated itself. Anybody else's goes on as if it had
    /// known nobody.
    pub(super) fn submitter(&self, stated: Option<String>) -> Option<String> {
        stated.map(|submitter| if self.is_authenticated() { submitter } else { "<>".to_owned() })
    }

    /// Whether the client has authenticated itself.
    const fn is_authenticated(&self) -> bool {
        self.login.is_some()
    }

    /// Whether the open transaction may use UTF-8 in its commands (RFC 6531 3.4: each RCPT may, once MAIL said so).
    pub(super) fn speaks_utf8(&self) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| transaction.mail.params.smtputf8)
    }

    /// The lines of EHLO behind its first.
    pub(super) fn offered(&self) -> Vec<String> {
        let offers = &self.offers;
        let mut lines = Vec::new();
        let mut offer = |is_offered: bool, line: &str| {
            if is_offered {
                lines.push(line.to_owned());
            }
        };
        offer(true, "PIPELINING");
        offer(offers.size.is_some(), &format!("SIZE {}", offers.size.unwrap_or_default()));
        offer(offers.starttls && !self.secure, "STARTTLS");
        let auth = self.auth_offered();
        offer(auth.is_some(), auth.as_deref().unwrap_or_default());
        offer(true, "ENHANCEDSTATUSCODES");
        offer(offers.eight_bit_mime, "8BITMIME");
        offer(offers.smtputf8, "SMTPUTF8");
        offer(offers.dsn, "DSN");
        offer(offers.chunking, "CHUNKING");
        offer(offers.chunking && offers.binary_mime, "BINARYMIME");
        offer(offers.deliver_by.is_some(), &with_argument("DELIVERBY", offers.deliver_by.flatten()));
        let profile = offers.mt_priority.as_ref().and_then(Option::as_ref);
        offer(offers.mt_priority.is_some(), &with_argument("MT-PRIORITY", profile));
        let release = offers.future_release.as_ref();
        offer(release.is_some(), &with_argument("FUTURERELEASE", release));
        offer(offers.require_tls && self.secure, "REQUIRETLS");
        offer(true, &format!("LIMITS{}", self.limits()));
        offer(self.arrival.xclient && (self.secure || !self.terms.tls_required), xclient::OFFER);
        let inquiries = self.terms.inquiries;
        offer(offers.vrfy && inquiries.vrfy == Inquiry::Relay, "VRFY");
        offer(offers.expn && inquiries.expn == Inquiry::Relay, "EXPN");
        offer(inquiries.help != Inquiry::Off, "HELP");
        lines
    }

    /// The smaller ones of the upstream's limits and ours (RFC 9422 4).
    fn limits(&self) -> ServerLimits {
        let ours = &self.terms.limits;
        self.offers.limits.stricter(ServerLimits {
            mail_max: Some(ours.transactions.min(MAX_LIMIT)),
            rcpt_max: Some(u32::try_from(ours.recipients).unwrap_or(MAX_LIMIT).min(MAX_LIMIT)),
            rcpt_domain_max: None,
        })
    }
}

/// The largest number that a limit can be announced with (RFC 9422 3: six digits).
const MAX_LIMIT: u32 = 999_999;

fn with_argument(keyword: &str, argument: Option<impl std::fmt::Display>) -> String {
    argument.map_or_else(|| keyword.to_owned(), |argument| format!("{keyword} {argument}"))
}
