//! What the caller gives a session to go by, and what the session tells of its client.

use std::sync::Arc;

use super::auth::AuthTerms;
use super::inquiries::Inquiries;
use super::limits::{Limits, Timeouts};
use crate::smtp::command::Greeting;
use crate::smtp::path::ForwardPath;

/// What does not change during a session.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The name in the banner and the answer to HELO.
    pub hostname: String,
    /// How much the client may do.
    pub limits: Limits,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// Whether mail may come without TLS.
    pub tls_required: bool,
    /// What there is of AUTH.
    pub auth: AuthTerms,
    /// Who answers VRFY, EXPN and HELP.
    pub inquiries: Inquiries,
    /// The address to which quarantined mail goes by way of the upstream; `None` where a store takes it.
    pub quarantine_address: Option<Arc<ForwardPath>>,
}

/// How the client introduced itself, accepted by policy.
#[derive(Clone, Debug)]
pub struct Hello {
    /// What it said.
    pub greeting: Greeting,
    /// EHLO rather than HELO.
    pub extended: bool,
}

/// What the client did so far; never reset by the client (RSET, EHLO and STARTTLS keep it).
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Commands with an error.
    pub errors: u32,
    /// Exchanges of AUTH that came to nothing.
    pub auth_failures: u32,
    /// Commands without work since the last message.
    pub junk: u32,
    /// Transactions begun.
    pub transactions: u32,
    /// Recipients refused by the upstream, a policy or the grammar; not those for whom there was no room.
    pub recipients_refused: u32,
    /// Messages whose final dot was answered with 2yz.
    pub messages: u32,
}
