//! TXT records as the checks read them. mail-auth parses; what it is too generous about is decided here, on the raw text.

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::dkim::DkimError;
use mail_auth::dmarc::Dmarc;
use mail_auth::hickory_resolver::proto::op::ResponseCode;
use mail_auth::{DnsError, Error, Txt};

use super::keys::{bits, is_of_fair_size};
use super::tags::{has_duplicates, has_item, tag, tags, text};

/// What the TXT records of a name are taken for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reading {
    /// DKIM keys.
    Key,
    /// DMARC policies.
    Dmarc,
}

impl Reading {
    /// The one record among `texts` that counts, parsed, or why there is none.
    pub(super) fn read(self, texts: &[Vec<u8>]) -> Txt {
        match self {
            Self::Key => key(texts).into(),
            Self::Dmarc => dmarc(texts).into(),
        }
    }
}

pub(super) fn not_found(code: ResponseCode) -> Error {
    Error::Dns(DnsError::RecordNotFound(code))
}

fn key(texts: &[Vec<u8>]) -> Result<DomainKey, Error> {
    let mut found = Err(Error::Dns(DnsError::InvalidRecordType));
    for text in texts {
        found = if is_for_mail(text) && is_of_fair_size(text) {
            DomainKey::parse(text)
        } else {
            Err(Error::Dkim(DkimError::UnsupportedKeyType))
        };
        if found.is_ok() {
            break;
        }
    }
    found
}

/// What is to be told of the key that these records publish.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Strength {
    /// Its bits; 0 if there is no key.
    pub(super) bits: u16,
    /// It is too weak or too strong to count (RFC 8301 3.2).
    pub(super) refused: bool,
}

/// The strength of the key that counts; else of the last one that could be understood.
pub(super) fn strength(texts: &[Vec<u8>]) -> Strength {
    let mut strength = Strength::default();
    for text in texts.iter().filter(|text| is_for_mail(text)) {
        let Some(bits) = bits(text) else { continue };
        strength = Strength { bits, refused: !is_of_fair_size(text) };
        if !strength.refused {
            break;
        }
    }
    strength
}

/// RFC 6376 3.6.1: `v=` comes first if at all, `h=` names the hashes and `s=` the services that the key may be used with.
fn is_for_mail(record: &[u8]) -> bool {
    let version_is_first = tags(record).skip(1).all(|(name, _)| name != b"v");
    let sha256 = tag(record, "h").is_none_or(|hashes| has_item(hashes, "sha256"));
    let mail = tag(record, "s").is_none_or(|uses| has_item(uses, "*") || has_item(uses, "email"));
    version_is_first && sha256 && mail && !has_duplicates(record)
}

fn dmarc(texts: &[Vec<u8>]) -> Result<Dmarc, Error> {
    let record = the_policy(texts).ok_or(Error::Dns(DnsError::InvalidRecordType))?;
    Dmarc::parse(&sound(record))
}

/// The one DMARC record among `texts`. RFC 9989 4.10: several are as good as none.
pub(super) fn the_policy(texts: &[Vec<u8>]) -> Option<&[u8]> {
    let mut records = texts.iter().filter(|text| is_dmarc(text));
    records.next().filter(|_| records.next().is_none()).map(Vec::as_slice)
}

/// RFC 9989 4.8: the version comes first and is spelled exactly so.
fn is_dmarc(record: &[u8]) -> bool {
    tags(record).next().is_some_and(|(name, value)| name == b"v" && value == b"DMARC1")
}

/// The record with only those tags whose values are sound. RFC 9989 4.7 has the others ignored; mail-auth would drop the
/// record. Addresses for reports count only in so far as there is one.
fn sound(record: &[u8]) -> Vec<u8> {
    const POLICIES: [&str; 3] = ["none", "quarantine", "reject"];
    let mut kept = String::from("v=DMARC1");
    for (name, value) in tags(record).skip(1) {
        let (name, value) = (text(name), text(value).to_ascii_lowercase());
        let allowed: &[&str] = match name.as_str() {
            "p" | "sp" | "np" => &POLICIES,
            "adkim" | "aspf" => &["r", "s"],
            "psd" => &["y", "n", "u"],
            "t" => &["y", "n"],
            "rua" if value.contains("mailto:") => {
                kept.push_str("; rua=mailto:reports@example.org");
                continue;
            }
            _ => continue,
        };
        if allowed.contains(&value.as_str()) {
            kept.push_str(&format!("; {name}={value}"));
        }
    }
    kept.into_bytes()
}

#[cfg(test)]
mod tests {
    use mail_auth::dmarc::Policy;

    use super::*;

    fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    #[test]
    fn keys_for_other_uses_do_not_count() {
        for (record, good) in [
            ("v=DKIM1; p=x", true),
            ("p=x", true),
            ("k=rsa; v=DKIM1; p=x", false),
            ("h=sha1; p=x", false),
            ("h=sha1:sha256; p=x", true),
            ("s=tlsrpt; p=x", false),
            ("s=*; p=x", true),
            ("s=other:email; p=x", true),
            ("p=x; p=y", false),
        ] {
            assert_eq!(is_for_mail(record.as_bytes()), good, "{record}");
        }
    }

    #[test]
    fn one_dmarc_record_counts() {
        for (records, readable) in [
            (&["v=DMARC1; p=none"] as &[&str], true),
            (&["v=spf1 -all", "v=DMARC1; p=none"], true),
            (&["v=DMARC1; p=none", "v=DMARC1; p=reject"], false),
            (&["v=DMARC1; p=none", "v=DMARC1; p=bogus"], false),
            (&[" v = DMARC1 ;p=none"], true),
            (&["p=none; v=DMARC1"], false),
            (&["v=DMARC2; p=none"], false),
            (&["v=DMARC1; p=none; adkim=x; fo=9; rua=nonsense; zz"], true),
            (&["v=dmarc1; p=none"], false),
        ] {
            assert_eq!(dmarc(&texts(records)).is_ok(), readable, "{records:?}");
        }
    }

    #[test]
    fn broken_dmarc_tags_are_as_if_absent() {
        for (record, policy, subdomains) in [
            ("v=DMARC1; p=Reject; sp=none", Policy::Reject, Policy::None),
            ("v=DMARC1; p=reject; sp=x", Policy::Reject, Policy::Reject),
            ("v=DMARC1; p=foo; rua=mailto:a@b.example!10m", Policy::Unspecified, Policy::Unspecified),
            ("v=DMARC1; adkim=s", Policy::Unspecified, Policy::Unspecified),
        ] {
            let parsed = dmarc(&texts(&[record])).unwrap();
            assert_eq!((parsed.p, parsed.sp), (policy, subdomains), "{record}");
        }
        assert_eq!(dmarc(&texts(&["v=DMARC1; p=foo; rua=mailto:a@b.example"])).unwrap().rua.len(), 1);
        assert_eq!(dmarc(&texts(&["v=DMARC1; p=foo; rua=http://b.example"])).unwrap().rua.len(), 0);
    }
}
