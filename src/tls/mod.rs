//! TLS towards clients and towards the upstream: certificates from PEM files, configurations, handshakes.
//!
//! The crypto provider is always named (aws-lc-rs, X25519MLKEM768 preferred); the process-wide default is never
//! asked, because it panics when two are compiled in. Versions are TLS 1.2 and 1.3. Early data stays off: a replayed
//! `RCPT` or `DATA` would be one that nobody sent.
//!
//! | file | what |
//! |---|---|
//! | `certificates` | chains and keys out of files, checked, and the choice among them in a handshake |
//! | `server` | the handshake with a client, and its certificate |
//! | `client` | the handshake with an upstream, and how its certificate is checked |
//! | `opening` | a stream's first octets, to say why a handshake failed |
//! | `info` | what was negotiated |
//!
//! What a peer can make us do is bounded by rustls: it knows no renegotiation (a request is refused, and the second ends the
//! connection), takes 32 requests for new keys in a row (RFC 8446 4.6.3) and keeps one answer to them at most, handshake
//! messages of 64 KiB, and 4 warning alerts. Tests here and in `tests/e2e/tls_attacks.rs` try the first two.

mod certificates;
mod client;
mod error;
mod info;
mod opening;
mod server;
#[cfg(test)]
pub(crate) mod tests;
mod verifier;

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub use self::certificates::{CertificateFiles, Certificates, Validity};
pub use self::client::{ClientSettings, ClientTls, Verify};
pub use self::error::{HandshakeError, TlsError};
pub use self::info::{ClientCertificate, Info};
pub use self::opening::Opening;
pub use self::server::{ClientCertificates, ServerSettings, ServerStream, ServerTls};

/// How long a whole handshake may take, on either side.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
