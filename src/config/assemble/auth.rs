//! AUTH of a listener, and whether both ways that a password takes are fit for it.

use crate::session::AuthTerms;
use crate::upstream;

use super::super::raw::{self, Auth, TlsMode};
use super::super::read::{Named, Placed};
use super::super::report::Report;
use super::listener::mode_of;

/// What the listener makes of AUTH.
pub(super) fn terms(
    raw: &raw::Listener,
    upstreams: Option<&Named<raw::Upstream>>,
    report: &mut Report,
) -> AuthTerms {
    let is = |key: &Option<Placed<bool>>| key.as_ref().is_some_and(|key| key.value);
    let terms = AuthTerms {
        relay: raw.auth.as_ref().is_some_and(|auth| auth.value == Auth::Relay),
        without_tls: is(&raw.auth_without_tls),
        required: is(&raw.auth_required),
    };
    match raw.auth.as_ref().filter(|_| terms.relay) {
        Some(auth) => {
            check_client_side(raw, auth, terms, report);
            check_upstream_side(raw, auth, upstreams, report);
        }
        None => check_absence(raw, report),
    }
    terms
}

/// Keys that say how AUTH is to be, without AUTH.
fn check_absence(raw: &raw::Listener, report: &mut Report) {
    let keys = [("auth_without_tls", &raw.auth_without_tls), ("auth_required", &raw.auth_required)];
    for (key, value) in keys {
        if let Some(value) = value.as_ref().filter(|value| value.value) {
            let message = format!("`{key}` has no meaning without `auth: relay`");
            report.error_with_help(value.place, message, "add `auth: relay`, or remove the key");
        }
    }
}

fn check_client_side(raw: &raw::Listener, auth: &Placed<Auth>, terms: AuthTerms, report: &mut Report) {
    let mode = raw.tls.as_ref().map_or(TlsMode::Off, |tls| mode_of(&tls.value));
    match &raw.auth_without_tls {
        Some(without) if terms.without_tls => {
            if matches!(mode, TlsMode::Off | TlsMode::Opportunistic) {
                let help = "for port 587 write `tls: { mode: required, ... }` and remove `auth_without_tls`";
                report.warning(without.place, "passwords may cross the network in the clear", help);
            }
        }
        _ if mode == TlsMode::Off => {
            let help = "give the listener `tls` with a certificate; on a network of your own, `auth_without_tls: true`";
            report.error_with_help(auth.place, "AUTH needs TLS, which this listener does not have", help);
        }
        _ => {}
    }
}

fn check_upstream_side(
    raw: &raw::Listener,
    auth: &Placed<Auth>,
    upstreams: Option<&Named<raw::Upstream>>,
    report: &mut Report,
) {
    let named = |name: &Placed<String>| {
        let all = &upstreams?.0;
        all.iter().find(|(key, _)| key.name == name.value)?.1.as_ref()
    };
    let Some(upstream) = raw.upstream.as_ref().and_then(named) else { return };
    let Some(addresses) = &upstream.address else { return };
    if addresses.0.iter().any(|address| address.value.starts_with("maildir:")) {
        let help = "AUTH is the mail server's to decide: name an upstream that is one";
        return report.error_with_help(auth.place, "a Maildir knows no logins", help);
    }
    let Some(far) = addresses.0.iter().find(|address| !upstream::is_loopback(&address.value)) else { return };
    let mode = upstream.tls.as_ref().and_then(|tls| tls.value.mode).unwrap_or(TlsMode::Opportunistic);
    let help = "write `tls: { mode: required }` for that upstream";
    match mode {
        TlsMode::Required | TlsMode::Implicit => {}
        TlsMode::Off => {
            let message = format!("passwords would go to `{}` in the clear", far.value);
            report.error_with_help(auth.place, message, help);
        }
        TlsMode::Opportunistic => {
            let message = format!("AUTH is offered only while `{}` offers STARTTLS", far.value);
            report.warning(auth.place, message, help);
        }
    }
}
