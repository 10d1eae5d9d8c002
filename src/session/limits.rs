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
    /// Octets that one line of a message may have, without its CRLF (RFC 5322 2.1.1 says 998); `None` for any number.
    pub text_line: Option<usize>,
    /// Octets a second that a message must come with, on average; 0 for any. See [`Timeouts::data`].
    pub min_data_rate: u64,
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
            text_line: None,
            min_data_rate: 100,
        }
    }
}

/// How long the session waits for its client (RFC 5321 4.5.3.2.7 and 4.5.3.2.5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// From the moment the client may speak to the end of its command; for the whole command, not for each read.
    pub command: Duration,
    /// Between two pieces of a message, and the credit with which the least rate of [`Limits::min_data_rate`] begins: a message may
    /// stand still for so long, and earns back what it used up by coming faster afterwards.
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
