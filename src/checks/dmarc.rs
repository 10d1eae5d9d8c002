//! DMARC (RFC 9989).

use mail_auth::dmarc::Policy;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::{AuthenticatedMessage, DkimOutput, DmarcOutput, DmarcResult, SpfOutput};
use tokio::time::timeout;

use super::Checker;
use super::book::Book;
use super::message::Budget;
use super::names::is_domain;
use super::records::the_policy;
use super::results::{CheckResult, Dmarc, DmarcPolicy, Spf};
use super::tags::{tag, text};
use crate::message::from::NoAuthor;
use crate::message::header::Header;

/// RFC 9989 4.10: a longer name is cut to so many labels after the first query.
const WALK_LABELS: usize = 7;

/// What a message has to say for its author.
#[derive(Debug)]
pub(super) struct Claims<'c> {
    pub(super) message: &'c AuthenticatedMessage<'c>,
    pub(super) dkim: &'c [DkimOutput<'c>],
    pub(super) spf: &'c Spf,
    /// The author's.
    pub(super) domain: String,
}

/// Whose name the message bears.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Author {
    /// The domain of the one address in the one From field, in lower case, in A-labels.
    Domain(String),
    /// There is no such domain, or more than one; why, one of [`Dmarc::REASONS`].
    Unusable(&'static str),
}

impl Author {
    /// Looks at the From fields of a header.
    pub(super) fn of(header: &Header) -> Self {
        match header.author() {
            Ok(author) if is_domain(&author.domain) => Self::Domain(author.domain),
            Ok(_) | Err(NoAuthor::None) => Self::Unusable("no_author"),
            Err(NoAuthor::Several) => Self::Unusable("several_authors"),
            Err(NoAuthor::Ambiguous) => Self::Unusable("ambiguous_author"),
        }
    }

    /// Shows mail-auth the author that we see.
    pub(super) fn prepare(&self, message: &mut AuthenticatedMessage<'_>) {
        message.from = match self {
            Self::Domain(domain) => vec![format!("author@{domain}")],
            Self::Unusable(_) => Vec::new(),
        };
    }
}

/// The names at which a policy for `domain` may be, in the order of the tree walk (RFC 9989 4.10), in lower case.
pub(super) fn policy_names(domain: &str) -> impl Iterator<Item = String> {
    let labels: Vec<&str> = domain.split('.').collect();
    let total = labels.len();
    let lengths = std::iter::once(total).chain((1..=WALK_LABELS.min(total.saturating_sub(1))).rev());
    let suffix = move |length: usize| {
        labels.get(total - length..).map(|suffix| format!("_dmarc.{}", suffix.join(".")))
    };
    lengths.filter(move |_| total > 1).filter_map(suffix)
}

impl Checker {
    /// DMARC of a prepared message. `policies` is a book that reads policies.
    pub(super) async fn dmarc(&self, claims: Claims<'_>, policies: &Book<'_>, budget: &Budget) -> Dmarc {
        if !self.settings.dmarc {
            return Dmarc::default();
        }
        let evaluation = self.evaluate_dmarc(&claims, policies);
        let found = match timeout(budget.of(self.settings.dmarc_budget), evaluation).await {
            Ok(output) => describe(&output, claims.domain, policies),
            Err(_) => Dmarc {
                result: CheckResult::TempError,
                domain: claims.domain,
                reason: "lookup",
                ..Dmarc::default()
            },
        };
        Dmarc { lookups: policies.asked(), ..found }
    }

    /// DMARC of a message without an author's domain.
    pub(super) fn dmarc_without_author(&self, reason: &'static str) -> Dmarc {
        if self.settings.dmarc {
            Dmarc { result: CheckResult::PermError, reason, ..Dmarc::default() }
        } else {
            Dmarc::default()
        }
    }

    async fn evaluate_dmarc(&self, claims: &Claims<'_>, policies: &Book<'_>) -> DmarcOutput {
        let Claims { message, dkim, spf, .. } = claims;
        let spf_output = SpfOutput::new(spf.domain.clone()).with_result(spf.result.to_spf());
        loop {
            let parameters = DmarcParameters::new(message, dkim, &spf.domain, &spf_output);
            let output = self.mail_auth.verify_dmarc(policies.parameters(parameters)).await;
            if !policies.learn().await {
                return output;
            }
        }
    }
}

fn describe(output: &DmarcOutput, domain: String, policies: &Book<'_>) -> Dmarc {
    let result = match output.result() {
        DmarcResult::Pass => CheckResult::Pass,
        DmarcResult::Fail(_) => CheckResult::Fail,
        DmarcResult::TempError(_) => CheckResult::TempError,
        DmarcResult::PermError(_) => CheckResult::PermError,
        DmarcResult::None => CheckResult::None,
    };
    let policy = match output.policy() {
        Policy::Reject => DmarcPolicy::Reject,
        Policy::Quarantine => DmarcPolicy::Quarantine,
        Policy::None | Policy::Unspecified => DmarcPolicy::None,
    };
    let testing = output.dmarc_record().is_some_and(|record| record.t);
    let record = output.dmarc_record().and_then(|_| applied(&domain, policies)).unwrap_or_default();
    let reason = reason(output, result);
    Dmarc { result, policy, domain, testing, reason, record, ..Dmarc::default() }
}

/// The record that counts for `domain`, as published (RFC 9989 4.10.1 and 4.10.2): its own, else that of its organisation, else that
/// of the public suffix above.
fn applied(domain: &str, policies: &Book<'_>) -> Option<String> {
    let mut records = Vec::new();
    for name in policy_names(domain) {
        let answers = policies.texts(&name);
        let Some(record) = answers.as_ref().and_then(|found| the_policy(found.records.texts())) else {
            continue;
        };
        let psd = tag(record, "psd").map(|psd| text(psd).to_ascii_lowercase()).unwrap_or_default();
        records.push((name, String::from_utf8_lossy(record).into_owned()));
        if psd == "n" {
            break;
        }
        if psd == "y" {
            // Of the organisation below it, if that has one.
            let labels = records.last().map_or(0, |(name, _)| name.matches('.').count());
            let below = records.iter().position(|(name, _)| name.matches('.').count() == labels + 1);
            below.into_iter().for_each(|below| records.truncate(below + 1));
            break;
        }
    }
    let own = records.iter().position(|(name, _)| name.strip_prefix("_dmarc.") == Some(domain));
    let counts = own.or_else(|| records.len().checked_sub(1))?;
    records.into_iter().nth(counts).map(|(_, record)| record)
}

/// In the words of [`Dmarc::REASONS`].
fn reason(output: &DmarcOutput, result: CheckResult) -> &'static str {
    let (dkim, spf) = (output.dkim_result(), output.spf_result());
    let passed = [dkim, spf].map(|found| *found == DmarcResult::Pass);
    let unaligned = [dkim, spf].iter().any(|found| matches!(found, DmarcResult::Fail(_)));
    match (result, passed) {
        (CheckResult::Pass, [true, true]) => "dkim_and_spf",
        (CheckResult::Pass, [true, false]) => "dkim",
        (CheckResult::Pass, _) => "spf",
        (CheckResult::Fail, _) if unaligned => "not_aligned",
        (CheckResult::Fail, _) => "nothing_passed",
        (CheckResult::None, _) => "no_record",
        _ => "lookup",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_walks() {
        for (domain, names) in [
            ("org", &[] as &[&str]),
            ("example.org", &["_dmarc.example.org", "_dmarc.org"]),
            (
                "a.b.c.d.e.f.g.h.i.org",
                &[
                    "_dmarc.a.b.c.d.e.f.g.h.i.org",
                    "_dmarc.d.e.f.g.h.i.org",
                    "_dmarc.e.f.g.h.i.org",
                    "_dmarc.f.g.h.i.org",
                    "_dmarc.g.h.i.org",
                    "_dmarc.h.i.org",
                    "_dmarc.i.org",
                    "_dmarc.org",
                ],
            ),
        ] {
            assert_eq!(policy_names(domain).collect::<Vec<_>>(), names, "{domain}");
        }
    }
}
