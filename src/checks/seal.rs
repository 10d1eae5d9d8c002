//! Seals what is forwarded (ARC, RFC 8617 5.1): whoever gets the message next can see what we saw, though forwarding breaks SPF and
//! lists break signatures.
//!
//! Signed is the header as it leaves, with all our own edits; the body does not change on its way through this house. A chain that
//! failed, or could not be verified for now, is left as it is: nothing that we add could mend it.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use data_encoding::BASE64;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::Checker;
use super::results::Sealable;
use super::tags::{tag, text};
use crate::message::edit::{FieldError, NewField};
use crate::message::header::{Field, Header};

const RESULTS: &str = "ARC-Authentication-Results";
const SIGNATURE: &str = "ARC-Message-Signature";
const SEAL: &str = "ARC-Seal";

/// RFC 8617 4.2.1.
const MAX_SETS: u32 = 50;
/// Fields that the signature covers, each as often as it is there (RFC 6376 5.4.1, RFC 8617 4.1.2).
const SIGNED: [&str; 19] = [
    "from",
    "reply-to",
    "subject",
    "date",
    "to",
    "cc",
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "list-id",
    "list-help",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "list-post",
    "list-archive",
    "dkim-signature",
];
/// More fields than this are not covered one by one: the signature has to fit a field.
const MAX_SIGNED: usize = 100;
/// Characters of base64 between two places to fold.
const BASE64_PIECE: usize = 60;

/// Who seals, with which key.
pub struct Sealer {
    domain: String,
    selector: String,
    key: ArcSwap<Key>,
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

/// Why a key cannot seal.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// No private key in it.
    #[error("there is no private key in PEM form in it")]
    Empty,
    /// Neither RSA of 2048 to 4096 bits nor Ed25519.
    #[error("it is neither an RSA key of 2048 to 4096 bits nor an Ed25519 key")]
    Unusable,
}

impl Sealer {
    /// Seals for `domain` (lower case, A-labels) under `selector` with the private key in `pem` (PKCS #8, or PKCS #1 for RSA).
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn new(domain: &str, selector: &str, pem: &[u8]) -> Result<Self, KeyError> {
        let key = ArcSwap::from_pointee(Key::from_pem(pem)?);
        Ok(Self { domain: domain.to_owned(), selector: selector.to_owned(), key })
    }

    /// Seals with another key from now on.
    ///
    /// # Errors
    /// That key cannot be used; the old one stays.
    pub fn replace(&self, pem: &[u8]) -> Result<(), KeyError> {
        self.key.store(Arc::new(Key::from_pem(pem)?));
        Ok(())
    }

    /// What has to be published at `selector._domainkey.domain` as TXT.
    pub fn record(&self) -> String {
        let (kind, key) = match &**self.key.load() {
            Key::Rsa(pair) => ("rsa", der(pair.public_key())),
            Key::Ed25519(pair) => ("ed25519", BASE64.encode(pair.public_key().as_ref())),
        };
        format!("v=DKIM1; k={kind}; p={key}")
    }
}

/// As all verifiers take it: a SubjectPublicKeyInfo. (RFC 6376 3.6.1 has the bare key, and its errata this one.)
fn der(key: &impl AsDer<PublicKeyX509Der<'static>>) -> String {
    key.as_der().map(|der| BASE64.encode(der.as_ref())).unwrap_or_default()
}

impl Key {
    fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| KeyError::Empty)?;
        let rsa = match &der {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            other => RsaKeyPair::from_pkcs8(other.secret_der()),
        };
        if let Ok(pair) = rsa {
            let fair = pair.public_modulus_len() <= 512;
            return if fair { Ok(Self::Rsa(Box::new(pair))) } else { Err(KeyError::Unusable) };
        }
        let ed25519 = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_der());
        ed25519.map(Self::Ed25519).map_err(|_| KeyError::Unusable)
    }

    const fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "rsa-sha256",
            Self::Ed25519(_) => "ed25519-sha256",
        }
    }

    /// Base64 with blanks in it, where it may be folded. `None` only if the library refuses.
    fn sign(&self, data: &[u8]) -> Option<String> {
        let signature = match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), data, &mut signature).ok()?;
                BASE64.encode(&signature)
            }
            // RFC 8463 3: the hash is what is signed.
            Self::Ed25519(pair) => BASE64.encode(pair.sign(digest(&SHA256, data).as_ref()).as_ref()),
        };
        let mut pieces = String::with_capacity(signature.len() + 16);
        for (nth, character) in signature.chars().enumerate() {
            if nth > 0 && nth % BASE64_PIECE == 0 {
                pieces.push(' ');
            }
            pieces.push(character);
        }
        Some(pieces)
    }
}

impl Key {
    /// The field with its signature over `data` and itself.
    fn signed(&self, name: &str, value: &str, mut data: Vec<u8>) -> Option<Result<NewField, FieldError>> {
        push_canonical(&mut data, name, value.as_bytes());
        let signature = self.sign(&data)?;
        Some(NewField::new(name, &format!("{value}{signature}")))
    }
}

/// The same key under the same name.
impl PartialEq for Sealer {
    fn eq(&self, other: &Self) -> bool {
        (&self.domain, &self.selector) == (&other.domain, &other.selector) && self.record() == other.record()
    }
}

impl Eq for Sealer {}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("domain", &self.domain)
            .field("selector", &self.selector)
            .finish_non_exhaustive()
    }
}

impl Checker {
    /// Whether messages are sealed, which takes a hash of each body.
    pub fn seals(&self) -> bool {
        self.settings.seal.is_some()
    }

    /// The three fields that go on top of `header`, which is the outgoing one; `authentication_results` is the value of our own field
    /// in it. `None` where nothing is to be sealed.
    pub fn seal(
        &self,
        header: &Header,
        state: &Sealable,
        authentication_results: &str,
    ) -> Option<[NewField; 3]> {
        let sealer = self.settings.seal.as_deref()?;
        let chain = Chain::of(header, state.sets)?;
        let now = self.clock.unix_seconds();
        sealer.set(header, &chain, state, authentication_results, now)
    }
}

impl Sealer {
    fn set(
        &self,
        header: &Header,
        chain: &Chain,
        state: &Sealable,
        authentication_results: &str,
        now: u64,
    ) -> Option<[NewField; 3]> {
        let instance = state.sets + 1;
        let found = NewField::new(RESULTS, &format!("i={instance}; {authentication_results}")).ok()?;
        // One key for both fields, whatever is swapped meanwhile.
        let key = self.key.load_full();
        let signature = self.signature(&key, header, instance, state, now)?;
        let mut signed = chain.canonical.clone();
        for field in [&found, &signature] {
            push_canonical(&mut signed, field.name(), field.value().as_bytes());
            signed.extend_from_slice(b"\r\n");
        }
        let validation = if state.sets == 0 { "none" } else { "pass" };
        let value = format!(
            "i={instance}; a={}; cv={validation}; d={}; s={}; t={now}; b=",
            key.algorithm(),
            self.domain,
            self.selector
        );
        let seal = key.signed(SEAL, &value, signed).and_then(Result::ok)?;
        Some([seal, signature, found])
    }

    /// The signature over the message.
    fn signature(
        &self,
        key: &Key,
        header: &Header,
        instance: u32,
        state: &Sealable,
        now: u64,
    ) -> Option<NewField> {
        let (names, signed) = covered(header);
        let value = format!(
            "i={instance}; a={}; c=relaxed/relaxed; d={}; s={}; t={now}; h={names}; bh={}; b=",
            key.algorithm(),
            self.domain,
            self.selector,
            BASE64.encode(&state.body_hash)
        );
        key.signed(SIGNATURE, &value, signed).and_then(Result::ok)
    }
}

/// The names for `h=` and the canonical fields that they stand for (RFC 6376 5.4.2: of several, the last one first). From stands there
/// once more than it is in the header, so that no second one can be added.
fn covered(header: &Header) -> (String, Vec<u8>) {
    let (mut names, mut signed, mut count) = (String::new(), Vec::new(), 0);
    for name in SIGNED {
        for field in header.named(name).rev().take(MAX_SIGNED.saturating_sub(count)) {
            let _ = write!(names, "{name}: ");
            push_canonical(&mut signed, name, field.raw_value());
            signed.extend_from_slice(b"\r\n");
            count += 1;
        }
    }
    names.push_str("from");
    (names, signed)
}

/// The arriving sets, canonical, in the order in which a seal signs them.
struct Chain {
    canonical: Vec<u8>,
}

impl Chain {
    /// `None` unless the header has exactly these sets: a policy may have removed fields.
    fn of(header: &Header, sets: u32) -> Option<Self> {
        if sets >= MAX_SETS {
            return None;
        }
        let mut canonical = Vec::new();
        for instance in 1..=sets {
            for name in [RESULTS, SIGNATURE, SEAL] {
                let mut fields = header.named(name).filter(|field| instance_of(field) == Some(instance));
                let (Some(field), None) = (fields.next(), fields.next()) else { return None };
                push_canonical(&mut canonical, name, field.raw_value());
                canonical.extend_from_slice(b"\r\n");
            }
        }
        let total: usize = [RESULTS, SIGNATURE, SEAL].iter().map(|name| header.count(name)).sum();
        (total == 3 * usize::try_from(sets).ok()?).then_some(Self { canonical })
    }
}

fn instance_of(field: &Field<'_>) -> Option<u32> {
    text(tag(field.raw_value(), "i")?).parse().ok()
}

/// The relaxed form of a field (RFC 6376 3.4.2), without its line end.
fn push_canonical(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend(name.bytes().map(|octet| octet.to_ascii_lowercase()));
    out.push(b':');
    let words = value.split(|octet| matches!(octet, b' ' | b'\t' | b'\r' | b'\n'));
    for (nth, word) in words.filter(|word| !word.is_empty()).enumerate() {
        if nth > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}
