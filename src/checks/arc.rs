//! ARC (RFC 8617): whether those who handled the message before vouch for one another, and for what the first of them saw.
//!
//! mail-auth verifies the signatures; which chains are worth it is decided here, on the fields themselves.

use mail_auth::arc::ChainValidation;
use mail_auth::common::crypto::Algorithm;
use mail_auth::{ArcOutput, AuthenticatedMessage, DkimResult, Error};
use tokio::time::timeout;

use super::Checker;
use super::authres::AuthenticationResults;
use super::body::Canonicalization;
use super::book::Book;
use super::message::{Budget, Hashes};
use super::names::is_domain;
use super::results::{ArcChain, CheckResult};
use super::signature::MAX_NAMES;
use super::tags::{has_duplicates, tag};

/// RFC 8617 4.2.1 allows 50 sets; each costs a query and two signatures, and no mail comes through so many hands.
const MAX_SETS: usize = 10;

/// A chain as far as its fields show it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Chain {
    /// There is none.
    Absent,
    /// It says nothing, whatever its signatures say; why, one of [`ArcChain::REASONS`].
    Broken(&'static str),
    /// Worth verifying.
    Whole,
}

/// The form in which the newest set wants the body.
pub(super) fn body_canonicalization(message: &AuthenticatedMessage<'_>) -> Option<Canonicalization> {
    use mail_auth::dkim::Canonicalization as Canon;
    let newest = &message.ams_headers.last()?.header;
    Some(match newest.cb {
        Canon::Simple => Canonicalization::Simple,
        Canon::Relaxed => Canonicalization::Relaxed,
    })
}

/// Where the keys of a chain are that is worth verifying, as our resolver writes names.
pub(super) fn key_names(message: &AuthenticatedMessage<'_>, now: u64) -> Vec<String> {
    if !Chain::of(message, now).is_whole() {
        return Vec::new();
    }
    let key = |selector: &str, domain: &str| format!("{selector}._domainkey.{domain}").to_ascii_lowercase();
    let seals = message.as_headers.iter().map(|seal| key(&seal.header.s, &seal.header.d));
    seals.chain(message.ams_headers.last().map(|newest| key(&newest.header.s, &newest.header.d))).collect()
}

impl Chain {
    /// Looks at the sets of `message`; what `prepare` of [`super::dkim`] does to it makes no difference.
    pub(super) fn of(message: &AuthenticatedMessage<'_>, now: u64) -> Self {
        let fields = [b"arc-seal".as_slice(), b"arc-message-signature", b"arc-authentication-results"];
        let counts = fields.map(|field| {
            message.headers.iter().filter(|(name, _)| name.trim_ascii().eq_ignore_ascii_case(field)).count()
        });
        let understood = [message.as_headers.len(), message.ams_headers.len(), message.aar_headers.len()];
        match counts {
            [0, 0, 0] => Self::Absent,
            [sets, _, _] if counts != [sets; 3] => Self::Broken("incomplete"),
            [sets, ..] if sets > MAX_SETS => Self::Broken("too_long"),
            _ if counts != understood || message.has_arc_errors => Self::Broken("syntax"),
            _ => flaw(message, now).map_or(Self::Whole, Self::Broken),
        }
    }

    /// Whether the message's own hash is worth computing.
    pub(super) fn is_whole(self) -> bool {
        self == Self::Whole
    }
}

/// What is wrong with sets that are complete and could be read.
fn flaw(message: &AuthenticatedMessage<'_>, now: u64) -> Option<&'static str> {
    let sets = message.as_headers.iter().zip(&message.ams_headers).zip(&message.aar_headers);
    for (position, ((seal, signature), results)) in sets.enumerate() {
        let instance = u32::try_from(position + 1).unwrap_or(u32::MAX);
        let wanted = if position == 0 { ChainValidation::None } else { ChainValidation::Pass };
        if [seal.header.i, signature.header.i, results.header.i] != [instance; 3] {
            return Some("instance");
        }
        if seal.header.cv != wanted {
            return Some("chain_failed");
        }
        if has_duplicates(seal.value) || has_duplicates(signature.value) {
            return Some("duplicate_tag");
        }
        if seal.header.a == Algorithm::RsaSha1 || signature.header.a == Algorithm::RsaSha1 {
            return Some("algorithm");
        }
        let names = [&seal.header.d, &seal.header.s, &signature.header.d, &signature.header.s];
        if !names.into_iter().all(|name| is_domain(name)) {
            return Some("syntax");
        }
    }
    newest_flaw(message, now)
}

/// What is wrong with the one signature over the message as it came to us.
fn newest_flaw(message: &AuthenticatedMessage<'_>, now: u64) -> Option<&'static str> {
    let newest = message.ams_headers.last()?;
    let signs = |name: &str| newest.header.h.iter().any(|signed| signed.eq_ignore_ascii_case(name));
    if tag(newest.value, "l").is_some() {
        return Some("partial_body");
    }
    if !signs("from") {
        return Some("from_not_signed");
    }
    // RFC 8617 4.1.2
    if signs("arc-seal") {
        return Some("syntax");
    }
    if newest.header.h.len() > MAX_NAMES {
        return Some("too_long");
    }
    let expired = newest.header.x != 0 && (newest.header.x <= newest.header.t || newest.header.x < now);
    expired.then_some("expired")
}

impl Checker {
    /// Verifies the chain of a prepared message.
    pub(super) async fn arc<'m>(
        &self,
        message: &'m AuthenticatedMessage<'m>,
        hashes: &Hashes,
        keys: &'m Book<'m>,
        budget: &Budget,
    ) -> ArcChain {
        if !self.settings.arc {
            return ArcChain::default();
        }
        match Chain::of(message, self.clock.unix_seconds()) {
            Chain::Absent => ArcChain::default(),
            Chain::Broken(reason) => ArcChain { result: CheckResult::Fail, reason, ..ArcChain::default() },
            Chain::Whole if !is_of_this_body(message, hashes) => {
                ArcChain { result: CheckResult::Fail, reason: "body_changed", ..ArcChain::default() }
            }
            Chain::Whole => self.verify_arc(message, keys, budget).await,
        }
    }

    async fn verify_arc<'m>(
        &self,
        message: &'m AuthenticatedMessage<'m>,
        keys: &'m Book<'m>,
        budget: &Budget,
    ) -> ArcChain {
        let verification = async {
            loop {
                let output = self.mail_auth.verify_arc(keys.parameters(message)).await;
                if !keys.learn().await {
                    return output;
                }
            }
        };
        let output = timeout(budget.of(self.settings.dkim_budget), verification).await;
        let (result, reason) =
            output.map_or((CheckResult::TempError, "key_lookup"), |output| outcome(&output));
        let sealers: Vec<String> =
            message.as_headers.iter().map(|seal| seal.header.d.to_lowercase()).collect();
        let passed = result == CheckResult::Pass;
        let trusted = passed && sealers.iter().all(|sealer| self.trusts(sealer));
        let original_dmarc = if passed { first_dmarc(message) } else { String::new() };
        ArcChain { result, reason, sealers, trusted, original_dmarc, lookups: keys.asked() }
    }

    /// `example.org` is itself, `.example.org` everything below it.
    fn trusts(&self, sealer: &str) -> bool {
        self.settings.trusted_sealers.iter().any(|trusted| match trusted.strip_prefix('.') {
            Some(above) => sealer.strip_suffix(above).is_some_and(|below| below.ends_with('.')),
            None => sealer == trusted,
        })
    }
}

/// mail-auth compares too, but takes it for granted that the hash is there.
fn is_of_this_body(message: &AuthenticatedMessage<'_>, hashes: &Hashes) -> bool {
    let newest = message.ams_headers.last().map(|newest| newest.header.bh.as_slice());
    let hash = body_canonicalization(message).and_then(|form| hashes.of(form));
    newest.is_some() && newest == hash
}

fn outcome(output: &ArcOutput<'_>) -> (CheckResult, &'static str) {
    match output.result() {
        DkimResult::Pass => (CheckResult::Pass, ""),
        DkimResult::None => (CheckResult::None, ""),
        DkimResult::TempError(_) => (CheckResult::TempError, "key_lookup"),
        DkimResult::Fail(error) | DkimResult::Neutral(error) | DkimResult::PermError(error) => {
            (CheckResult::Fail, reason(error))
        }
    }
}

/// In the words of [`ArcChain::REASONS`].
const fn reason(error: &Error) -> &'static str {
    match error {
        Error::Dns(_) => "no_key",
        Error::Dkim(_) => "key_unusable",
        _ => "signature_mismatch",
    }
}

/// What the first sealer says of DMARC, as it says it; empty when it does not.
fn first_dmarc(message: &AuthenticatedMessage<'_>) -> String {
    let value = message.aar_headers.first().map(|results| String::from_utf8_lossy(results.value));
    let value = value.unwrap_or_default();
    // `i=1;` and then what an Authentication-Results field has.
    let results = value.split_once(';').map(|(_, results)| AuthenticationResults::parse(results));
    match results {
        Some(Ok(results)) => results.result_of("dmarc").to_owned(),
        _ => String::new(),
    }
}
