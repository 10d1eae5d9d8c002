//! TLS, on both sides: certificates are read, looked at and made ready for handshakes.

use std::sync::Arc;
use std::time::SystemTime;

use crate::tls::{
    CertificateFiles, Certificates, ClientCertificates, ClientSettings, ClientTls, ServerSettings, ServerTls,
    TlsError, Verify,
};
use crate::upstream::TlsMode as TlsTowards;

use super::super::raw::{self, Asking, MinVersion, TlsMode};
use super::super::read::Placed;
use super::super::ready::{Identity, ListenerTls};
use super::super::report::Report;

/// TLS towards the clients of a listener, to whom we are `hostname`.
pub(super) fn of_listener(
    raw: &Placed<raw::ListenerTls>,
    hostname: &str,
    report: &mut Report,
) -> Option<ListenerTls> {
    let certificates = raw.value.certificates.as_deref();
    let mode = raw.value.mode.unwrap_or(match certificates {
        None => TlsMode::Off,
        Some(_) => TlsMode::Opportunistic,
    });
    let wrap = match mode {
        TlsMode::Off => return Some(ListenerTls::Off),
        TlsMode::Opportunistic | TlsMode::Required => ListenerTls::StartTls,
        TlsMode::Implicit => ListenerTls::Implicit,
    };
    let Some(certificates) = certificates.filter(|certificates| !certificates.is_empty()) else {
        let help = "add `certificates: [{ cert: mx.pem, key: mx.key }]`, or switch TLS off with `mode: off`";
        report.error_with_help(raw.place, "TLS needs a certificate", help);
        return None;
    };
    let settings = settings(&raw.value, report);
    let (files, certificates) = load(certificates, hostname, report)?;
    let ca = raw.value.client_certificates.as_ref().and_then(|clients| clients.value.ca.as_ref());
    match ServerTls::with(certificates, settings?) {
        Ok(tls) => Some(wrap(Identity { files, tls: Arc::new(tls) })),
        Err(error) => {
            fault(&error, ca.map_or(raw.place, |ca| ca.place), report);
            None
        }
    }
}

fn settings(raw: &raw::ListenerTls, report: &mut Report) -> Option<ServerSettings> {
    let only_tls13 = raw.min_version == Some(MinVersion::Tls13);
    let none = Some(ServerSettings { client_certificates: None, only_tls13 });
    let Some(clients) = &raw.client_certificates else { return none };
    let mode = clients.value.mode.unwrap_or(Asking::Request);
    if mode == Asking::Off {
        return none;
    }
    let Some(ca) = &clients.value.ca else {
        let help = "add `ca: clients.pem`, the authorities that issue them, or write `mode: off`";
        report.error_with_help(clients.place, "client certificates need an authority", help);
        return None;
    };
    let required = mode == Asking::Require;
    let clients = ClientCertificates { ca: report.resolve(&ca.value), required };
    Some(ServerSettings { client_certificates: Some(clients), only_tls13 })
}

/// Reads certificates and keys, and warns of what clients might not believe.
fn load(
    raw: &[raw::Certificate],
    hostname: &str,
    report: &mut Report,
) -> Option<(Vec<CertificateFiles>, Certificates)> {
    let mut files = Vec::with_capacity(raw.len());
    for pair in raw {
        // One by one first, so that each has its error in its place.
        if let Some(pair) = checked(pair, report) {
            files.push(pair);
        }
    }
    if files.len() < raw.len() {
        return None;
    }
    let certificates = Certificates::load(&files).ok()?;
    let place = raw.first().and_then(|pair| pair.cert.as_ref()).map(|cert| cert.place);
    if let Some(place) = place.filter(|_| !hostname.is_empty() && !certificates.covers(hostname)) {
        let help = "get a certificate for this name too, or correct `hostname`";
        report.warning(place, format!("no certificate is valid for the host name `{hostname}`"), help);
    }
    Some((files, certificates))
}

fn checked(raw: &raw::Certificate, report: &mut Report) -> Option<CertificateFiles> {
    let (cert, key) = (raw.cert.as_ref()?, raw.key.as_ref()?);
    let files = CertificateFiles { cert: report.resolve(&cert.value), key: report.resolve(&key.value) };
    match Certificates::load(std::slice::from_ref(&files)) {
        Err(error) => {
            let place = if concerns_key(&error, &files) { key.place } else { cert.place };
            fault(&error, place, report);
            None
        }
        Ok(loaded) => {
            for (path, validity) in loaded.validities() {
                if let Some(fault) = validity.fault(SystemTime::now()) {
                    let message = format!("{}: the certificate {fault}", path.display());
                    report.warning(cert.place, message, "clients that check it will not speak to us");
                }
            }
            Some(files)
        }
    }
}

fn fault(error: &TlsError, place: crate::diagnostic::Position, report: &mut Report) {
    report.add(Some(place), error.to_string(), error.help());
}

fn concerns_key(error: &TlsError, files: &CertificateFiles) -> bool {
    match error {
        TlsError::Pem { path, .. } | TlsError::Empty { path, .. } | TlsError::Unusable { path, .. } => {
            *path == files.key
        }
        TlsError::Exposed(exposed) => exposed.path == files.key,
        TlsError::Mismatch { .. } => true,
        _ => false,
    }
}

/// TLS towards an upstream.
pub(super) fn of_upstream(raw: Option<&Placed<raw::UpstreamTls>>, report: &mut Report) -> Option<TlsTowards> {
    let none = raw::UpstreamTls::default();
    let section = raw.map_or(&none, |raw| &raw.value);
    let wrap = match section.mode.unwrap_or(TlsMode::Opportunistic) {
        TlsMode::Off => return Some(TlsTowards::Off),
        TlsMode::Opportunistic => TlsTowards::Opportunistic,
        TlsMode::Required => TlsTowards::Required,
        TlsMode::Implicit => TlsTowards::Implicit,
    };
    let verify = verify(section, report);
    let certificate = match &section.certificate {
        Some(pair) => Some(checked(&pair.value, report)?),
        None => None,
    };
    let name = section.name.as_ref().map(|name| name.value.clone());
    match ClientTls::with(ClientSettings { verify: verify?, name, certificate }) {
        Ok(tls) => Some(wrap(tls)),
        Err(error) => {
            let name = section.name.as_ref().filter(|_| matches!(error, TlsError::Name(_)));
            let ca = section.ca.as_ref().map(|ca| ca.place);
            let place = name.map(|name| name.place).or(ca).or_else(|| raw.map(|raw| raw.place));
            report.add(place, error.to_string(), error.help());
            None
        }
    }
}

/// A certificate is checked where TLS is asked for by name; opportunistic TLS takes any, since plaintext would do too.
fn verify(raw: &raw::UpstreamTls, report: &mut Report) -> Option<Verify> {
    let demanded = matches!(raw.mode, Some(TlsMode::Required | TlsMode::Implicit)) || raw.ca.is_some();
    match (raw.verify.unwrap_or(demanded), &raw.ca) {
        (true, Some(ca)) => Some(Verify::CaFile(report.resolve(&ca.value))),
        (true, None) => Some(Verify::Platform),
        (false, None) => Some(Verify::Nothing),
        (false, Some(ca)) => {
            let help = "remove `ca`, or write `verify: true`";
            report.error_with_help(ca.place, "`ca` has no meaning with `verify: false`", help);
            None
        }
    }
}
