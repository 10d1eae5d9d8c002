//! TLS towards clients and towards the upstream: certificates from PEM files, configurations, handshakes.
//!
//! The crypto provider is always named (aws-lc-rs, X25519MLKEM768 preferred); the process-wide default is never
//! asked, because it panics when two are compiled in. Versions are TLS 1.2 and 1.3. Early data stays off: a replayed
//! `RCPT` or `DATA` would be one that nobody sent.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, CommonState, ConfigBuilder, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme, WantsVerifier,
};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// How long a whole handshake may take, on either side.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// A certificate chain and its private key, as PEM files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The key of the leaf: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

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
    /// Neither a file's fault nor a certificate's: the crypto library or the system's trust store.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
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
    /// It was not done by [`HANDSHAKE_DEADLINE`].
    #[error("the TLS handshake took too long")]
    Deadline,
    /// The other side broke off, sent no TLS, or nothing could be agreed upon.
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

/// What was negotiated, for logs, `Received` fields and scripts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Info {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite by its IANA name.
    pub cipher: String,
    /// The key exchange group, such as `X25519MLKEM768`.
    pub group: Option<String>,
    /// The name that the client asked for; on the upstream's side, the one that we did.
    pub sni: Option<String>,
}

/// What a listener needs to accept TLS. The certificates can be replaced while it runs.
#[derive(Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    certificates: Arc<Swappable>,
}

impl ServerTls {
    /// TLS for a server that shows `certificates`.
    ///
    /// # Errors
    /// [`TlsError::Setup`] when the crypto library refuses.
    pub fn new(certificates: Certificates) -> Result<Self, TlsError> {
        let certificates = Arc::new(Swappable(ArcSwap::from_pointee(certificates)));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Swappable>::clone(&certificates));
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.max_early_data_size = 0;
        Ok(Self { config: Arc::new(config), certificates })
    }

    /// Shows `certificates` to every handshake that begins from now on. Sessions that were resumed from an earlier
    /// one do not look at certificates again.
    pub fn replace(&self, certificates: Certificates) {
        self.certificates.0.store(Arc::new(certificates));
    }

    /// Does the server's side of a handshake within [`HANDSHAKE_DEADLINE`].
    ///
    /// The caller has made sure that no byte read before the handshake is kept (RFC 3207 4.2).
    ///
    /// # Errors
    /// After any error the stream is not to be used again, least of all without TLS.
    pub async fn accept<S>(&self, stream: S) -> Result<(server::TlsStream<S>, Info), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = TlsAcceptor::from(Arc::clone(&self.config)).accept(stream);
        let stream = timeout(HANDSHAKE_DEADLINE, handshake).await.map_err(|_| HandshakeError::Deadline)??;
        let (_, connection) = stream.get_ref();
        let info = Info::of(connection, connection.server_name());
        Ok((stream, info))
    }
}

/// How the upstream's certificate is checked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Verify {
    /// Not at all: the leg is encrypted, which a passive listener cannot undo, and nothing is claimed beyond that.
    #[default]
    Nothing,
    /// Against the operating system's trust store.
    Platform,
    /// Against the certificates of this PEM file alone.
    CaFile(PathBuf),
}

/// What is needed to speak TLS towards the upstream.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    verifies: bool,
}

impl ClientTls {
    /// TLS for a client that checks the server by `verify`.
    ///
    /// # Errors
    /// The file of [`Verify::CaFile`] is missing or holds no certificate, or the system has no trust store.
    pub fn new(verify: &Verify) -> Result<Self, TlsError> {
        let builder =
            ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let config = match verify {
            Verify::Nothing => unverified(builder),
            Verify::Platform => builder.with_platform_verifier()?.with_no_client_auth(),
            Verify::CaFile(path) => builder.with_root_certificates(roots(path)?).with_no_client_auth(),
        };
        Ok(Self { config: Arc::new(config), verifies: *verify != Verify::Nothing })
    }

    /// Whether a handshake that succeeds says who the server is.
    pub const fn verifies(&self) -> bool {
        self.verifies
    }

    /// Does the client's side of a handshake with the server called `host`, within [`HANDSHAKE_DEADLINE`].
    ///
    /// # Errors
    /// After any error the stream is not to be used again.
    pub async fn connect<S>(
        &self,
        host: &str,
        stream: S,
    ) -> Result<(client::TlsStream<S>, Info), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| HandshakeError::Name(host.to_owned()))?;
        let sni = matches!(name, ServerName::DnsName(_)).then_some(host);
        let handshake = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream);
        let stream = timeout(HANDSHAKE_DEADLINE, handshake).await.map_err(|_| HandshakeError::Deadline)??;
        let (_, connection) = stream.get_ref();
        let info = Info::of(connection, sni);
        Ok((stream, info))
    }
}

/// The certificates of a listener: the first is shown to clients that ask for no name or for an unknown one.
#[derive(Debug)]
pub struct Certificates {
    first: Arc<CertifiedKey>,
    others: Vec<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads every file of `files` and checks that each key belongs to its leaf.
    ///
    /// # Errors
    /// The first file that cannot be used, and why.
    pub fn load(files: &[CertificateFiles]) -> Result<Self, TlsError> {
        let mut keys = files.iter().map(|pair| certified_key(pair).map(Arc::new));
        let first = keys.next().unwrap_or(Err(TlsError::NoCertificates))?;
        Ok(Self { first, others: keys.collect::<Result<_, _>>()? })
    }

    /// The first certificate that is valid for `name`, wildcards included (RFC 6125 6.4); else the first of all.
    fn for_name(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let mut all = std::iter::once(&self.first).chain(&self.others);
        let wanted = name.and_then(|name| ServerName::try_from(name).ok());
        let valid = wanted.and_then(|name| all.find(|key| is_valid_for(key, &name)));
        Arc::clone(valid.unwrap_or(&self.first))
    }
}

fn is_valid_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let leaf = key.cert.first().map(ParsedCertificate::try_from);
    matches!(leaf, Some(Ok(leaf)) if verify_server_name(&leaf, name).is_ok())
}

/// What the handshake asks for a certificate: a whole set that can be replaced at once.
#[derive(Debug)]
struct Swappable(ArcSwap<Certificates>);

impl ResolvesServerCert for Swappable {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().for_name(hello.server_name()))
    }
}

impl Info {
    fn of(connection: &CommonState, sni: Option<&str>) -> Self {
        let version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        let cipher = connection.negotiated_cipher_suite().map_or_else(String::new, |suite| {
            // rustls writes TLS13_ where the registry of RFC 8446 has TLS_.
            format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
        });
        let group = connection.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
        Self { version, cipher, group, sni: sni.map(str::to_owned) }
    }
}

/// `version=TLSv1.3 cipher=... group=...`, as for a log line.
impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version={} cipher={}", self.version, self.cipher)?;
        self.group.as_ref().map_or(Ok(()), |group| write!(f, " group={group}"))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certified_key(files: &CertificateFiles) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::Empty { path: files.key.clone(), what: "private key" },
        source => TlsError::Pem { path: files.key.clone(), source },
    })?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|source| match source {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { files: files.clone() },
        rustls::Error::InvalidCertificate(_) => TlsError::Unusable { path: files.cert.clone(), source },
        source => TlsError::Unusable { path: files.key.clone(), source },
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TlsError::Pem { path: path.to_owned(), source })?;
    if chain.is_empty() {
        return Err(TlsError::Empty { path: path.to_owned(), what: "certificate" });
    }
    Ok(chain)
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|source| TlsError::Unusable { path: path.to_owned(), source })?;
    }
    Ok(roots)
}

fn unverified(builder: ConfigBuilder<ClientConfig, WantsVerifier>) -> ClientConfig {
    let verifier = Arc::new(Unverified(Arc::clone(builder.crypto_provider())));
    builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
}

/// Takes any certificate, yet still checks that the server holds its key: else the handshake would prove nothing at all.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use rcgen::{CertifiedKey as Generated, generate_simple_self_signed};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn write(dir: &Path, stem: &str, names: &[&str]) -> CertificateFiles {
        let names = names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let Generated { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let files =
            CertificateFiles { cert: dir.join(format!("{stem}.pem")), key: dir.join(format!("{stem}.key")) };
        std::fs::write(&files.cert, cert.pem()).unwrap();
        std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
        files
    }

    async fn shake(
        server: &ServerTls,
        client: &ClientTls,
        host: &str,
    ) -> (Result<Info, HandshakeError>, Result<Info, HandshakeError>) {
        let (near, far) = duplex(16 * 1024);
        let (server, client) = tokio::join!(server.accept(far), client.connect(host, near));
        (server.map(|(_, info)| info), client.map(|(_, info)| info))
    }

    fn load_error(files: &[CertificateFiles]) -> String {
        Certificates::load(files).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_the_file_and_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let good = write(dir.path(), "good", &["mx.example.org"]);
        let other = write(dir.path(), "other", &["mx.example.org"]);
        let missing = dir.path().join("none.pem");
        let empty = dir.path().join("empty.pem");
        std::fs::write(&empty, "nothing here\n").unwrap();
        let broken = dir.path().join("broken.pem");
        std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n").unwrap();
        let with_cert = |cert: &Path| CertificateFiles { cert: cert.to_owned(), key: good.key.clone() };
        let with_key = |key: &Path| CertificateFiles { cert: good.cert.clone(), key: key.to_owned() };
        for (files, path, reason) in [
            (with_cert(&missing), &missing, "No such file"),
            (with_cert(&empty), &empty, "holds no certificate"),
            (with_cert(&broken), &broken, "not a PEM file"),
            (with_key(&missing), &missing, "No such file"),
            (with_key(&empty), &empty, "holds no private key"),
            (with_key(&other.key), &other.key, "is not the key of the first certificate"),
        ] {
            let error = load_error(&[good.clone(), files]);
            assert!(error.starts_with(&path.display().to_string()), "{error}");
            assert!(error.contains(reason), "{error} / {reason}");
        }
        assert_eq!(load_error(&[]), "no certificate is configured");
    }

    #[tokio::test]
    async fn both_sides_know_what_was_negotiated() {
        let dir = tempfile::tempdir().unwrap();
        let files = write(dir.path(), "mx", &["mx.example.org"]);
        let server = ServerTls::new(Certificates::load(&[files]).unwrap()).unwrap();
        let client = ClientTls::new(&Verify::Nothing).unwrap();
        let (at_server, at_client) = shake(&server, &client, "mx.example.org").await;
        let info = at_server.unwrap();
        assert_eq!(info, at_client.unwrap());
        assert_eq!(info.version, "TLSv1.3");
        assert!(info.cipher.starts_with("TLS_"), "{}", info.cipher);
        assert_eq!(info.group.as_deref(), Some("X25519MLKEM768"));
        assert_eq!(info.sni.as_deref(), Some("mx.example.org"));
    }

    #[tokio::test]
    async fn the_certificate_follows_the_name_and_can_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let one = write(dir.path(), "one", &["one.example.org"]);
        let two = write(dir.path(), "two", &["*.two.example.org"]);
        let trust = |files: &CertificateFiles| ClientTls::new(&Verify::CaFile(files.cert.clone())).unwrap();
        let server = ServerTls::new(Certificates::load(&[one.clone(), two.clone()]).unwrap()).unwrap();
        assert!(shake(&server, &trust(&one), "one.example.org").await.1.is_ok());
        assert!(shake(&server, &trust(&two), "mx.two.example.org").await.1.is_ok());
        assert!(shake(&server, &trust(&two), "two.example.org").await.1.is_err(), "the default is `one`");

        server.replace(Certificates::load(std::slice::from_ref(&two)).unwrap());
        assert!(shake(&server, &trust(&one), "one.example.org").await.1.is_err());
        assert!(shake(&server, &trust(&two), "mx.two.example.org").await.1.is_ok());
    }

    #[tokio::test]
    async fn a_wrong_name_or_signer_is_refused_when_verification_is_on() {
        let dir = tempfile::tempdir().unwrap();
        let files = write(dir.path(), "mx", &["mx.example.org"]);
        let server = ServerTls::new(Certificates::load(std::slice::from_ref(&files)).unwrap()).unwrap();
        let by_file = ClientTls::new(&Verify::CaFile(files.cert)).unwrap();
        assert!(shake(&server, &by_file, "mx.example.org").await.1.is_ok());
        assert!(shake(&server, &by_file, "other.example.org").await.1.is_err());
        assert!(shake(&server, &by_file, "127.0.0.1").await.1.is_err());
        assert!(matches!(shake_name(&by_file, "no such name").await, HandshakeError::Name(_)));
    }

    async fn shake_name(client: &ClientTls, host: &str) -> HandshakeError {
        let (near, _far) = duplex(1024);
        client.connect(host, near).await.unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_that_stalls_or_is_no_tls_ends() {
        let dir = tempfile::tempdir().unwrap();
        let files = write(dir.path(), "mx", &["mx.example.org"]);
        let server = ServerTls::new(Certificates::load(&[files]).unwrap()).unwrap();
        let (_silent, far) = duplex(1024);
        assert!(matches!(server.accept(far).await, Err(HandshakeError::Deadline)));

        let (mut near, far) = duplex(1024);
        near.write_all(b"MAIL FROM:<a@example.org>\r\n").await.unwrap();
        assert!(matches!(server.accept(far).await, Err(HandshakeError::Failed(_))));
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.unwrap();
        assert!(!answer.starts_with(b"2") && !answer.starts_with(b"5"), "no SMTP reply in plaintext");
    }
}
