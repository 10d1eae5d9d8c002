//! How strong a published key is. mail-auth does not tell, and takes RSA keys of 8192 bits.

use data_encoding::BASE64;

use super::tags::{tag, text};

/// RFC 8301 3.2: shorter RSA keys are no keys, and longer ones than 4096 bits need not be taken: they only cost.
const RSA_BITS: std::ops::RangeInclusive<u16> = 1024..=4096;
/// Of an Ed25519 key (RFC 8463).
const ED25519_OCTETS: usize = 32;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// The bits of the key in a key record; `None` if there is none that can be understood.
pub(super) fn bits(record: &[u8]) -> Option<u16> {
    let octets = BASE64.decode(text(tag(record, "p")?).as_bytes()).ok()?;
    match text(tag(record, "k").unwrap_or(b"rsa")).to_ascii_lowercase().as_str() {
        "rsa" => rsa_bits(&octets),
        "ed25519" if octets.len() == ED25519_OCTETS => Some(256),
        _ => None,
    }
}

/// Whether signatures by the key in this record may count. One that cannot be understood is for others to refuse.
pub(super) fn is_of_fair_size(record: &[u8]) -> bool {
    let is_rsa = tag(record, "k").is_none_or(|kind| text(kind).eq_ignore_ascii_case("rsa"));
    !is_rsa || bits(record).is_none_or(|bits| RSA_BITS.contains(&bits))
}

/// Of a SubjectPublicKeyInfo, or of the bare RSAPublicKey that RFC 6376 3.6.1 has.
fn rsa_bits(der: &[u8]) -> Option<u16> {
    let (outer, _) = value(der, SEQUENCE)?;
    let inner = match value(outer, SEQUENCE) {
        None => outer,
        Some((_, rest)) => {
            let (key, _) = value(rest, BIT_STRING)?;
            value(key.strip_prefix(&[0])?, SEQUENCE)?.0
        }
    };
    let (modulus, _) = value(inner, INTEGER)?;
    let zeros = modulus.iter().take_while(|octet| **octet == 0).count();
    let digits = modulus.get(zeros..)?;
    let leading = digits.first()?.leading_zeros();
    u16::try_from(digits.len() * 8).ok()?.checked_sub(u16::try_from(leading).ok()?)
}

/// The content of a DER value with this tag, and what comes behind it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, short], rest) = der.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81 => rest.split_first().map(|(octet, rest)| (usize::from(*octet), rest))?,
        0x82 => {
            rest.split_first_chunk::<2>().map(|(octets, rest)| (u16::from_be_bytes(*octets).into(), rest))?
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::suites::file;

    /// An RSAPublicKey with a modulus of so many bits, wrapped or bare.
    fn rsa(bits: usize, wrapped: bool) -> String {
        let tlv = |tag: u8, content: &[u8]| {
            let mut der = vec![tag, 0x82];
            der.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
            der.extend(content);
            der
        };
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] = 0xff >> ((8 - bits % 8) % 8);
        modulus.insert(0, 0);
        let key = tlv(SEQUENCE, &[tlv(INTEGER, &modulus), tlv(INTEGER, &[1, 0, 1])].concat());
        let whole = tlv(
            SEQUENCE,
            &[tlv(SEQUENCE, &[5, 0]), tlv(BIT_STRING, &[&[0], key.as_slice()].concat())].concat(),
        );
        BASE64.encode(if wrapped { &whole } else { &key })
    }

    #[test]
    fn keys_of_every_size() {
        for (bits_of_key, fair) in [
            (512, false),
            (1023, false),
            (1024, true),
            (2048, true),
            (3071, true),
            (4096, true),
            (4097, false),
            (16384, false),
        ] {
            for wrapped in [true, false] {
                let record = format!("v=DKIM1; p={}", rsa(bits_of_key, wrapped));
                assert_eq!(bits(record.as_bytes()), Some(u16::try_from(bits_of_key).unwrap()), "{wrapped}");
                assert_eq!(is_of_fair_size(record.as_bytes()), fair, "{bits_of_key}");
            }
        }
    }

    #[test]
    fn keys_of_the_suites() {
        let suite = String::from_utf8(file("own/dkim-own-dev.json")).unwrap();
        for (found, record) in [(1024, "MIGfMA0"), (2048, "MIIBIjAN"), (4096, "MIICIjAN")] {
            let from = suite.find(&format!("v=DKIM1; k=rsa; p={record}")).unwrap();
            let record = suite[from..].split('"').next().unwrap();
            assert_eq!(bits(record.as_bytes()), Some(found));
        }
        assert_eq!(bits(b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="), Some(256));
    }

    #[test]
    fn what_is_no_key_has_no_bits() {
        for record in
            ["", "p=", "p=AAAA", "p=!", "k=ed25519; p=AAAA", "k=dsa; p=AAAA", "p=MIIB", "p=MIGfMA0GCSqGSIb3"]
        {
            assert_eq!(bits(record.as_bytes()), None, "{record}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_octets_make_it_fall_over(octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40)) {
            let _ = rsa_bits(&octets);
            let wrapped = [&[SEQUENCE, u8::try_from(octets.len()).unwrap()], octets.as_slice()].concat();
            let _ = rsa_bits(&wrapped);
        }
    }
}
