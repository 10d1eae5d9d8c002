//! DKIM (RFC 6376): which signatures are worth verifying, and what became of them.

use mail_auth::common::crypto::{CryptoError, HashAlgorithm};
use mail_auth::common::headers::Header;
use mail_auth::common::verify::VerifySignature;
use mail_auth::dkim::{Canonicalization as Canon, DkimError, Signature};
use mail_auth::{AuthenticatedMessage, DkimOutput, DkimResult, DnsError, Error};
use tokio::time::timeout;

use super::body::Canonicalization;
use super::book::Book;
use super::message::{Budget, Hashes};
use super::records::Strength;
use super::results::{Asked, CheckResult, Dkim};
use super::signature::{Flaw, judge};
use super::tags::{tag, text};
use super::{Checker, MAX_SIGNATURES};

/// No name that DNS could carry is longer.
const MAX_DOMAIN: usize = 253;
/// More of a selector is not reported.
const MAX_SELECTOR: usize = 128;
/// Nor of an identity: an address has no more octets (RFC 5321 4.5.3.1).
const MAX_IDENTITY: usize = 320;
/// Nor of `h=`.
const MAX_FIELD_NAMES: usize = 4096;
/// RFC 6008 4: so much of `b=` tells signatures apart.
const SIGNATURE_START: usize = 8;

/// A DKIM-Signature field.
#[derive(Debug)]
pub(super) struct Candidate<'h> {
    name: &'h [u8],
    value: &'h [u8],
    /// The signature, or why it is not worth verifying.
    pub(super) signature: Result<Signature, Flaw>,
}

/// The signatures of the header, from the top.
pub(super) fn candidates<'h>(
    message: &AuthenticatedMessage<'h>,
    now: u64,
    partial: CheckResult,
) -> Vec<Candidate<'h>> {
    let is = |name: &[u8], wanted: &str| name.trim_ascii_end().eq_ignore_ascii_case(wanted.as_bytes());
    let from = message.headers.iter().filter(|(name, _)| is(name, "from")).count();
    let fields =
        message.headers.iter().filter(|(name, _)| is(name, "dkim-signature")).take(MAX_SIGNATURES as usize);
    fields
        .map(|&(name, value)| Candidate { name, value, signature: judge(value, from, now, partial) })
        .collect()
}

/// Once the body is known: of the signatures that may match it, `max` are verified.
pub(super) fn select(candidates: &mut [Candidate<'_>], hashes: &Hashes, max: usize) {
    let mut left = max;
    for candidate in candidates {
        let Ok(signature) = &candidate.signature else {
            continue;
        };
        if hashes.of(body_canonicalization(signature)) != Some(&signature.bh) {
            candidate.signature = Err(Flaw { result: CheckResult::Fail, reason: "body_changed" });
        } else if left == 0 {
            candidate.signature = Err(Flaw { result: CheckResult::Neutral, reason: "too_many" });
        } else {
            left -= 1;
        }
    }
}

pub(super) const fn body_canonicalization(signature: &Signature) -> Canonicalization {
    match signature.cb {
        Canon::Simple => Canonicalization::Simple,
        Canon::Relaxed => Canonicalization::Relaxed,
    }
}

/// Where the signature's key is (RFC 6376 3.6.2.1), as our resolver writes names.
pub(super) fn key_name(signature: &Signature) -> String {
    let mut name = signature.domain_key().to_ascii_lowercase();
    name.pop();
    name
}

/// Makes of a parsed header the message that mail-auth is to verify: only these signatures, over these body hashes.
pub(super) fn prepare<'h>(
    message: &mut AuthenticatedMessage<'h>,
    candidates: &[Candidate<'h>],
    hashes: &Hashes,
) {
    message.errors.clear();
    message.dkim_headers = candidates
        .iter()
        .filter_map(|c| Some(Header::new(c.name, c.value, c.signature.as_ref().ok()?.clone())))
        .collect();
    message.body_hashes =
        [(Canon::Simple, Canonicalization::Simple), (Canon::Relaxed, Canonicalization::Relaxed)]
            .map(|(canon, form)| {
                (canon, HashAlgorithm::Sha256, 0, hashes.of(form).unwrap_or_default().to_vec())
            })
            .to_vec();
    if message.dkim_headers.iter().all(|header| header.header.ch == Canon::Relaxed) {
        // RFC 6376 3.4.2: space before the colon does not count. mail-auth would not find such a field.
        for (name, _) in &mut message.headers {
            *name = name.trim_ascii_end();
        }
    }
}

impl Checker {
    /// Verifies the signatures of a prepared message, in their order. `keys` is a book that reads keys.
    pub(super) async fn verify_dkim<'m>(
        &self,
        message: &'m AuthenticatedMessage<'m>,
        keys: &'m Book<'m>,
        budget: &Budget,
    ) -> Vec<DkimOutput<'m>> {
        let verification = async {
            loop {
                let outputs = self.mail_auth.verify_dkim(keys.parameters(message)).await;
                if !keys.learn().await {
                    return outputs;
                }
            }
        };
        match timeout(budget.of(self.settings.dkim_budget), verification).await {
            Ok(outputs) => outputs,
            Err(_) => message.dkim_headers.iter().map(|header| out_of_time(&header.header)).collect(),
        }
    }
}

fn out_of_time(signature: &Signature) -> DkimOutput<'_> {
    DkimOutput::temp_err(Error::Dns(DnsError::Resolver(String::from("out of time"))))
        .with_signature(signature)
}

/// One result for each candidate. `outputs` are those of the candidates without a flaw; `key` tells the strength of the key at a
/// name, and how it was looked up.
pub(super) fn results(
    candidates: &[Candidate<'_>],
    outputs: &[DkimOutput<'_>],
    key: impl Fn(&str) -> (Strength, Vec<Asked>),
) -> Vec<Dkim> {
    let mut outputs = outputs.iter();
    candidates
        .iter()
        .map(|candidate| match &candidate.signature {
            Err(flaw) => candidate.describe(flaw.result, flaw.reason),
            Ok(signature) => {
                let (result, reason) = outputs.next().map_or((CheckResult::TempError, "key_lookup"), outcome);
                let (Strength { bits, refused }, lookups) = key(&key_name(signature));
                let (result, reason) =
                    if refused { (CheckResult::Policy, "key_size") } else { (result, reason) };
                Dkim { bits, lookups, ..candidate.describe(result, reason) }
            }
        })
        .collect()
}

impl Candidate<'_> {
    fn describe(&self, result: CheckResult, reason: &'static str) -> Dkim {
        let field = |name, max| cut(tag(self.value, name).map(text).unwrap_or_default(), max);
        let time = |name| field(name, MAX_SELECTOR).parse().unwrap_or_default();
        let domain = self.signature.as_ref().map(|signature| signature.d.clone());
        let domain = domain.unwrap_or_else(|_| field("d", MAX_DOMAIN).to_lowercase());
        let identity = Some(field("i", MAX_IDENTITY)).filter(|identity| !identity.is_empty());
        let fields = field("h", MAX_FIELD_NAMES).to_ascii_lowercase();
        Dkim {
            result,
            identity: identity.unwrap_or_else(|| format!("@{domain}")),
            domain,
            canonicalization: canonicalization(&field("c", MAX_SELECTOR)),
            fields: fields.split(':').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            signed_at: time("t"),
            expires_at: time("x"),
            lookups: Vec::new(),
            selector: field("s", MAX_SELECTOR),
            algorithm: algorithm(&field("a", MAX_SELECTOR)),
            bits: 0,
            signature: field("b", SIGNATURE_START),
            reason,
        }
    }
}

fn outcome(output: &DkimOutput<'_>) -> (CheckResult, &'static str) {
    match output.result() {
        DkimResult::Pass => (CheckResult::Pass, ""),
        DkimResult::None => (CheckResult::None, ""),
        DkimResult::Fail(error) => (CheckResult::Fail, reason(error)),
        DkimResult::Neutral(error) => (CheckResult::Neutral, reason(error)),
        DkimResult::PermError(error) => (CheckResult::PermError, reason(error)),
        DkimResult::TempError(error) => (CheckResult::TempError, reason(error)),
    }
}

/// What mail-auth found wrong, in the words of [`Dkim::REASONS`].
pub(super) const fn reason(error: &Error) -> &'static str {
    match error {
        Error::Dkim(DkimError::FailedBodyHashMatch) => "body_changed",
        Error::Dkim(DkimError::FailedAuidMatch) => "identity",
        Error::Dkim(DkimError::RevokedPublicKey) => "key_revoked",
        Error::Dkim(DkimError::UnsupportedAlgorithm) => "algorithm",
        Error::Crypto(CryptoError::IncompatibleAlgorithms)
        | Error::Dkim(DkimError::UnsupportedKeyType)
        | Error::Dns(DnsError::InvalidRecordType) => "key_unusable",
        Error::Crypto(_) => "signature_mismatch",
        Error::Dns(DnsError::RecordNotFound(_)) => "no_key",
        Error::Dns(DnsError::Resolver(_)) => "key_lookup",
        _ => "syntax",
    }
}

/// `c=` with both its halves, which may be left out (RFC 6376 3.5).
fn canonicalization(value: &str) -> String {
    let value = value.to_ascii_lowercase();
    match value.split_once('/') {
        Some(_) => value,
        None if value.is_empty() => "simple/simple".to_owned(),
        None => value + "/simple",
    }
}

fn algorithm(name: &str) -> &'static str {
    const KNOWN: [&str; 3] = ["rsa-sha256", "ed25519-sha256", "rsa-sha1"];
    KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(name)).unwrap_or_default()
}

fn cut(mut text: String, max: usize) -> String {
    text.truncate(text.floor_char_boundary(max));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flawed_signatures_are_described_too() {
        const GOOD: &str = "v=1; a=rsa-sha256; c=relaxed; d=example.org; s=sel; h=From: to; bh=AAAA; b=BBBBCCCCDDDD; t=100; x=200";
        let value = format!("{GOOD}; l=5");
        let candidate = Candidate {
            name: b"",
            value: value.as_bytes(),
            signature: judge(value.as_bytes(), 1, 0, CheckResult::Policy),
        };
        let dkim = &results(&[candidate], &[], |_| (Strength::default(), Vec::new()))[0];
        assert_eq!((dkim.domain.as_str(), dkim.selector.as_str()), ("example.org", "sel"));
        assert_eq!((dkim.algorithm, dkim.signature.as_str()), ("rsa-sha256", "BBBBCCCC"));
        assert_eq!((dkim.result, dkim.bits), (CheckResult::Policy, 0));
        assert_eq!(
            (dkim.identity.as_str(), dkim.canonicalization.as_str()),
            ("@example.org", "relaxed/simple")
        );
        assert_eq!(
            (dkim.fields.join(" "), dkim.signed_at, dkim.expires_at),
            ("from to".to_owned(), 100, 200)
        );
    }
}
