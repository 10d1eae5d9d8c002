//! What the checks found: plain values, free of the library that found them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::serial::{Word, micros, word};

/// The result of one check, in the words of RFC 8601 2.7.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckResult {
    /// The check was not applicable: no record, no signature.
    #[default]
    None,
    /// It passed.
    Pass,
    /// It failed.
    Fail,
    /// SPF only: probably not authorised.
    SoftFail,
    /// There is something, but it says nothing (SPF `?all`, a signature that does not count).
    Neutral,
    /// DKIM only: a signature that may be good, but is not of the kind that we accept.
    Policy,
    /// DNS or another resource failed for now.
    TempError,
    /// The record, signature or message cannot be interpreted.
    PermError,
}

impl CheckResult {
    /// Every result.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Pass,
        Self::Fail,
        Self::SoftFail,
        Self::Neutral,
        Self::Policy,
        Self::TempError,
        Self::PermError,
    ];

    /// The word that scripts, metrics and `Authentication-Results` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::Neutral => "neutral",
            Self::Policy => "policy",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

impl fmt::Display for CheckResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a name of the client's leads back to its address (RFC 8601 2.7.3 and 3).
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Iprev {
    /// `none`, `pass`, `fail` or `temperror`.
    pub result: CheckResult,
    /// With `pass` the names that lead back, at least one; else the names that the address has, which need not be the
    /// client's. At most ten, in lower case, and whatever the owner of the reverse zone chose to write.
    pub names: Vec<String>,
}

impl Iprev {
    /// The client's name, if it has one that leads back to it.
    pub fn verified(&self) -> Option<&str> {
        self.names.first().filter(|_| self.result == CheckResult::Pass).map(String::as_str)
    }
}

/// SPF for one identity (RFC 7208).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spf {
    /// The result.
    pub result: CheckResult,
    /// The domain that was asked, in lower case; empty when there was none to ask.
    pub domain: String,
    /// The record that was found, as published; empty when there was none.
    pub record: String,
    /// The directive that decided, as published (`-all`, `ip4:192.0.2.0/24`); empty when none did.
    pub mechanism: String,
    /// About how many addresses of the client's family the records that were read let send (IPv6 in networks of 64 bits): their own
    /// `ip4`, `ip6`, `a`, `mx` and `all` with their prefixes, each counted for itself. At most 2^32.
    pub breadth: u64,
    /// What was asked of DNS.
    pub lookups: Vec<Asked>,
    /// What the domain says about a `fail` in its own words (RFC 7208 6.2): printable ASCII, at most 256 octets. Text of a
    /// stranger's.
    pub explanation: String,
    /// The same without the sender's local part, where that is in it.
    #[serde(skip)]
    pub explanation_less: Option<Box<str>>,
}

/// A look-up that a check made.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// `a`, `aaaa`, `mx`, `txt` or `ptr`.
    #[serde(deserialize_with = "word::deserialize")]
    pub kind: Word,
    /// The name, at most 256 octets of it.
    pub name: String,
    /// The same without the sender's local part, where a macro has put that into it (RFC 7208 7.2).
    #[serde(skip)]
    pub name_less: Option<Box<str>>,
    /// `ok`, `none`, `nxdomain` or `error`.
    #[serde(deserialize_with = "word::deserialize")]
    pub result: Word,
    /// The beginning of what came, or which error. Text of a stranger's.
    pub answer: String,
    /// How long it took; zero for what was known already. Look-ups made at the same time count together.
    #[serde(rename = "took_us", with = "micros")]
    pub took: Duration,
}

/// One DKIM signature (RFC 6376).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dkim {
    /// The result.
    pub result: CheckResult,
    /// `d=`, in lower case.
    pub domain: String,
    /// `s=`.
    pub selector: String,
    /// For whom it was signed: `i=`, or `@` and the domain where that is not said (RFC 6376 3.5).
    pub identity: String,
    /// `c=` of header and body, such as `relaxed/simple`.
    pub canonicalization: String,
    /// The fields that it covers, in lower case: `h=`, at most 4096 octets of it.
    pub fields: Vec<String>,
    /// When it was signed, in seconds since 1970: `t=`; 0 where that is not said.
    pub signed_at: u64,
    /// When it expires, likewise: `x=`.
    pub expires_at: u64,
    /// `a=`, such as `rsa-sha256`; empty when it is none that we know.
    #[serde(deserialize_with = "word::deserialize")]
    pub algorithm: Word,
    /// How many bits the key has: the modulus of RSA, 256 of Ed25519; 0 where no key was looked at.
    pub bits: u16,
    /// The first characters of `b=`, which tell signatures apart (RFC 6008).
    pub signature: String,
    /// Why it did not pass: one of [`REASONS`](Self::REASONS); empty when it did.
    #[serde(deserialize_with = "word::deserialize")]
    pub reason: Word,
    /// What was asked of DNS: its key, if that was worth asking for.
    pub lookups: Vec<Asked>,
}

impl Dkim {
    /// Every reason why a signature does not pass. A closed set, so that scripts can compare and metrics can count.
    pub const REASONS: [&'static str; 17] = [
        // The field.
        "syntax",
        "duplicate_tag",
        "algorithm",
        "query_method",
        "from_not_signed",
        "several_from",
        "partial_body",
        "expired",
        "too_many",
        // Its match with the message.
        "body_changed",
        "signature_mismatch",
        "identity",
        // The key.
        "no_key",
        "key_unusable",
        "key_size",
        "key_revoked",
        "key_lookup",
    ];

    /// The reason as a label for metrics; `none` when there is none.
    pub const fn reason_label(&self) -> &'static str {
        if self.reason.is_empty() { "none" } else { self.reason }
    }
}

/// What a DMARC record asks for.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DmarcPolicy {
    /// `none`, and also "no record".
    #[default]
    None,
    /// `quarantine`.
    Quarantine,
    /// `reject`.
    Reject,
}

impl DmarcPolicy {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::None, Self::Quarantine, Self::Reject];

    /// The word in the record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}

/// DMARC for the domain of the From field (RFC 9989).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dmarc {
    /// `pass`, `fail`, `none`, `temperror` or `permerror`. `permerror` also when the message has no author's domain to ask
    /// about: no From field or more than one, no address in it or more than one, or no usable domain in the address.
    pub result: CheckResult,
    /// What the record asks for; one step milder if it says `t=y` (RFC 9989 4.7).
    pub policy: DmarcPolicy,
    /// The author's domain, in lower case; empty when From has none or several.
    pub domain: String,
    /// The record says `t=y`.
    pub testing: bool,
    /// What the result stands on: one of [`REASONS`](Self::REASONS); empty when nothing was checked.
    #[serde(deserialize_with = "word::deserialize")]
    pub reason: Word,
    /// The record that counts, as published; empty when there is none.
    pub record: String,
    /// What was asked of DNS: for that record, and for who belongs together.
    pub lookups: Vec<Asked>,
}

impl Dmarc {
    /// Every reason. A closed set, so that scripts can compare.
    pub const REASONS: [&'static str; 10] = [
        // Passed.
        "dkim",
        "spf",
        "dkim_and_spf",
        // Failed: something passed, but for another domain; or nothing did.
        "not_aligned",
        "nothing_passed",
        // Nothing to check against.
        "no_record",
        "lookup",
        // Nobody to check for.
        "no_author",
        "several_authors",
        "ambiguous_author",
    ];
}

/// The chain of those who handled a message before (RFC 8617).
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArcChain {
    /// `none`, `pass`, `fail` or `temperror`.
    pub result: CheckResult,
    /// Why it did not pass: one of [`REASONS`](Self::REASONS); empty when it did, or when there is no chain.
    #[serde(deserialize_with = "word::deserialize")]
    pub reason: Word,
    /// The domains of the seals, the first sealer's first, in lower case; empty unless the seals were looked at.
    pub sealers: Vec<String>,
    /// It passed, and every sealer is one that the operator trusts.
    pub trusted: bool,
    /// What the first sealer says that DMARC said to it, in lower case; empty unless the chain passed and it says so.
    pub original_dmarc: String,
    /// What was asked of DNS: the sealers' keys.
    pub lookups: Vec<Asked>,
}

impl ArcChain {
    /// Every reason why a chain does not pass.
    pub const REASONS: [&'static str; 15] = [
        "incomplete",
        // Also when the checks before it have used up the look-ups that a message may cost.
        "too_long",
        "syntax",
        "instance",
        "chain_failed",
        "duplicate_tag",
        "algorithm",
        "partial_body",
        "from_not_signed",
        "expired",
        "body_changed",
        "signature_mismatch",
        "no_key",
        "key_unusable",
        "key_lookup",
    ];
}

/// What the checks found about one message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageResults {
    /// The DKIM signatures in the order of the header, as many as are looked at.
    pub dkim: Vec<Dkim>,
    /// DMARC.
    pub dmarc: Dmarc,
    /// ARC.
    pub arc: ArcChain,
    /// What it takes to seal the message; `None` if that is not wanted, or no use because its chain is broken.
    #[serde(skip)]
    pub sealable: Option<Sealable>,
}

/// A message that can be sealed (RFC 8617 5.1).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sealable {
    /// SHA-256 of the body in its relaxed form.
    pub body_hash: Vec<u8>,
    /// How many sets its chain has, which passed.
    pub sets: u32,
}
