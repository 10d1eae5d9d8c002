//! The client's side: what is needed to speak TLS towards an upstream.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::WantsClientCert;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ConfigBuilder, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, client};

use super::certificates::{CertificateFiles, chain_and_key, roots, roots_in};
use super::error::{HandshakeError, TlsError};
use super::info::Info;
use super::verifier::AnyServer;
use super::{HANDSHAKE_DEADLINE, provider};

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
    /// Against the certificates in this text alone, in PEM: those of a server that is part of the program.
    Pem(&'static str),
}

/// How TLS is spoken to one upstream.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientSettings {
    /// How its certificate is checked.
    pub verify: Verify,
    /// The name that the certificate has to be for and that SNI asks for; `None`: the host that is connected to.
    pub name: Option<String>,
    /// What we show when it asks who we are.
    pub certificate: Option<CertificateFiles>,
}

/// What is needed to speak TLS towards the upstream. Clones share their state: what one of them reloads, all have.
#[derive(Clone, Debug)]
pub struct ClientTls {
    settings: Arc<ClientSettings>,
    config: Arc<ArcSwap<ClientConfig>>,
}

/// Equal when they go by the same files and rules, whatever is in the files.
impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl ClientTls {
    /// TLS for a client that checks the server by `verify`.
    ///
    /// # Errors
    /// The file of [`Verify::CaFile`] is missing or holds no certificate, or the system has no trust store.
    pub fn new(verify: &Verify) -> Result<Self, TlsError> {
        Self::with(ClientSettings { verify: verify.clone(), ..ClientSettings::default() })
    }

    /// TLS for a client by `settings`.
    ///
    /// # Errors
    /// Also when our own certificate cannot be used, or the name is none.
    pub fn with(settings: ClientSettings) -> Result<Self, TlsError> {
        if let Some(name) = settings.name.as_ref().filter(|name| ServerName::try_from(name.as_str()).is_err())
        {
            return Err(TlsError::Name(name.clone()));
        }
        let config = configuration(&settings)?;
        Ok(Self { settings: Arc::new(settings), config: Arc::new(ArcSwap::from_pointee(config)) })
    }

    /// Whether both share their state.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }

    /// Whether a handshake that succeeds proves who the server is.
    pub fn verifies(&self) -> bool {
        self.settings.verify != Verify::Nothing
    }

    /// Every file that it is made of.
    pub fn files(&self) -> Vec<PathBuf> {
        let own = self.settings.certificate.iter().flat_map(|pair| [pair.cert.clone(), pair.key.clone()]);
        let ca = match &self.settings.verify {
            Verify::CaFile(path) => Some(path.clone()),
            Verify::Nothing | Verify::Platform | Verify::Pem(_) => None,
        };
        own.chain(ca).collect()
    }

    /// Reads its files again, and goes by them from the next handshake on. Sessions with the upstream are not resumed across
    /// it, so that no one is trusted for what an authority said that is trusted no more.
    ///
    /// # Errors
    /// The first file that cannot be used; everything stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.config.store(Arc::new(configuration(&self.settings)?));
        Ok(())
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
        let host = self.settings.name.as_deref().unwrap_or(host);
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| HandshakeError::Name(host.to_owned()))?;
        let sni = matches!(name, ServerName::DnsName(_)).then_some(host);
        let handshake = TlsConnector::from(self.config.load_full()).connect(name, stream);
        let stream = timeout(HANDSHAKE_DEADLINE, handshake).await.map_err(|_| HandshakeError::Deadline)??;
        let (_, connection) = stream.get_ref();
        let info = Info::of(connection, sni);
        Ok((stream, info))
    }
}

fn configuration(settings: &ClientSettings) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match &settings.verify {
        Verify::Nothing => unverified(builder),
        Verify::Platform => builder.with_platform_verifier()?,
        Verify::CaFile(path) => builder.with_root_certificates(roots(path)?),
        Verify::Pem(text) => builder.with_root_certificates(roots_in(text)?),
    };
    let Some(files) = &settings.certificate else { return Ok(builder.with_no_client_auth()) };
    let (chain, key) = chain_and_key(files)?;
    Ok(builder.with_client_auth_cert(chain, key)?)
}

fn unverified(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let verifier = Arc::new(AnyServer(Arc::clone(builder.crypto_provider())));
    builder.dangerous().with_custom_certificate_verifier(verifier)
}
