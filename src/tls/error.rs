//! What can go wrong with TLS: in its files, which is the operator's to mend, and in a handshake, which is not.

use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem;

use super::certificates::CertificateFiles;
use crate::permissions::Exposed;

/// Why TLS could not be set up: which file, and what is wrong with it. Always the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A listener with TLS needs at least one certificate.
    #[error("no certificate is configured")]
    NoCertificates,
    /// The file cannot be read, or is not PEM.
    #[error("{}: {}", path.display(), pem_fault(source))]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        source: pem::Error,
    },
    /// The file is PEM but holds nothing of what is looked for.
    #[error("{}: holds no {what}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// The private key is no secret on this machine, or the file is anybody's to change.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// The key is not the one in the leaf certificate.
    #[error("{}: is not the key of the first certificate in {}", files.key.display(), files.cert.display())]
    Mismatch {
        /// Both files.
        files: CertificateFiles,
    },
    /// The certificate or its key is of a kind that cannot be used.
    #[error("{}: cannot be used: {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// What the upstream's certificate is to be checked for is neither a name nor an address.
    #[error("`{0}` is not a name that a certificate could be checked against")]
    Name(String),
    /// Neither a file's fault nor a certificate's: the crypto library or the system's trust store.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

impl TlsError {
    /// A way out, where there is one that can be named.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Exposed(exposed) => Some(exposed.fix()),
            Self::Pem { source: pem::Error::Io(error), .. } if error.kind() == io::ErrorKind::NotFound => {
                Some("paths are relative to the folder of the configuration".to_owned())
            }
            Self::Empty { what, .. } => {
                Some(format!("a PEM file with one has a line `-----BEGIN {}-----`", what.to_uppercase()))
            }
            Self::Mismatch { files } => Some(format!(
                "the two must agree: openssl x509 -noout -pubkey -in {}; openssl pkey -pubout -in {}",
                files.cert.display(),
                files.key.display()
            )),
            _ => None,
        }
    }
}

fn pem_fault(source: &pem::Error) -> String {
    match source {
        pem::Error::Io(e) => e.to_string(),
        other => format!("not a PEM file: {other}"),
    }
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// It was not done by [`HANDSHAKE_DEADLINE`](super::HANDSHAKE_DEADLINE).
    #[error("the TLS handshake took too long")]
    Deadline,
    /// The client speaks no version that we do.
    #[error("the TLS handshake failed: the client offers at most {0}")]
    TooOld(&'static str),
    /// What the client sent is no TLS: SMTP in the clear, most likely.
    #[error("the TLS handshake failed: what the client sent is no TLS")]
    NoTls,
    /// The client has to show a certificate, and what it showed does not verify (any more).
    #[error("the TLS handshake failed: the client's certificate does not verify")]
    Unverified,
    /// The other side broke off, or nothing could be agreed upon.
    #[error("the TLS handshake failed: {0}")]
    Failed(#[from] io::Error),
    /// The upstream's host is neither a name nor an address.
    #[error("`{0}` is not a name that a certificate could be checked against")]
    Name(String),
}

impl From<HandshakeError> for io::Error {
    fn from(error: HandshakeError) -> Self {
        Self::other(error)
    }
}
