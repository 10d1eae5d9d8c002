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

/// RFC 8617 4.2.1. Each costs a query and a signature, and the newest one a signature more.
const MAX_SETS: usize = 50;
/// So many keys are looked up before it is known that the message is the one that was sealed: more than mail comes through hands.
const WARMED: usize = 10;

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

/// Where the keys of a chain are that is worth verifying, as our resolver writes names: the newest ones of a long chain.
pub(super) fn first_key_names(message: &AuthenticatedMessage<'_>, now: u64) -> Vec<String> {
    if Chain::of(message, now).is_whole() { key_names(message).take(WARMED).collect() } else { Vec::new() }
}

/// From the newest to the oldest.
fn key_names(message: &AuthenticatedMessage<'_>) -> impl Iterator<Item = String> {
    let key = |selector: &str, domain: &str| format!("{selector}._domainkey.{domain}").to_ascii_lowercase();
    let newest = message.ams_headers.last().map(|newest| key(&newest.header.s, &newest.header.d));
    newest
        .into_iter()
        .chain(message.as_headers.iter().rev().map(move |seal| key(&seal.header.s, &seal.header.d)))
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
        let verification = self.verify_sets(message, keys);
        let verified = timeout(budget.of(self.settings.dkim_budget), verification).await;
        let (result, reason) = verified.unwrap_or((CheckResult::TempError, "key_lookup"));
        let sealers: Vec<String> =
            message.as_headers.iter().map(|seal| seal.header.d.to_lowercase()).collect();
        let passed = result == CheckResult::Pass;
        let trusted = passed && sealers.iter().all(|sealer| self.trusts(sealer));
        let original_dmarc = if passed { first_dmarc(message) } else { String::new() };
        ArcChain { result, reason, sealers, trusted, original_dmarc, lookups: keys.asked() }
    }

    /// mail-auth begins with the newest signature, which is over the message itself, and then goes from sealer to sealer. So a chain that
    /// somebody put on top of another message costs one key; and once that signature holds, all keys are fetched together, or each
    /// would cost a run over all sets that have theirs.
    async fn verify_sets<'m>(
        &self,
        message: &'m AuthenticatedMessage<'m>,
        keys: &'m Book<'m>,
    ) -> (CheckResult, &'static str) {
        let mut run = 0_usize;
        loop {
            let output = self.mail_auth.verify_arc(keys.parameters(message)).await;
            if !keys.learn().await {
                let enough = keys.objection().is_none();
                return if enough { outcome(&output) } else { (CheckResult::Fail, "too_long") };
            }
            run += 1;
            if run == 2 {
                keys.prepare(key_names(message).collect()).await;
            }
        }
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
