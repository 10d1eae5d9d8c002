//! What a script may ask of the world outside, and the shape of the answers.

use crate::checks::results::{ArcChain, Dkim, Dmarc, Spf};

/// A fact that a script asked for.
///
/// Equal questions have equal answers, for as long as the session's [`Memory`](super::Memory) keeps them.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Question {
    /// A DNS look-up; the name in lower case, in A-labels, without a trailing dot (`dns_ptr` of an address: that address).
    Dns(RecordType, String),
    /// `mail_hosts(domain)`: where mail for this domain goes (RFC 5321 5.1, RFC 7505).
    MailHosts(String),
    /// `fcrdns(session)`: does the client's name lead back to it?
    Fcrdns,
    /// SPF of the HELO identity.
    HeloSpf,
    /// SPF of the MAIL FROM identity.
    Spf,
    /// All DKIM signatures of the message.
    Dkim,
    /// DMARC of the message.
    Dmarc,
    /// ARC of the message.
    Arc,
    /// `now()`: seconds since 1970.
    Now,
    /// `random()`: from 0 up to 1.
    Random,
}

/// The record types that scripts can ask for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail exchangers, best first.
    Mx,
    /// Texts, the strings of each record joined.
    Txt,
    /// Names of an address.
    Ptr,
}

/// The answer to a [`Question`] of the same kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To `Dns`, `MailHosts` and `Fcrdns`.
    Lookup(Lookup),
    /// To `HeloSpf` and `Spf`.
    Spf(Spf),
    /// To `Dkim`.
    Dkim(Vec<Dkim>),
    /// To `Dmarc`.
    Dmarc(Dmarc),
    /// To `Arc`.
    Arc(ArcChain),
    /// To `Now`.
    Now(i64),
    /// To `Random`.
    Random(f64),
}

/// A look-up's result and the values that it brought.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lookup {
    /// A word of the closed set that the question has (`ok`, `none`, `nxdomain`, `null_mx`, `pass`, `fail`, `error`).
    pub result: &'static str,
    /// Addresses, names or texts.
    pub values: Vec<String>,
}
