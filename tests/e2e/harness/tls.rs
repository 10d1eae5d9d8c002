//! Certificates made for one test, and a client that trusts them.

use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

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
        let made = rcgen::generate_simple_self_signed([NAME.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (folder.join("mx.pem"), folder.join("mx.key"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        Self { certificate, key, der: made.cert.der().clone() }
    }

    /// The value of a listener's `tls` with this certificate.
    pub(crate) fn setting(&self, mode: &str) -> String {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        format!("{{ mode: {mode}, certificates: [{{ cert: \"{certificate}\", key: \"{key}\" }}] }}")
    }

    /// What a client needs to believe it.
    pub(crate) fn trust(&self) -> Trust {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Trust(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
    }
}

/// A TLS client's settings: it trusts one authority and offers X25519MLKEM768 first.
#[derive(Clone, Debug)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Encrypts a connection and says which key exchange was agreed on.
    pub(super) fn encrypt(
        &self,
        mut socket: TcpStream,
    ) -> io::Result<(StreamOwned<ClientConnection, TcpStream>, String)> {
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        let group = connection.negotiated_key_exchange_group();
        let group = group.map(|group| format!("{:?}", group.name())).unwrap_or_default();
        Ok((StreamOwned::new(connection, socket), group))
    }
}
