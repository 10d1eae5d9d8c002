//! What SPF, DKIM, DMARC and ARC found.

use super::families::Families;
use super::family::{Counter, Resolved};

/// Results by RFC 8601 2.7.
const SPF_RESULTS: [&str; 7] = ["none", "pass", "fail", "softfail", "neutral", "temperror", "permerror"];
const DKIM_RESULTS: [&str; 7] = ["none", "pass", "fail", "neutral", "policy", "temperror", "permerror"];
/// Why a signature does not pass, with the result that it then has.
const DKIM_FLAWS: [(&str, &str); 17] = [
    ("permerror", "syntax"),
    ("permerror", "duplicate_tag"),
    ("permerror", "algorithm"),
    ("permerror", "query_method"),
    ("permerror", "from_not_signed"),
    ("permerror", "several_from"),
    ("neutral", "partial_body"),
    ("fail", "expired"),
    ("neutral", "too_many"),
    ("fail", "body_changed"),
    ("fail", "signature_mismatch"),
    ("permerror", "identity"),
    ("permerror", "no_key"),
    ("permerror", "key_unusable"),
    ("policy", "key_size"),
    ("permerror", "key_revoked"),
    ("temperror", "key_lookup"),
];
const ARC_RESULTS: [&str; 4] = ["none", "pass", "fail", "temperror"];
const DMARC_RESULTS: [&str; 5] = ["none", "pass", "fail", "temperror", "permerror"];

/// What a DMARC record can ask for, and what can be done with a message that failed.
const DMARC_POLICIES: [&str; 3] = ["none", "quarantine", "reject"];

/// Handles for the results of checks.
#[derive(Clone, Debug)]
pub struct CheckMetrics {
    families: Families,
    spf: Resolved<(&'static str, &'static str), Counter>,
}

impl CheckMetrics {
    /// Handles that nobody scrapes.
    pub fn detached() -> Self {
        Self::new(&Families::detached())
    }

    pub(super) fn new(families: &Families) -> Self {
        for result in DKIM_RESULTS {
            families.dkim_results_total.with([result, "none"]);
        }
        for (result, reason) in DKIM_FLAWS {
            families.dkim_results_total.with([result, reason]);
        }
        for (result, policy) in pairs(&DMARC_RESULTS, &DMARC_POLICIES) {
            families.dmarc_results_total.with([result, policy, "none"]);
        }
        for disposition in ["quarantine", "reject"] {
            families.dmarc_results_total.with(["fail", disposition, disposition]);
        }
        for (result, trusted) in pairs(&ARC_RESULTS, &["false"]).chain([("pass", "true")]) {
            families.arc_results_total.with([result, trusted]);
        }
        let spf = Resolved::new(pairs(&["helo", "mailfrom"], &SPF_RESULTS), |(identity, result)| {
            families.spf_results_total.with([identity, result])
        });
        Self { families: families.clone(), spf }
    }

    /// An SPF result; `identity` is `helo` or `mailfrom`.
    pub fn spf(&self, identity: &'static str, result: &'static str) {
        match self.spf.find((identity, result)) {
            Some(counter) => counter.inc(),
            None => self.families.spf_results_total.with([identity, result]).inc(),
        }
    }

    /// The result of one signature, or `none` of a message without any; `reason` is a word for why it did not pass,
    /// `none` otherwise.
    pub fn dkim(&self, result: &'static str, reason: &'static str) {
        self.families.dkim_results_total.with([result, reason]).inc();
    }

    /// A DMARC result: what the record asks for, and what was done with the message on its account (`none`, `quarantine`,
    /// `reject`).
    pub fn dmarc(&self, result: &'static str, policy: &'static str, disposition: &'static str) {
        self.families.dmarc_results_total.with([result, policy, disposition]).inc();
    }

    /// An ARC result, and whether the operator trusts every sealer of the chain.
    pub fn arc(&self, result: &'static str, trusted: bool) {
        let trusted = if trusted { "true" } else { "false" };
        self.families.arc_results_total.with([result, trusted]).inc();
    }
}

fn pairs<'w>(
    first: &'w [&'static str],
    second: &'w [&'static str],
) -> impl Iterator<Item = (&'static str, &'static str)> + 'w {
    first.iter().flat_map(move |one| second.iter().map(move |other| (*one, *other)))
}
