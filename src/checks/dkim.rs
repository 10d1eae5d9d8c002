//! DKIM (RFC 6376): which signatures are worth verifying, and what became of them.

use mail_auth::common::crypto::{Algorithm, CryptoError, HashAlgorithm};
use mail_auth::common::headers::Header;
use mail_auth::common::verify::VerifySignature;
use mail_auth::dkim::{Canonicalization as Canon, DkimError, Signature};
use mail_auth::{AuthenticatedMessage, DkimOutput, DkimResult, DnsError, Error};
use tokio::time::timeout;

use super::Checker;
use super::body::Canonicalization;
use super::book::Book;
use super::message::Hashes;
use super::names::ascii_domain;
use super::records::Strength;
use super::results::{CheckResult, Dkim};
use super::tags::{has_duplicates, has_item, tag, text};

/// Fields beyond that are ignored: nobody who means well signs so often.
const MAX_FIELDS: usize = 20;
/// No name that DNS could carry is longer.
const MAX_DOMAIN: usize = 253;
/// More of a selector is not reported.
const MAX_SELECTOR: usize = 128;
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

/// Why a signature does not count, whatever its key says.
#[derive(Debug)]
pub(super) struct Flaw {
    result: CheckResult,
    /// One of [`Dkim::REASONS`].
    reason: &'static str,
}

/// The signatures of the header, from the top.
pub(super) fn candidates<'h>(
    message: &AuthenticatedMessage<'h>,
    now: u64,
    partial: CheckResult,
) -> Vec<Candidate<'h>> {
    let is = |name: &[u8], wanted: &str| name.trim_ascii_end().eq_ignore_ascii_case(wanted.as_bytes());
    let has_from = message.headers.iter().any(|(name, _)| is(name, "from"));
    let fields = message.headers.iter().filter(|(name, _)| is(name, "dkim-signature")).take(MAX_FIELDS);
    fields
        .map(|&(name, value)| Candidate { name, value, signature: judge(value, has_from, now, partial) })
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
    ) -> Vec<DkimOutput<'m>> {
        let verification = async {
            loop {
                let outputs = self.mail_auth.verify_dkim(keys.parameters(message)).await;
                if !keys.learn().await {
                    return outputs;
                }
            }
        };
        match timeout(self.settings.dkim_budget, verification).await {
            Ok(outputs) => outputs,
            Err(_) => message.dkim_headers.iter().map(|header| out_of_time(&header.header)).collect(),
        }
    }
}

fn out_of_time(signature: &Signature) -> DkimOutput<'_> {
    DkimOutput::temp_err(Error::Dns(DnsError::Resolver(String::from("out of time"))))
        .with_signature(signature)
}

/// One result for each candidate. `outputs` are those of the candidates without a flaw.
pub(super) fn results(
    candidates: &[Candidate<'_>],
    outputs: &[DkimOutput<'_>],
    strength: impl Fn(String) -> Strength,
) -> Vec<Dkim> {
    let mut outputs = outputs.iter();
    candidates
        .iter()
        .map(|candidate| match &candidate.signature {
            Err(flaw) => candidate.describe(flaw.result, flaw.reason),
            Ok(signature) => {
                let (result, reason) = outputs.next().map_or((CheckResult::TempError, "key_lookup"), outcome);
                let Strength { bits, refused } = strength(key_name(signature));
                let (result, reason) =
                    if refused { (CheckResult::Policy, "key_size") } else { (result, reason) };
                Dkim { bits, ..candidate.describe(result, reason) }
            }
        })
        .collect()
}

impl Candidate<'_> {
    fn describe(&self, result: CheckResult, reason: &'static str) -> Dkim {
        let field = |name, max| cut(tag(self.value, name).map(text).unwrap_or_default(), max);
        let domain = self.signature.as_ref().map(|signature| signature.d.clone());
        Dkim {
            result,
            domain: domain.unwrap_or_else(|_| field("d", MAX_DOMAIN).to_lowercase()),
            selector: field("s", MAX_SELECTOR),
            algorithm: algorithm(&field("a", MAX_SELECTOR)),
            bits: 0,
            signature: field("b", SIGNATURE_START),
            reason,
        }
    }
}

/// Decides what can be decided without body and key, and where mail-auth would be too generous.
fn judge(value: &[u8], has_from: bool, now: u64, partial: CheckResult) -> Result<Signature, Flaw> {
    let broken = |reason| Err(Flaw { result: CheckResult::PermError, reason });
    if has_duplicates(value) {
        return broken("duplicate_tag");
    }
    let mut signature = match Signature::parse(value) {
        Ok(signature) => signature,
        Err(error) => return broken(reason(&error)),
    };
    if signature.v != 1 || use_a_labels(&mut signature).is_none() {
        return broken("syntax");
    }
    if signature.a == Algorithm::RsaSha1 {
        // RFC 8301 3.1
        return broken("algorithm");
    }
    if tag(value, "q").is_some_and(|methods| !has_item(methods, "dns/txt")) {
        return broken("query_method");
    }
    if !has_from || !signature.h.iter().any(|name| name.eq_ignore_ascii_case("from")) {
        // RFC 6376 5.4
        return broken("from_not_signed");
    }
    if tag(value, "l").is_some() {
        // RFC 6376 8.2: anyone can append to such a message.
        return Err(Flaw { result: partial, reason: "partial_body" });
    }
    if signature.x != 0 && (signature.x <= signature.t || signature.x < now) {
        return Err(Flaw { result: CheckResult::Fail, reason: "expired" });
    }
    // Judged by our clock already; and no look-ups for reports (RFC 6651) or third parties (RFC 6541).
    signature.x = 0;
    signature.r = false;
    signature.atps = None;
    Ok(signature)
}

/// Writes domain and selector as DNS asks for them (RFC 8616 5). `None` if one of them is none that DNS could carry: then nothing is
/// ever asked for.
fn use_a_labels(signature: &mut Signature) -> Option<()> {
    signature.d = ascii_domain(&signature.d)?;
    signature.s = ascii_domain(&signature.s)?;
    if let Some((local, domain)) = signature.i.rsplit_once('@') {
        signature.i = format!("{local}@{}", ascii_domain(domain)?);
    }
    Some(())
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
const fn reason(error: &Error) -> &'static str {
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

    const GOOD: &str = "v=1; a=rsa-sha256; d=example.org; s=sel; h=from:to; bh=AAAA; b=BBBBCCCCDDDD; t=100";

    fn result(value: &str) -> CheckResult {
        judge(value.as_bytes(), true, 1000, CheckResult::Neutral)
            .map_or_else(|flaw| flaw.result, |_| CheckResult::Pass)
    }

    #[test]
    fn signatures_worth_verifying() {
        use CheckResult::{Fail, Neutral, Pass, PermError};
        for (value, expected) in [
            (GOOD.to_owned(), Pass),
            (format!("{GOOD}; x=2000"), Pass),
            (format!("{GOOD}; x=999"), Fail),
            (format!("{GOOD}; x=100"), Fail),
            (format!("{GOOD}; l=0"), Neutral),
            (format!("{GOOD}; l=5"), Neutral),
            (format!("{GOOD}; q=dns/txt"), Pass),
            (format!("{GOOD}; q=http"), PermError),
            (format!("{GOOD}; d=other.org"), PermError),
            (GOOD.replace("s=sel", "s=a.b-c._d"), Pass),
            (GOOD.replace("s=sel", "s=a..b"), PermError),
            (GOOD.replace("s=sel", "s="), PermError),
            (GOOD.replace("s=sel", "s=a/b"), PermError),
            (GOOD.replace("s=sel", "s=a\0b"), PermError),
            (GOOD.replace("s=sel", "s=sel._domainkey.bank.example."), PermError),
            (GOOD.replace("s=sel", &format!("s={}", "a".repeat(64))), PermError),
            (GOOD.replace("d=example.org", "d=example.org'"), PermError),
            (GOOD.replace("d=example.org", "d=(example.org"), PermError),
            (GOOD.replace("d=example.org", "d=example.org."), PermError),
            (GOOD.replace("d=example.org", "d=b\u{fc}cher.example"), Pass),
            (format!("{GOOD}; i=@example.org"), Pass),
            (format!("{GOOD}; i=a@(example.org"), PermError),
            (GOOD.replace("from:to", "to:subject"), PermError),
            (GOOD.replace("from:to", "to : From"), Pass),
            (GOOD.replace("v=1; ", ""), PermError),
            (GOOD.replace("v=1", "v=2"), PermError),
            (GOOD.replace("rsa-sha256", "rsa-sha1"), PermError),
            (GOOD.replace("rsa-sha256", "dsa"), PermError),
            (GOOD.replace("bh=AAAA; ", ""), PermError),
            (String::new(), PermError),
        ] {
            assert_eq!(result(&value), expected, "{value}");
        }
    }

    #[test]
    fn reasons_are_a_closed_set() {
        for value in
            ["", "d=a; d=b", &format!("{GOOD}; l=1"), &format!("{GOOD}; q=x"), &GOOD.replace("256", "1")]
        {
            let flaw = judge(value.as_bytes(), true, 0, CheckResult::Policy).unwrap_err();
            assert!(Dkim::REASONS.contains(&flaw.reason), "{value}: {}", flaw.reason);
        }
    }

    #[test]
    fn flawed_signatures_are_described_too() {
        let value = format!("{GOOD}; l=5");
        let candidate = Candidate {
            name: b"",
            value: value.as_bytes(),
            signature: judge(value.as_bytes(), true, 0, CheckResult::Policy),
        };
        let dkim = &results(&[candidate], &[], |_| Strength::default())[0];
        assert_eq!((dkim.domain.as_str(), dkim.selector.as_str()), ("example.org", "sel"));
        assert_eq!((dkim.algorithm, dkim.signature.as_str()), ("rsa-sha256", "BBBBCCCC"));
        assert_eq!((dkim.result, dkim.bits), (CheckResult::Policy, 0));
    }
}
