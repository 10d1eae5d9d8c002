//! The certificate that a client of a transcript shows in its handshakes.

use super::words::{Mistake, Words};
use crate::tls::ClientCertificate;

/// `certificate NAME FINGERPRINT verified|unverified`.
pub(super) fn certificate(words: &mut Words<'_>) -> Result<ClientCertificate, Mistake> {
    const WORTH: [(&str, bool); 2] = [("verified", true), ("unverified", false)];
    let name = words.expect("the name in the certificate")?.text.to_lowercase();
    let fingerprint = words.expect("its fingerprint")?.text.to_lowercase();
    let verified = words.expect("`verified` or `unverified`")?.choose("word", &WORTH)?;
    Ok(ClientCertificate { subject: format!("CN={name}"), fingerprint, name, verified })
}
