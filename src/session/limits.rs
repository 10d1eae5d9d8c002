//! The bounds of one session, none of which depends on what the client sends.

use std::time::Duration;

/// How much one client may do in one session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The largest message in octets. What EHLO offers may be less, see [`Offers::size`](super::Offers::size).
    pub message_size: u64,
    /// Recipients of one transaction; RFC 5321 4.5.3.1.8 wants at least 100.
    pub recipients: usize,
    /// Commands with an error before the session ends with 421.
    pub errors: u32,
    /// Logins that may fail before the session ends with 421.
    pub auth_failures: u32,
    /// Commands that do no work (NOOP, RSET, VRFY, HELP, EHLO again) between two messages before the session ends with 421.
    pub junk_commands: u32,
    /// Transactions in one session, before 421.
    pub transactions: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: 50 << 20,
            recipients: 1000,
            errors: 10,
            auth_failures: 5,
            junk_commands: 100,
            transactions: 1000,
        }
    }
}

/// How long the session waits for its client (RFC 5321 4.5.3.2.7 and 4.5.3.2.5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// From the moment the client may speak to the end of its command; for the whole command, not for each read.
    pub command: Duration,
    /// Between two pieces of a message.
    pub data: Duration,
    /// The whole session.
    pub session: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        Self {
            command: Duration::from_secs(5 * MINUTE),
            data: Duration::from_secs(3 * MINUTE),
            session: Duration::from_secs(60 * MINUTE),
        }
    }
}
