//! TLS handshakes, on both sides alike.

use super::families::Families;

/// Versions that rustls can agree on, by the names that OpenSSL made usual.
const VERSIONS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];

/// Key exchange groups that rustls with aws-lc-rs can agree on, by their names at IANA.
const GROUPS: [&str; 6] =
    ["X25519MLKEM768", "X25519", "secp256r1", "secp384r1", "SecP256r1MLKEM768", "MLKEM768"];

/// The peer of a handshake.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Client,
    Upstream,
}

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
        }
    }
}

/// Makes the usual series exist with 0.
pub(super) fn expect(families: &Families, side: Side) {
    let handshakes = &families.tls_handshakes_total;
    handshakes.with([side.name(), "TLSv1.3", "X25519MLKEM768", "ok"]);
    for version in VERSIONS {
        handshakes.with([side.name(), version, "X25519", "ok"]);
    }
    handshakes.with([side.name(), "none", "none", "failed"]);
}

/// Counts a handshake that succeeded.
pub(super) fn succeeded(families: &Families, side: Side, version: &str, key_exchange: Option<&str>) {
    let version = known(&VERSIONS, version);
    let key_exchange = key_exchange.map_or("none", |group| known(&GROUPS, group));
    families.tls_handshakes_total.with([side.name(), version, key_exchange, "ok"]).inc();
}

/// Counts a handshake that failed.
pub(super) fn failed(families: &Families, side: Side) {
    families.tls_handshakes_total.with([side.name(), "none", "none", "failed"]).inc();
}

fn known(words: &[&'static str], word: &str) -> &'static str {
    words.iter().copied().find(|known| known.eq_ignore_ascii_case(word)).unwrap_or("other")
}
