//! What a command needs of the server that it is meant for: the extensions behind its parameters.

use super::extensions::Extensions;
use super::params::{Body, MailParams, RcptParams};
use super::reply::{Code, EnhancedCode, Reply};

/// An extension that a parameter of MAIL or RCPT belongs to. SIZE is none: without it, a declared size is only not passed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// `BODY=8BITMIME` (RFC 6152).
    EightBitMime,
    /// `BODY=BINARYMIME` (RFC 3030).
    BinaryMime,
    /// `SMTPUTF8` (RFC 6531).
    SmtpUtf8,
    /// `RET`, `ENVID`, `NOTIFY`, `ORCPT` (RFC 3461).
    Dsn,
    /// `AUTH=` (RFC 4954 5).
    Auth,
    /// `BY=` (RFC 2852).
    DeliverBy,
    /// `MT-PRIORITY=` (RFC 6710).
    MtPriority,
    /// `HOLDFOR=`, `HOLDUNTIL=` (RFC 4865).
    FutureRelease,
    /// `REQUIRETLS` (RFC 8689).
    RequireTls,
}

impl Need {
    /// Every need.
    pub const ALL: [Self; 9] = [
        Self::EightBitMime,
        Self::BinaryMime,
        Self::SmtpUtf8,
        Self::Dsn,
        Self::Auth,
        Self::DeliverBy,
        Self::MtPriority,
        Self::FutureRelease,
        Self::RequireTls,
    ];

    /// What a MAIL with `params` needs.
    pub fn of_mail(params: &MailParams) -> impl Iterator<Item = Self> + use<> {
        let stated = [
            params.body == Some(Body::EightBitMime),
            params.body == Some(Body::BinaryMime),
            params.smtputf8,
            params.ret.is_some() || params.env_id.is_some(),
            params.auth.is_some(),
            params.by.is_some(),
            params.mt_priority.is_some(),
            params.hold.is_some(),
            params.require_tls,
        ];
        Self::ALL.into_iter().zip(stated).filter_map(|(need, is_stated)| is_stated.then_some(need))
    }

    /// What a RCPT with `params` needs.
    pub const fn of_rcpt(params: &RcptParams) -> Option<Self> {
        if params.notify.is_some() || params.orcpt.is_some() { Some(Self::Dsn) } else { None }
    }

    /// Whether a server with these extensions can do it.
    pub const fn is_met_by(self, offered: &Extensions) -> bool {
        match self {
            Self::EightBitMime => offered.eight_bit_mime,
            Self::BinaryMime => offered.chunking && offered.binary_mime,
            Self::SmtpUtf8 => offered.smtputf8,
            Self::Dsn => offered.dsn,
            Self::Auth => !offered.auth.is_empty(),
            Self::DeliverBy => offered.deliver_by.is_some(),
            Self::MtPriority => offered.mt_priority.is_some(),
            Self::FutureRelease => offered.future_release.is_some(),
            Self::RequireTls => offered.require_tls,
        }
    }

    /// The name of the rule that refuses it: stable, for logs and metrics.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::EightBitMime | Self::BinaryMime => "body-not-offered",
            Self::SmtpUtf8 => "smtputf8-not-offered",
            Self::Dsn => "dsn-not-offered",
            Self::Auth => "auth-parameter-not-offered",
            Self::DeliverBy => "deliverby-not-offered",
            Self::MtPriority => "mt-priority-not-offered",
            Self::FutureRelease => "futurerelease-not-offered",
            Self::RequireTls => "requiretls-not-offered",
        }
    }

    /// The refusal of a command that needs what was never offered (RFC 5321 4.1.1.11, RFC 6531 3.5, RFC 8689 4.2.1).
    pub fn reply(self) -> Reply {
        let (code, (subject, detail)) = match self {
            Self::SmtpUtf8 => (Code::literal::<550>(), (6, 7)),
            Self::RequireTls => (Code::literal::<550>(), (7, 30)),
            _ => (Code::literal::<555>(), (5, 4)),
        };
        Self::refusal(code, (subject, detail), &format!("{} is not offered here", self.name()))
    }

    /// The refusal of a command that needs what was offered when the client asked, and no longer is: the mail server behind us changed.
    /// A body that would have to be converted now is 5.6.3 (RFC 3463 3.7, RFC 6152 3).
    pub fn withdrawn(self) -> Reply {
        let text = format!("the mail server no longer offers {}", self.name());
        match self {
            Self::EightBitMime | Self::BinaryMime => Self::refusal(Code::literal::<550>(), (6, 3), &text),
            _ => Self::refusal(self.reply().code(), self.detail(), &text),
        }
    }

    fn detail(self) -> (u16, u16) {
        self.reply().enhanced().map_or((5, 4), |enhanced| (enhanced.subject, enhanced.detail))
    }

    fn refusal(code: Code, (subject, detail): (u16, u16), text: &str) -> Reply {
        Reply::new(code, Some(EnhancedCode::new(5, subject, detail)), text)
    }

    /// As the client knows it.
    const fn name(self) -> &'static str {
        match self {
            Self::EightBitMime => "BODY=8BITMIME",
            Self::BinaryMime => "BODY=BINARYMIME",
            Self::SmtpUtf8 => "SMTPUTF8",
            Self::Dsn => "DSN",
            Self::Auth => "AUTH",
            Self::DeliverBy => "DELIVERBY",
            Self::MtPriority => "MT-PRIORITY",
            Self::FutureRelease => "FUTURERELEASE",
            Self::RequireTls => "REQUIRETLS",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_need_their_extensions() {
        let rows: [(&str, &[Need]); 9] = [
            ("", &[]),
            (" SIZE=5 BODY=7BIT", &[]),
            (" BODY=8BITMIME SMTPUTF8", &[Need::EightBitMime, Need::SmtpUtf8]),
            (" BODY=BINARYMIME", &[Need::BinaryMime]),
            (" ENVID=x AUTH=<>", &[Need::Dsn, Need::Auth]),
            (" RET=FULL BY=1;R", &[Need::Dsn, Need::DeliverBy]),
            (" MT-PRIORITY=0", &[Need::MtPriority]),
            (" HOLDFOR=1", &[Need::FutureRelease]),
            (" REQUIRETLS", &[Need::RequireTls]),
        ];
        for (text, needs) in rows {
            let params = MailParams::parse(text).unwrap();
            assert_eq!(Need::of_mail(&params).collect::<Vec<_>>(), needs, "{text:?}");
        }
        let rcpt = |text| Need::of_rcpt(&RcptParams::parse(text, false).unwrap());
        assert_eq!(rcpt(""), None);
        assert_eq!(rcpt(" NOTIFY=NEVER"), Some(Need::Dsn));
        assert_eq!(rcpt(" ORCPT=rfc822;x"), Some(Need::Dsn));
    }

    #[test]
    fn no_need_is_met_by_nothing() {
        assert!(Need::ALL.iter().all(|need| !need.is_met_by(&Extensions::default())));
    }

    #[test]
    fn every_refusal_is_permanent() {
        for need in Need::ALL {
            for reply in [need.reply(), need.withdrawn()] {
                assert!(matches!(reply.code().get(), 550 | 555), "{need:?}");
                assert_eq!(reply.enhanced().map(|enhanced| enhanced.class), Some(5));
            }
        }
    }
}
