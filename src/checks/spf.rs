//! SPF (RFC 7208).

use std::net::IpAddr;

use mail_auth::SpfResult;
use mail_auth::spf::verify::SpfParameters;
use tokio::time::timeout;

use super::Checker;
use super::book::{Book, Objection};
use super::names::is_qualified;
use super::records::spf_records;
use super::results::{CheckResult, Spf};
use crate::smtp::path::{Domain, ReversePath};

impl Checker {
    /// SPF of the name that the client gave in HELO (RFC 7208 2.3). `none` unless it is a fully qualified name.
    pub async fn spf_helo(&self, client: IpAddr, helo: &str) -> Spf {
        self.spf_of(client, helo, "postmaster", helo).await
    }

    /// SPF of the sender (RFC 7208 2.4); of `postmaster` at the HELO name if the sender is null. `none` for address
    /// literals.
    pub async fn spf_mail(&self, client: IpAddr, helo: &str, sender: &ReversePath) -> Spf {
        match sender {
            ReversePath::Null => self.spf_helo(client, helo).await,
            ReversePath::Mailbox(mailbox) => match mailbox.domain() {
                Domain::Literal(_) => Spf::default(),
                Domain::Name(name) => {
                    self.spf_of(client, helo, mailbox.local().unquoted(), name.ascii()).await
                }
            },
        }
    }

    pub(super) async fn spf_of(&self, client: IpAddr, helo: &str, local: &str, domain: &str) -> Spf {
        let domain = domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase();
        // RFC 7208 4.3: only a fully qualified name has a policy.
        if !self.settings.spf || !is_qualified(&domain) {
            return Spf::default();
        }
        let client = client.to_canonical();
        let book = Book::spf(&self.dns, client);
        let sender = format!("{local}@{domain}");
        let evaluation = self.evaluate_spf(&book, client, helo, &sender);
        let result = timeout(self.settings.spf_budget, evaluation).await.unwrap_or(CheckResult::TempError);
        let record = record(&book, &domain);
        Spf { result, domain, record }
    }

    async fn evaluate_spf(&self, book: &Book<'_>, client: IpAddr, helo: &str, sender: &str) -> CheckResult {
        loop {
            let parameters = SpfParameters::verify_mail_from(client, helo, &self.settings.hostname, sender);
            let output = self.mail_auth.verify_spf(book.parameters(parameters)).await;
            if book.learn().await {
                continue;
            }
            return match book.objection() {
                Some(Objection::TooMany) => CheckResult::PermError,
                Some(Objection::Temporary) => CheckResult::TempError,
                None => output.result().into(),
            };
        }
    }
}

fn record(book: &Book<'_>, domain: &str) -> String {
    let texts = book.texts(domain);
    spf_records(&texts).next().map(|record| String::from_utf8_lossy(record).into_owned()).unwrap_or_default()
}

impl From<SpfResult> for CheckResult {
    fn from(result: SpfResult) -> Self {
        match result {
            SpfResult::Pass => Self::Pass,
            SpfResult::Fail => Self::Fail,
            SpfResult::SoftFail => Self::SoftFail,
            SpfResult::Neutral => Self::Neutral,
            SpfResult::TempError => Self::TempError,
            SpfResult::PermError => Self::PermError,
            SpfResult::None => Self::None,
        }
    }
}

impl CheckResult {
    pub(super) const fn to_spf(self) -> SpfResult {
        match self {
            Self::Pass => SpfResult::Pass,
            Self::Fail => SpfResult::Fail,
            Self::SoftFail => SpfResult::SoftFail,
            Self::Neutral => SpfResult::Neutral,
            Self::TempError => SpfResult::TempError,
            Self::PermError => SpfResult::PermError,
            Self::None => SpfResult::None,
        }
    }
}
