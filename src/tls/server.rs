//! The server's side: what a listener needs to speak TLS with its clients.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, ProducesTickets, ResolvesServerCert, ServerSessionMemoryCache, StoresServerSessions,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{CommonState, ServerConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, server};

use super::certificates::{CertificateFiles, Certificates, roots};
use super::error::{HandshakeError, TlsError};
use super::info::{ClientCertificate, Info};
use super::opening::Opening;
use super::verifier::{AnyClient, is_provable};
use super::{HANDSHAKE_DEADLINE, provider};

/// Sessions of TLS 1.2 clients without tickets that can be resumed; the oldest goes first.
const SESSIONS: usize = 1024;

/// A client's stream after the handshake.
pub type ServerStream<S> = server::TlsStream<Opening<S>>;

/// What may differ from one listener to the other.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServerSettings {
    /// Whether clients are asked for a certificate; `None`: they are not.
    pub client_certificates: Option<ClientCertificates>,
    /// TLS 1.3 alone.
    pub only_tls13: bool,
}

/// How clients' certificates are treated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientCertificates {
    /// The PEM file of the authorities that issue them.
    pub ca: PathBuf,
    /// No handshake without one that verifies. Else any is taken, and [`ClientCertificate::verified`] says what it is worth.
    pub required: bool,
}

/// What a listener needs to accept TLS. Its files can be read again while it runs.
///
/// Sessions are resumed by tickets (RFC 8446 4.6.1, RFC 5077), which cost the server no memory. Their key is made at start,
/// replaced every 6 hours and forgotten after 12, so that a ticket lives that long at most; it is never written anywhere.
#[derive(Debug)]
pub struct ServerTls {
    settings: ServerSettings,
    certificates: Arc<Swappable>,
    terms: ArcSwap<Terms>,
    /// What outlives a reload, so that resumption does.
    resumption: Resumption,
}

/// What a handshake goes by.
#[derive(Debug)]
struct Terms {
    config: Arc<ServerConfig>,
    /// Who says whether a client's certificate is good.
    judge: Option<Arc<dyn ClientCertVerifier>>,
}

#[derive(Clone, Debug)]
struct Resumption {
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
}

/// What the handshake asks for a certificate: a whole set that can be replaced at once.
#[derive(Debug)]
struct Swappable(ArcSwap<Certificates>);

impl ResolvesServerCert for Swappable {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().choose(hello.server_name(), hello.signature_schemes())
    }
}

impl ServerTls {
    /// TLS for a server that shows `certificates` and asks clients for none.
    ///
    /// # Errors
    /// [`TlsError::Setup`] when the crypto library refuses.
    pub fn new(certificates: Certificates) -> Result<Self, TlsError> {
        Self::with(certificates, ServerSettings::default())
    }

    /// The same by `settings`.
    ///
    /// # Errors
    /// Also when the authorities of clients' certificates cannot be read.
    pub fn with(certificates: Certificates, settings: ServerSettings) -> Result<Self, TlsError> {
        let certificates = Arc::new(Swappable(ArcSwap::from_pointee(certificates)));
        let resumption = Resumption {
            tickets: aws_lc_rs::Ticketer::new()?,
            sessions: ServerSessionMemoryCache::new(SESSIONS),
        };
        let terms = Terms::new(&settings, Arc::<Swappable>::clone(&certificates), &resumption)?;
        Ok(Self { settings, certificates, terms: ArcSwap::from_pointee(terms), resumption })
    }

    /// Whether it goes by the same files and rules as `other`, whatever is in the files.
    pub fn is_like(&self, other: &Self) -> bool {
        self.settings == other.settings && self.certificates().files() == other.certificates().files()
    }

    /// The certificates that are shown now.
    pub fn certificates(&self) -> Arc<Certificates> {
        self.certificates.0.load_full()
    }

    /// Every file that it is made of.
    pub fn files(&self) -> Vec<PathBuf> {
        let ca = self.settings.client_certificates.iter().map(|clients| clients.ca.clone());
        let certificates = self.certificates();
        let pairs = certificates.files().iter().flat_map(|CertificateFiles { cert, key }| [cert, key]);
        pairs.cloned().chain(ca).collect()
    }

    /// Reads its files again, and goes by them from the next handshake on; handshakes and sessions under way are not touched.
    ///
    /// A session that is resumed by an earlier ticket shows no certificate again; the client's, which the ticket remembers, is
    /// judged anew.
    ///
    /// # Errors
    /// The first file that cannot be used; everything stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let certificates = Certificates::load(self.certificates().files())?;
        let source = Arc::<Swappable>::clone(&self.certificates);
        let terms = Terms::new(&self.settings, source, &self.resumption)?;
        self.replace(certificates);
        self.terms.store(Arc::new(terms));
        Ok(())
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
    pub async fn accept<S>(&self, stream: S) -> Result<(ServerStream<S>, Info), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let terms = self.terms.load_full();
        let acceptor = TlsAcceptor::from(Arc::clone(&terms.config));
        let handshake = acceptor.accept(Opening::new(stream)).into_fallible();
        let shaken = timeout(HANDSHAKE_DEADLINE, handshake).await.map_err(|_| HandshakeError::Deadline)?;
        let stream = shaken.map_err(|(error, opening)| opening.explain(error))?;
        let (_, connection) = stream.get_ref();
        let mut info = Info::of(connection, connection.server_name());
        info.client = terms.client(connection).map(Arc::new);
        let verified = info.client.as_ref().is_some_and(|client| client.verified);
        if self.requires_certificate() && !verified {
            // Full handshakes do not get so far; this one was resumed from the time before a reload.
            return Err(HandshakeError::Unverified);
        }
        Ok((stream, info))
    }

    fn requires_certificate(&self) -> bool {
        self.settings.client_certificates.as_ref().is_some_and(|clients| clients.required)
    }
}

impl Terms {
    fn new(
        settings: &ServerSettings,
        certificates: Arc<Swappable>,
        resumption: &Resumption,
    ) -> Result<Self, TlsError> {
        let judge = settings.client_certificates.as_ref().map(judge).transpose()?;
        let builder =
            ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions(settings))?;
        let builder = match (&settings.client_certificates, &judge) {
            (Some(clients), Some(judge)) if clients.required => {
                builder.with_client_cert_verifier(Arc::clone(judge))
            }
            (Some(_), _) => builder.with_client_cert_verifier(Arc::new(AnyClient(provider()))),
            (None, _) => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(certificates);
        config.ticketer = Arc::clone(&resumption.tickets);
        config.session_storage = Arc::clone(&resumption.sessions);
        config.max_early_data_size = 0;
        Ok(Self { config: Arc::new(config), judge })
    }

    /// The certificate that the client showed, where it proved to have its key.
    fn client(&self, connection: &CommonState) -> Option<ClientCertificate> {
        let (leaf, intermediates) = connection.peer_certificates()?.split_first()?;
        if !is_provable(leaf) {
            return None;
        }
        let now = UnixTime::now();
        let judged = self.judge.as_ref().map(|judge| judge.verify_client_cert(leaf, intermediates, now));
        Some(ClientCertificate::read(leaf, matches!(judged, Some(Ok(_)))))
    }
}

fn judge(clients: &ClientCertificates) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let roots = Arc::new(roots(&clients.ca)?);
    let built = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
    // A store that is not empty and lists no revocations is all that it asks for.
    built
        .map(|verifier| verifier as Arc<dyn ClientCertVerifier>)
        .map_err(|error| TlsError::Setup(rustls::Error::General(error.to_string())))
}

fn versions(settings: &ServerSettings) -> &'static [&'static SupportedProtocolVersion] {
    static ONLY_TLS13: [&SupportedProtocolVersion; 1] = [&version::TLS13];
    if settings.only_tls13 { &ONLY_TLS13 } else { rustls::DEFAULT_VERSIONS }
}
