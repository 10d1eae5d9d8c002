//! Certificates and keys: out of PEM files, checked, and chosen for a handshake.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::verify_server_name;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, SignatureScheme};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use super::error::TlsError;
use super::provider;
use crate::{files, permissions};

/// The largest file of certificates or a key, in octets: a hundred times the authorities of a Debian system.
const LONGEST_PEM: u64 = 32 << 20;

/// A certificate chain and its private key, as PEM files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The key of the leaf: PKCS#8, PKCS#1 or SEC1. Not readable by everybody.
    pub key: PathBuf,
}

/// The certificates of a listener: the first is shown to clients that ask for no name or for an unknown one.
#[derive(Debug)]
pub struct Certificates {
    all: Vec<Entry>,
    files: Vec<CertificateFiles>,
}

#[derive(Debug)]
struct Entry {
    key: Arc<CertifiedKey>,
    validity: Validity,
}

/// When a certificate may be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// From this moment on.
    pub not_before: SystemTime,
    /// Up to this one.
    pub not_after: SystemTime,
}

impl Validity {
    /// What is wrong with it at `now`, for a sentence that begins with the certificate.
    pub fn fault(&self, now: SystemTime) -> Option<String> {
        if now > self.not_after {
            Some(format!("expired on {}", day(self.not_after)))
        } else if now < self.not_before {
            Some(format!("is not valid before {}", day(self.not_before)))
        } else {
            None
        }
    }
}

fn day(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .map_or_else(|_| String::from("?"), |at| at.strftime("%Y-%m-%d").to_string())
}

impl Certificates {
    /// Reads every file of `files` and checks that each key belongs to its leaf.
    ///
    /// # Errors
    /// The first file that cannot be used, and why.
    pub fn load(files: &[CertificateFiles]) -> Result<Self, TlsError> {
        if files.is_empty() {
            return Err(TlsError::NoCertificates);
        }
        let all = files.iter().map(Entry::load).collect::<Result<_, _>>()?;
        Ok(Self { all, files: files.to_vec() })
    }

    /// One certificate with its key out of a text, for a server that nobody has to believe.
    ///
    /// # Errors
    /// The text holds no such pair.
    pub fn from_pem(text: &str) -> Result<Self, TlsError> {
        let path = || PathBuf::from(TEXT);
        let chain = certificates_in(text)?;
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes())
            .map_err(|source| TlsError::Pem { path: path(), source })?;
        let key = CertifiedKey::from_der(chain, key, &provider())
            .map_err(|source| TlsError::Unusable { path: path(), source })?;
        let validity = validity(&path(), &key)?;
        Ok(Self { all: vec![Entry { key: Arc::new(key), validity }], files: Vec::new() })
    }

    /// The files that they come from, in their order.
    pub fn files(&self) -> &[CertificateFiles] {
        &self.files
    }

    /// Each certificate's file and the time in which it is valid.
    pub fn validities(&self) -> impl Iterator<Item = (&Path, Validity)> {
        self.files.iter().zip(&self.all).map(|(files, entry)| (files.cert.as_path(), entry.validity))
    }

    /// Whether one of them is valid for the host `name`, wildcards included (RFC 6125 6.4).
    pub fn covers(&self, name: &str) -> bool {
        let name = ServerName::try_from(name).ok();
        name.is_some_and(|name| self.all.iter().any(|entry| is_valid_for(&entry.key, &name)))
    }

    /// The first certificate that is valid for `name` and whose key can sign what the client is able to check; else the
    /// first of all with such a key; else the first for that name, or of all, and the handshake will say what is wrong.
    pub(super) fn choose(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let named = |entry: &&Entry| name.as_ref().is_some_and(|name| is_valid_for(&entry.key, name));
        let usable = |entry: &&Entry| entry.key.key.choose_scheme(schemes).is_some();
        let all = || self.all.iter();
        let chosen = all()
            .filter(named)
            .find(usable)
            .or_else(|| all().find(usable))
            .or_else(|| all().find(named))
            .or_else(|| all().next());
        chosen.map(|entry| Arc::clone(&entry.key))
    }
}

impl Entry {
    fn load(files: &CertificateFiles) -> Result<Self, TlsError> {
        let key = certified_key(files)?;
        let validity = validity(&files.cert, &key)?;
        Ok(Self { key: Arc::new(key), validity })
    }
}

fn is_valid_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let leaf = key.cert.first().map(ParsedCertificate::try_from);
    matches!(leaf, Some(Ok(leaf)) if verify_server_name(&leaf, name).is_ok())
}

fn validity(path: &Path, key: &CertifiedKey) -> Result<Validity, TlsError> {
    let leaf = key.cert.first().and_then(|leaf| X509Certificate::from_der(leaf).ok());
    let Some((_, leaf)) = leaf else {
        let source = rustls::Error::InvalidCertificate(rustls::CertificateError::BadEncoding);
        return Err(TlsError::Unusable { path: path.to_owned(), source });
    };
    let validity = leaf.validity();
    let at = |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    Ok(Validity {
        not_before: at(validity.not_before.timestamp()),
        not_after: at(validity.not_after.timestamp()),
    })
}

/// A chain and its key that belong together.
pub(super) fn certified_key(files: &CertificateFiles) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&files.cert)?;
    let key = private_key(&files.key)?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|source| match source {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { files: files.clone() },
        rustls::Error::InvalidCertificate(_) => TlsError::Unusable { path: files.cert.clone(), source },
        source => TlsError::Unusable { path: files.key.clone(), source },
    })
}

/// The chain in a file and the key in another, after they were found to belong together.
pub(super) fn chain_and_key(
    files: &CertificateFiles,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    certified_key(files)?;
    Ok((certificates(&files.cert)?, private_key(&files.key)?))
}

/// The key of a file that is not readable by everybody: what any process of the machine can copy proves nothing.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = content(path).map(Zeroizing::new);
    let key = pem.and_then(|pem| PrivateKeyDer::from_pem_slice(&pem)).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::Empty { path: path.to_owned(), what: "private key" },
        source => TlsError::Pem { path: path.to_owned(), source },
    })?;
    permissions::secret(path)?;
    Ok(key)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = content(path)
        .and_then(|pem| CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>())
        .map_err(|source| TlsError::Pem { path: path.to_owned(), source })?;
    if chain.is_empty() {
        return Err(TlsError::Empty { path: path.to_owned(), what: "certificate" });
    }
    permissions::unchangeable(path)?;
    Ok(chain)
}

fn content(path: &Path) -> Result<Vec<u8>, pem::Error> {
    files::read(path, LONGEST_PEM).map_err(pem::Error::Io)
}

/// What stands in the place of a file's name for a text that is in none.
const TEXT: &str = "(PEM)";

fn certificates_in(text: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    certificates.map_err(|source| TlsError::Pem { path: TEXT.into(), source })
}

/// The authorities in a file.
pub(super) fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    trusted(path, certificates(path)?)
}

/// The authorities in a text.
pub(super) fn roots_in(text: &str) -> Result<RootCertStore, TlsError> {
    trusted(Path::new(TEXT), certificates_in(text)?)
}

fn trusted(path: &Path, authorities: Vec<CertificateDer<'static>>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|source| TlsError::Unusable { path: path.to_owned(), source })?;
    }
    Ok(roots)
}
