//! DMARC (RFC 9989).

use mail_auth::dmarc::Policy;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::{AuthenticatedMessage, DkimOutput, DmarcOutput, DmarcResult, SpfOutput};
use tokio::time::timeout;

use super::Checker;
use super::book::Book;
use super::names::is_domain;
use super::records::Reading;
use super::results::{CheckResult, Dmarc, DmarcPolicy, Spf};

/// RFC 9989 4.10: a longer name is cut to so many labels after the first query.
const WALK_LABELS: usize = 7;

/// Whose name the message bears.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Author {
    /// The domain of the one address in the one From field, in lower case, in A-labels.
    Domain(String),
    /// There is no such domain, or more than one.
    Unusable,
}

impl Author {
    /// Looks at the From fields. A field counts as From whatever space is before its colon: readers of mail show it so.
    pub(super) fn of(message: &AuthenticatedMessage<'_>) -> Self {
        let fields =
            message.headers.iter().filter(|(name, _)| name.trim_ascii().eq_ignore_ascii_case(b"from"));
        let (1, [address]) = (fields.count(), message.from.as_slice()) else {
            return Self::Unusable;
        };
        let domain = address.rsplit_once('@').map(|(_, domain)| domain.strip_suffix('.').unwrap_or(domain));
        match domain.and_then(|domain| idna::domain_to_ascii(domain).ok()) {
            Some(domain) if is_domain(&domain) => Self::Domain(domain),
            _ => Self::Unusable,
        }
    }

    /// Shows mail-auth the author that we see.
    pub(super) fn prepare(&self, message: &mut AuthenticatedMessage<'_>) {
        message.from = match self {
            Self::Domain(domain) => vec![format!("author@{domain}")],
            Self::Unusable => Vec::new(),
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
    /// DMARC of a prepared message, whose author is of `domain`.
    pub(super) async fn dmarc(
        &self,
        message: &AuthenticatedMessage<'_>,
        dkim: &[DkimOutput<'_>],
        spf: &Spf,
        domain: String,
    ) -> Dmarc {
        if !self.settings.dmarc {
            return Dmarc::default();
        }
        let evaluation = self.evaluate_dmarc(message, dkim, spf);
        match timeout(self.settings.dmarc_budget, evaluation).await {
            Ok(output) => describe(&output, domain),
            Err(_) => Dmarc { result: CheckResult::TempError, domain, ..Dmarc::default() },
        }
    }

    /// DMARC of a message without an author's domain.
    pub(super) fn dmarc_without_author(&self) -> Dmarc {
        let result = if self.settings.dmarc { CheckResult::PermError } else { CheckResult::None };
        Dmarc { result, ..Dmarc::default() }
    }

    async fn evaluate_dmarc(
        &self,
        message: &AuthenticatedMessage<'_>,
        dkim: &[DkimOutput<'_>],
        spf: &Spf,
    ) -> DmarcOutput {
        let book = Book::new(&self.dns, Reading::Dmarc);
        let spf_output = SpfOutput::new(spf.domain.clone()).with_result(spf.result.to_spf());
        loop {
            let parameters = DmarcParameters::new(message, dkim, &spf.domain, &spf_output);
            let output = self.mail_auth.verify_dmarc(book.parameters(parameters)).await;
            if !book.learn().await {
                return output;
            }
        }
    }
}

fn describe(output: &DmarcOutput, domain: String) -> Dmarc {
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
    Dmarc { result, policy, domain, testing }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(header: &str) -> Author {
        Author::of(&AuthenticatedMessage::parse_with_opts(header.as_bytes(), None, false).unwrap())
    }

    #[test]
    fn authors() {
        for (header, domain) in [
            ("From: a@Example.org\r\n", Some("example.org")),
            ("from: A B <a@example.org>\r\n\r\n", Some("example.org")),
            ("From: \"x@evil.example\" <a@example.org>\r\n", Some("example.org")),
            ("From: a@example.org.\r\n", Some("example.org")),
            ("From: a@b\u{fc}cher.example\r\n", Some("xn--bcher-kva.example")),
            ("From: a@example.org\r\nFrom: b@example.org\r\n", None),
            ("From: a@example.org\r\nFrom : b@example.net\r\n", None),
            ("From: a@example.org, b@example.org\r\n", None),
            ("From: a@example.org, b@example.net\r\n", None),
            ("From:\r\n", None),
            ("From: nobody\r\n", None),
            ("From: a@[192.0.2.1]\r\n", None),
            ("From: a@xn--a\r\n", None),
            ("Subject: x\r\n", None),
        ] {
            let expected = domain.map_or(Author::Unusable, |domain| Author::Domain(domain.into()));
            assert_eq!(author(header), expected, "{header:?}");
        }
    }

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
