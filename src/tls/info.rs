//! What a handshake came to, for logs, `Received` fields, metrics and scripts.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use rustls::CommonState;
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// The longest text of a certificate that is kept: a client writes its own.
const LONGEST: usize = 256;

/// What was negotiated, for logs, `Received` fields and scripts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Info {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite by its IANA name.
    pub cipher: String,
    /// The key exchange group, such as `X25519MLKEM768`; `None` for a session that was resumed without a new one.
    pub group: Option<String>,
    /// The name that the client asked for; on the upstream's side, the one that we did.
    pub sni: Option<String>,
    /// The certificate that the client showed, if it was asked for one and had one.
    pub client: Option<Arc<ClientCertificate>>,
}

/// A client's certificate. The handshake proved that the client has its key; what it says of itself is true only if it
/// is [verified](Self::verified).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientCertificate {
    /// SHA-256 of the certificate, 64 hexadecimal digits in lower case.
    pub fingerprint: String,
    /// The subject, as in `CN=mail.example.org, O=Example`; printable, at most 256 characters.
    pub subject: String,
    /// Its first name: a DNS name or a mail address of the alternative names, else the common name. In lower case.
    pub name: String,
    /// Whether it was issued by the configured authority, for clients, and is valid now.
    pub verified: bool,
}

impl ClientCertificate {
    /// What the certificate `der` says; one that cannot be parsed has a fingerprint and nothing else.
    pub(super) fn read(der: &CertificateDer<'_>, verified: bool) -> Self {
        let fingerprint = HEXLOWER.encode(digest(&SHA256, der).as_ref());
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            return Self { fingerprint, verified, ..Self::default() };
        };
        let subject = printable(&certificate.subject().to_string());
        let name = printable(first_name(&certificate).unwrap_or_default()).to_lowercase();
        Self { fingerprint, subject, name, verified }
    }
}

fn first_name<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a str> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let names = alternative.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let first = names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) => Some(*name),
        _ => None,
    });
    first.or_else(|| certificate.subject().iter_common_name().find_map(|name| name.as_str().ok()))
}

/// At most [`LONGEST`] characters, none of which could forge a line of a log.
fn printable(text: &str) -> String {
    text.chars().take(LONGEST).map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

impl Info {
    pub(super) fn of(connection: &CommonState, sni: Option<&str>) -> Self {
        let version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        let cipher = connection.negotiated_cipher_suite().map_or_else(String::new, |suite| {
            // rustls writes TLS13_ where the registry of RFC 8446 has TLS_.
            format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
        });
        let group = connection.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
        Self { version, cipher, group, sni: sni.map(str::to_owned), client: None }
    }
}

/// `version=TLSv1.3 cipher=... group=...`, as for a log line; with the client's certificate, if there is one.
impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version={} cipher={}", self.version, self.cipher)?;
        if let Some(group) = &self.group {
            write!(f, " group={group}")?;
        }
        match &self.client {
            Some(client) => write!(f, " client={} verified={}", client.fingerprint, client.verified),
            None => Ok(()),
        }
    }
}
