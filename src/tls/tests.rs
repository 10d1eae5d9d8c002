//! Handshakes between our own two sides, in memory, and with clients that are made up octet by octet.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::SignatureAlgorithm::{ECDSA, RSA};
use rustls::{HandshakeKind, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

/// Writes a key that nobody else may read, and its certificate.
fn write_pair(dir: &Path, stem: &str, cert: &str, key: &KeyPair) -> CertificateFiles {
    let files =
        CertificateFiles { cert: dir.join(format!("{stem}.pem")), key: dir.join(format!("{stem}.key")) };
    fs::write(&files.cert, cert).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
    files
}

/// A certificate for `names` that vouches for itself, and its key, in files.
pub(crate) fn write(dir: &Path, stem: &str, names: &[&str]) -> CertificateFiles {
    write_as(dir, stem, &params(names), &KeyPair::generate().unwrap())
}

fn write_as(dir: &Path, stem: &str, params: &CertificateParams, key: &KeyPair) -> CertificateFiles {
    let cert = params.self_signed(key).unwrap();
    write_pair(dir, stem, &cert.pem(), key)
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap()
}

/// An authority, and its certificate in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(dir: &Path, stem: &str) -> Self {
        let mut params = params(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, stem);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = dir.join(format!("{stem}.pem"));
        fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    fn issue(&self, dir: &Path, stem: &str, name: &str) -> CertificateFiles {
        let mut params = params(&[name]);
        params.distinguished_name.push(DnType::CommonName, "Somebody");
        params.distinguished_name.push(DnType::OrganizationName, "Exam\r\nple");
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        write_pair(dir, stem, &cert.pem(), &key)
    }
}

type Shaken = (Result<Info, HandshakeError>, Result<Info, HandshakeError>);

async fn shake(server: &ServerTls, client: &ClientTls, host: &str) -> Shaken {
    let (near, far) = duplex(16 * 1024);
    let (server, client) = tokio::join!(server.accept(far), client.connect(host, near));
    (server.map(|(_, info)| info), client.map(|(_, info)| info))
}

/// A handshake and one word from the server, with which its tickets arrive; how it was done, and what the server knows of the
/// client.
async fn visit(server: &ServerTls, client: &ClientTls) -> Result<(HandshakeKind, Info), HandshakeError> {
    let (near, far) = duplex(16 * 1024);
    let (served, met) = tokio::join!(server.accept(far), client.connect("mx.example.org", near));
    let (mut served, info) = served?;
    let (mut met, _) = met?;
    served.write_all(b"2").await.unwrap();
    served.flush().await.unwrap();
    met.read_u8().await.unwrap();
    Ok((served.get_ref().1.handshake_kind().unwrap(), info))
}

fn server(files: &CertificateFiles, settings: ServerSettings) -> ServerTls {
    ServerTls::with(Certificates::load(std::slice::from_ref(files)).unwrap(), settings).unwrap()
}

fn asking(ca: &Path, required: bool) -> ServerSettings {
    let client_certificates = Some(ClientCertificates { ca: ca.to_owned(), required });
    ServerSettings { client_certificates, only_tls13: false }
}

fn showing(certificate: Option<&CertificateFiles>) -> ClientTls {
    ClientTls::with(ClientSettings { certificate: certificate.cloned(), ..ClientSettings::default() })
        .unwrap()
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
    fs::write(&empty, "nothing here\n").unwrap();
    let broken = dir.path().join("broken.pem");
    fs::write(&broken, "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n").unwrap();
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
}

#[test]
fn a_key_that_everybody_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), "mx", &["mx.example.org"]);
    for (mode, mended) in [(0o640, None), (0o600, None), (0o644, Some("640")), (0o604, Some("600"))] {
        fs::set_permissions(&files.key, fs::Permissions::from_mode(mode)).unwrap();
        let loaded = Certificates::load(std::slice::from_ref(&files));
        let help = loaded.err().and_then(|error| error.help());
        assert_eq!(help, mended.map(|mode| format!("chmod {mode} {}", files.key.display())), "{mode:o}");
    }
}

#[test]
fn of_two_keys_for_a_name_the_client_gets_the_one_that_it_can_check() {
    let dir = tempfile::tempdir().unwrap();
    let ecdsa = write(dir.path(), "ecdsa", &["mx.example.org"]);
    let rsa_key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let rsa = write_as(dir.path(), "rsa", &params(&["mx.example.org"]), &rsa_key);
    let other = write(dir.path(), "other", &["other.example.org"]);
    let certificates = Certificates::load(&[ecdsa, rsa, other]).unwrap();
    let (with_rsa, with_ecdsa) = (SignatureScheme::RSA_PSS_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256);
    for (name, schemes, algorithm) in [
        (Some("mx.example.org"), &[with_rsa, with_ecdsa][..], ECDSA),
        (Some("mx.example.org"), &[with_rsa], RSA),
        (Some("mx.example.org"), &[with_ecdsa], ECDSA),
        (None, &[with_rsa], RSA),
        (Some("unknown.example.org"), &[with_ecdsa], ECDSA),
        (Some("other.example.org"), &[with_rsa], RSA),
        (Some("mx.example.org"), &[], ECDSA),
    ] {
        let chosen = certificates.choose(name, schemes).unwrap();
        assert_eq!(chosen.key.algorithm(), algorithm, "{name:?} {schemes:?}");
    }
}

#[test]
fn a_certificate_knows_its_time_and_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let mut limited = params(&["mx.example.org", "*.mail.example.org"]);
    limited.not_before = date_time_ymd(2020, 1, 2);
    limited.not_after = date_time_ymd(2021, 3, 4);
    let files = write_as(dir.path(), "mx", &limited, &KeyPair::generate().unwrap());
    let certificates = Certificates::load(std::slice::from_ref(&files)).unwrap();
    let (path, validity) = certificates.validities().next().unwrap();
    assert_eq!(path, files.cert);
    let at = |year: u64| SystemTime::UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_557_600);
    assert_eq!(validity.fault(at(2019)).unwrap(), "is not valid before 2020-01-02");
    assert_eq!(validity.fault(at(2020) + Duration::from_secs(1_000_000)), None);
    assert_eq!(validity.fault(at(2022)).unwrap(), "expired on 2021-03-04");
    for (name, covered) in [
        ("mx.example.org", true),
        ("MX.Example.ORG", true),
        ("a.mail.example.org", true),
        ("mail.example.org", false),
        ("a.b.mail.example.org", false),
        ("no name", false),
    ] {
        assert_eq!(certificates.covers(name), covered, "{name}");
    }
}

#[tokio::test]
async fn a_client_s_certificate_is_shown_for_what_it_is_worth() {
    let dir = tempfile::tempdir().unwrap();
    let mx = write(dir.path(), "mx", &["mx.example.org"]);
    let ours = Authority::new(dir.path(), "ours");
    let good = ours.issue(dir.path(), "good", "Client.Example.NET");
    let foreign = Authority::new(dir.path(), "theirs").issue(dir.path(), "foreign", "client.example.net");
    let own = write(dir.path(), "own", &["client.example.net"]);
    let server = server(&mx, asking(&ours.file, false));
    for (files, verified) in [(&good, true), (&foreign, false), (&own, false)] {
        let (_, info) = visit(&server, &showing(Some(files))).await.unwrap();
        let client = info.client.as_ref().unwrap();
        assert_eq!((client.name.as_str(), client.verified), ("client.example.net", verified));
        let line = info.to_string();
        assert!(line.ends_with(&format!(" client={} verified={verified}", client.fingerprint)), "{line}");
    }
    let (_, info) = visit(&server, &showing(Some(&good))).await.unwrap();
    let client = info.client.unwrap();
    assert_eq!(client.subject, "CN=Somebody, O=Exam??ple");
    assert!(client.fingerprint.len() == 64 && client.fingerprint.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(visit(&server, &showing(None)).await.unwrap().1.client, None);
}

#[tokio::test]
async fn without_the_certificate_that_is_required_there_is_no_handshake() {
    let dir = tempfile::tempdir().unwrap();
    let mx = write(dir.path(), "mx", &["mx.example.org"]);
    let ours = Authority::new(dir.path(), "ours");
    let good = ours.issue(dir.path(), "good", "client.example.net");
    let foreign = Authority::new(dir.path(), "theirs").issue(dir.path(), "foreign", "client.example.net");
    let server = server(&mx, asking(&ours.file, true));
    let good = showing(Some(&good));
    assert!(visit(&server, &good).await.unwrap().1.client.unwrap().verified);
    for files in [None, Some(&foreign)] {
        let (served, _) = shake(&server, &showing(files), "mx.example.org").await;
        assert!(served.is_err(), "{served:?}");
    }

    // A ticket is worth no more than the certificate that it remembers.
    assert_eq!(visit(&server, &good).await.unwrap().0, HandshakeKind::Resumed);
    Authority::new(dir.path(), "ours");
    server.reload().unwrap();
    assert!(visit(&server, &good).await.is_err());
}

#[tokio::test]
async fn a_reload_swaps_all_or_nothing_and_resumption_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), "mx", &["old.example.org"]);
    let server = server(&files, ServerSettings::default());
    assert_eq!(server.files(), [files.cert.clone(), files.key.clone()]);
    let client = showing(None);
    assert_eq!(visit(&server, &client).await.unwrap().0, HandshakeKind::Full);

    let key = fs::read(&files.key).unwrap();
    write(dir.path(), "mx", &["new.example.org"]);
    let new_key = fs::read(&files.key).unwrap();
    fs::write(&files.key, &key).unwrap();
    assert!(matches!(server.reload(), Err(TlsError::Mismatch { .. })), "half a renewal");
    assert!(server.certificates().covers("old.example.org"));
    fs::write(&files.key, &new_key).unwrap();
    server.reload().unwrap();
    assert!(server.certificates().covers("new.example.org"));
    assert_eq!(visit(&server, &client).await.unwrap().0, HandshakeKind::Resumed);
}

#[tokio::test]
async fn the_upstream_s_authority_is_read_again_and_old_sessions_are_not_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::new(dir.path(), "ca");
    let server = server(&ca.issue(dir.path(), "mx", "mx.example.org"), ServerSettings::default());
    let settings = ClientSettings { verify: Verify::CaFile(ca.file.clone()), ..ClientSettings::default() };
    let client = ClientTls::with(settings).unwrap();
    let clone = client.clone();
    assert!(client.verifies() && !showing(None).verifies());
    visit(&server, &client).await.unwrap();
    assert_eq!(visit(&server, &clone).await.unwrap().0, HandshakeKind::Resumed);

    fs::write(&ca.file, "").unwrap();
    assert!(client.reload().is_err());
    assert!(visit(&server, &client).await.is_ok(), "the old one stays");
    Authority::new(dir.path(), "ca");
    client.reload().unwrap();
    assert!(visit(&server, &clone).await.is_err(), "clones share it");
}

#[tokio::test]
async fn the_name_to_check_can_differ_from_the_host_that_is_dialled() {
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), "mx", &["mail.internal.example"]);
    let server = server(&files, ServerSettings::default());
    let named = |name: &str| {
        let verify = Verify::CaFile(files.cert.clone());
        ClientTls::with(ClientSettings { verify, name: Some(name.to_owned()), certificate: None })
    };
    let (served, met) = shake(&server, &named("mail.internal.example").unwrap(), "127.0.0.1").await;
    assert_eq!(served.unwrap().sni.as_deref(), Some("mail.internal.example"));
    assert!(met.is_ok());
    assert!(shake(&server, &named("mx.example.org").unwrap(), "mail.internal.example").await.1.is_err());
    assert!(matches!(named("no name"), Err(TlsError::Name(_))));
}

/// The record of a ClientHello that offers `version` at most (RFC 5246 7.4.1.2), with extensions only if that has any.
fn old_hello(version: [u8; 2]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    if version == [3, 3] {
        // signature_algorithms: ecdsa_secp256r1_sha256.
        body.extend([0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    }
    let length = u8::try_from(body.len()).unwrap();
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat()
}

async fn refused(server: &ServerTls, octets: &[u8]) -> (String, Vec<u8>) {
    let (mut near, far): (DuplexStream, _) = duplex(16 * 1024);
    near.write_all(octets).await.unwrap();
    let error = server.accept(far).await.unwrap_err().to_string();
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.unwrap();
    (error, answer)
}

/// Row 38.
#[tokio::test]
async fn old_versions_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), "mx", &["mx.example.org"]);
    let both = server(&files, ServerSettings::default());
    let only_tls13 = ServerSettings { only_tls13: true, ..ServerSettings::default() };
    let newest = server(&files, only_tls13);
    for (server, version, name) in [
        (&both, [3, 0], "SSL 3.0"),
        (&both, [3, 1], "TLS 1.0"),
        (&both, [3, 2], "TLS 1.1"),
        (&newest, [3, 3], "TLS 1.2"),
    ] {
        let (error, answer) = refused(server, &old_hello(version)).await;
        assert_eq!(error, format!("the TLS handshake failed: the client offers at most {name}"));
        // A fatal alert (RFC 8446 6), and nothing else.
        assert_eq!((answer.len(), answer[0], answer[5]), (7, 21, 2), "{answer:?}");
    }
}

/// Row 37.
#[tokio::test]
async fn what_is_no_tls_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&write(dir.path(), "mx", &["mx.example.org"]), ServerSettings::default());
    let (error, answer) = refused(&server, b"MAIL FROM:<a@example.org>\r\n").await;
    assert_eq!(error, "the TLS handshake failed: what the client sent is no TLS");
    assert!(!answer.starts_with(b"2") && !answer.starts_with(b"5"), "no SMTP reply in plaintext");
    let (error, _) = refused(&server, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00").await;
    assert!(error.starts_with("the TLS handshake failed: ") && !error.contains("no TLS"), "{error}");
}

/// Row 44: 32 requests for new keys (RFC 8446 4.6.3) in a row are granted, the next one ends the connection.
#[tokio::test]
async fn a_flood_of_key_updates_ends_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&write(dir.path(), "mx", &["mx.example.org"]), ServerSettings::default());
    let client = showing(None);
    for (updates, granted) in [(32, true), (33, false)] {
        let (near, far) = duplex(64 * 1024);
        let (served, met) = tokio::join!(server.accept(far), client.connect("mx.example.org", near));
        let ((mut served, _), (mut met, _)) = (served.unwrap(), met.unwrap());
        for _ in 0..updates {
            met.get_mut().1.refresh_traffic_keys().unwrap();
        }
        met.write_all(b"x").await.unwrap();
        met.flush().await.unwrap();
        assert_eq!(served.read_u8().await.is_ok(), granted, "{updates}");
    }
}

/// RFC 8446 4.6.1: tickets live for 12 hours at most, and there are keys for two times six.
#[test]
fn tickets_have_an_end() {
    let tickets = aws_lc_rs::Ticketer::new().unwrap();
    assert!(tickets.enabled() && tickets.lifetime() == 12 * 60 * 60);
}
