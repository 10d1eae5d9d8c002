//! Mailboxes, domains and paths (RFC 5321 4.1.2, 4.1.3, limits of 4.5.3.1).

mod parse;

pub use parse::PathError;

use std::fmt;
use std::net::IpAddr;

/// A domain name as the client wrote it, or an address literal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Domain {
    /// A name in the syntax of RFC 5321 4.1.2 (letters, digits, hyphens, and underscores all the same; U-labels only under
    /// SMTPUTF8).
    Name(DomainName),
    /// `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
    Literal(IpAddr),
}

/// A syntactically valid domain name of at most 255 octets, labels of 1 to 63.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DomainName {
    pub(super) original: String,
    pub(super) ascii: String,
}

impl DomainName {
    /// The name as it was written.
    pub fn original(&self) -> &str {
        &self.original
    }

    /// Lower case, in A-labels, without a trailing dot: the form to compare and to look up.
    pub fn ascii(&self) -> &str {
        &self.ascii
    }
}

/// A local part and a domain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mailbox {
    pub(super) local: LocalPart,
    pub(super) domain: Domain,
}

/// The part before the `@`, as long as its path lets it be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LocalPart {
    pub(super) original: String,
    pub(super) unquoted: String,
}

impl LocalPart {
    /// As it was written, with its quotes if it had any: what goes upstream.
    pub fn original(&self) -> &str {
        &self.original
    }

    /// What it means: without quotes and backslashes.
    pub fn unquoted(&self) -> &str {
        &self.unquoted
    }
}

impl Mailbox {
    /// The part before the `@`.
    pub const fn local(&self) -> &LocalPart {
        &self.local
    }

    /// The part behind the `@`.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }
}

/// The argument of MAIL FROM (RFC 5321 4.1.1.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReversePath {
    /// `<>`: a notification, which must never cause another one.
    Null,
    /// An ordinary sender.
    Mailbox(Mailbox),
}

/// The argument of RCPT TO (RFC 5321 4.1.1.3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain, in any case (RFC 5321 4.5.1); the text as it was written.
    Postmaster(String),
    /// An ordinary recipient.
    Mailbox(Mailbox),
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name.original()),
            Self::Literal(IpAddr::V4(ip)) => write!(f, "[{ip}]"),
            Self::Literal(IpAddr::V6(ip)) => write!(f, "[IPv6:{ip}]"),
        }
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local.original, self.domain)
    }
}

/// With the angle brackets, as in a command.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

/// With the angle brackets, as in a command.
impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster(text) => write!(f, "<{text}>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

#[cfg(test)]
mod tests;
