//! Certificates made for one test, and a client that trusts them.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

/// The name in the certificates: Gatepost's in all tests.
pub(crate) const NAME: &str = "mx.example.org";

/// A certificate with its key, in files.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    der: CertificateDer<'static>,
}

impl Authority {
    /// Makes a certificate for [`NAME`] and 127.0.0.1 that vouches for itself, and writes it to `folder`.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self::for_names(folder, "mx", &[NAME, "127.0.0.1"])
    }

    /// The same for other names, in files of the name `stem`.
    pub(crate) fn for_names(folder: &Path, stem: &str, names: &[&str]) -> Self {
        Self::of(folder, stem, &params(stem, names), &KeyPair::generate().unwrap())
    }

    /// One with an RSA key.
    pub(crate) fn with_rsa(folder: &Path, stem: &str, names: &[&str]) -> Self {
        Self::of(folder, stem, &params(stem, names), &KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap())
    }

    /// One that was valid once.
    pub(crate) fn expired(folder: &Path) -> Self {
        let mut params = params("expired", &[NAME, "127.0.0.1"]);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        Self::of(folder, "expired", &params, &KeyPair::generate().unwrap())
    }

    fn of(folder: &Path, stem: &str, params: &CertificateParams, key: &KeyPair) -> Self {
        let made = params.self_signed(key).unwrap();
        let (certificate, key) = write(folder, stem, &made.pem(), key);
        Self { certificate, key, der: made.der().clone() }
    }

    /// The value of a listener's `tls` with this certificate.
    pub(crate) fn setting(&self, mode: &str) -> String {
        format!("{{ mode: {mode}, certificates: [{}] }}", self.pair())
    }

    /// As an entry of `certificates`.
    pub(crate) fn pair(&self) -> String {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        format!("{{ cert: \"{certificate}\", key: \"{key}\" }}")
    }

    /// What a client needs to believe it.
    pub(crate) fn trust(&self) -> Trust {
        self.trust_as(None)
    }

    /// The same for a client that shows a certificate of its own.
    pub(crate) fn trust_as(&self, own: Option<&(PathBuf, PathBuf)>) -> Trust {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
                config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
            }
        };
        Trust(Arc::new(config))
    }
}

/// An authority that issues certificates to others.
pub(crate) struct Issuer {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Its own certificate.
    pub(crate) file: PathBuf,
}

impl Issuer {
    pub(crate) fn in_folder(folder: &Path, stem: &str) -> Self {
        let mut params = params(stem, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = folder.join(format!("{stem}.pem"));
        fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// A certificate for `name` and its key, in files.
    pub(crate) fn issue(&self, folder: &Path, stem: &str, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let made = params(stem, &[name]).signed_by(&key, &self.issuer).unwrap();
        write(folder, stem, &made.pem(), &key)
    }
}

/// `subject` tells one from the other: OpenSSL looks for an issuer by its name.
fn params(subject: &str, names: &[&str]) -> CertificateParams {
    let mut params =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, subject);
    params
}

/// Writes the key first and renames both, as who renews a certificate does; nobody else may read the key.
fn write(folder: &Path, stem: &str, certificate: &str, key: &KeyPair) -> (PathBuf, PathBuf) {
    let place = |extension: &str, text: &str| {
        let (new, file) =
            (folder.join(format!(".{stem}.{extension}")), folder.join(format!("{stem}.{extension}")));
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(if extension == "key" { 0o600 } else { 0o644 }))
            .unwrap();
        fs::rename(new, &file).unwrap();
        file
    };
    let key = place("key", &key.serialize_pem());
    (place("pem", certificate), key)
}

/// A TLS client's settings: it trusts one authority and offers X25519MLKEM768 first.
#[derive(Clone, Debug)]
pub(crate) struct Trust(Arc<ClientConfig>);

/// A connection under TLS.
pub(super) type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// What was agreed on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agreed {
    /// The key exchange.
    pub(crate) group: String,
    /// Whether it goes on with an earlier session.
    pub(crate) resumed: bool,
}

impl Trust {
    /// Encrypts a connection and says what was agreed on.
    pub(super) fn encrypt(&self, mut socket: TcpStream) -> io::Result<(Encrypted, Agreed)> {
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        let group = connection.negotiated_key_exchange_group();
        let group = group.map(|group| format!("{:?}", group.name())).unwrap_or_default();
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok((StreamOwned::new(connection, socket), Agreed { group, resumed }))
    }
}

/// Both ways of a connection.
pub(super) trait Wire: Read + Write + Send {
    /// Ends TLS, if there is any, and leaves the connection open (RFC 8446 6.1).
    fn close_notify(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wire for TcpStream {}

impl Wire for Encrypted {
    fn close_notify(&mut self) -> io::Result<()> {
        self.conn.send_close_notify();
        self.flush()
    }
}
