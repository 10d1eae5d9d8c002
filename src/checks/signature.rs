//! A `DKIM-Signature` field by the letter of RFC 6376 3.5, before its key is asked for.
//!
//! "Being 'liberal in what you accept' is definitely a bad strategy in this security context" (6.1.1): mail-auth reads numbers that
//! are none as 0, takes tags in capitals for others and an absent algorithm for RSA. So it is only shown what this page has read.

use mail_auth::common::crypto::Algorithm;
use mail_auth::dkim::Signature;

use super::dkim::reason;
use super::names::ascii_domain;
use super::results::CheckResult;
use super::tags::{has_duplicates, has_item};

/// Fields that a signature may name. Each is looked for among all fields of the message, so that more would cost: nobody who means
/// well signs so many.
pub(super) const MAX_NAMES: usize = 256;

/// The tags that RFC 6376 3.5 knows and a verifier has a use for.
const KNOWN: [&str; 11] = ["v", "a", "b", "bh", "c", "d", "h", "i", "s", "t", "x"];
/// Those without which there is no signature.
const REQUIRED: [&str; 7] = ["v", "a", "b", "bh", "d", "h", "s"];

/// Folding white space.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Why a signature does not count, whatever its key says.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) result: CheckResult,
    /// One of [`Dkim::REASONS`](super::results::Dkim::REASONS).
    pub(super) reason: &'static str,
}

/// Decides what can be decided without body and key, and where mail-auth would be too generous. `from` is the number of From fields
/// of the message, `partial` what a signature is that leaves out a part of the body.
pub(super) fn judge(value: &[u8], from: usize, now: u64, partial: CheckResult) -> Result<Signature, Flaw> {
    let broken = |reason| Err(Flaw { result: CheckResult::PermError, reason });
    if has_duplicates(value) {
        return broken("duplicate_tag");
    }
    let Some(tags) = Tags::read(value) else {
        return broken("syntax");
    };
    let mut signature = match Signature::parse(tags.known().as_bytes()) {
        Ok(signature) => signature,
        Err(error) => return broken(reason(&error)),
    };
    if use_a_labels(&mut signature).is_none() {
        return broken("syntax");
    }
    if signature.a == Algorithm::RsaSha1 {
        // RFC 8301 3.1
        return broken("algorithm");
    }
    if tags.get("q").is_some_and(|methods| !has_item(methods.as_bytes(), "dns/txt")) {
        return broken("query_method");
    }
    // RFC 6376 5.4, and 8.15: of two, readers may see the one that is not signed.
    if from == 0 || !signature.h.iter().any(|name| name.eq_ignore_ascii_case("from")) {
        return broken("from_not_signed");
    }
    if from > 1 {
        return broken("several_from");
    }
    limits(&tags, &signature, now, partial)?;
    // Judged by our clock already; and no look-ups for reports (RFC 6651) or third parties (RFC 6541).
    signature.x = 0;
    signature.r = false;
    signature.atps = None;
    Ok(signature)
}

/// What a signature that is well written still may not do.
fn limits(tags: &Tags<'_>, signature: &Signature, now: u64, partial: CheckResult) -> Result<(), Flaw> {
    if signature.h.len() > MAX_NAMES {
        return Err(Flaw { result: CheckResult::Neutral, reason: "too_many" });
    }
    if tags.get("l").is_some() {
        // RFC 6376 8.2: anyone can append to such a message.
        return Err(Flaw { result: partial, reason: "partial_body" });
    }
    if signature.x != 0 && (signature.x <= signature.t || signature.x < now) {
        return Err(Flaw { result: CheckResult::Fail, reason: "expired" });
    }
    Ok(())
}

/// Writes domain and selector as DNS asks for them (RFC 8616 5). `None` if one of them is none that DNS could carry: then nothing is
/// ever asked for.
fn use_a_labels(signature: &mut Signature) -> Option<()> {
    signature.d = ascii_domain(&signature.d)?;
    signature.s = ascii_domain(&signature.s)?;
    if let Some((local, domain)) = signature.i.rsplit_once('@') {
        signature.i = format!("{local}@{}", ascii_domain(domain)?);
    }
    Some(())
}

/// A tag list in the form of RFC 6376 3.2, with values in the forms of 3.5.
struct Tags<'v>(Vec<(&'v str, &'v str)>);

impl<'v> Tags<'v> {
    /// `None` if anything is out of form, or missing.
    fn read(value: &'v [u8]) -> Option<Self> {
        // Beyond ASCII since RFC 8616.
        let text = std::str::from_utf8(value).ok()?;
        if text.chars().any(|c| c.is_control() && !BLANKS.contains(&c)) {
            return None;
        }
        let list = text.trim_end_matches(BLANKS);
        let list = list.strip_suffix(';').unwrap_or(list);
        let tag = |part: &'v str| {
            let (name, value) = part.split_once('=')?;
            let (name, value) = (name.trim_matches(BLANKS), value.trim_matches(BLANKS));
            (is_name(name) && is_in_form(name, value)).then_some((name, value))
        };
        let tags = Self(list.split(';').map(tag).collect::<Option<_>>()?);
        REQUIRED.iter().all(|name| tags.get(name).is_some()).then_some(tags)
    }

    /// Names are case-sensitive (RFC 6376 3.2).
    fn get(&self, name: &str) -> Option<&'v str> {
        self.0.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
    }

    fn known(&self) -> String {
        let known = self.0.iter().filter(|(name, _)| KNOWN.contains(name));
        known.fold(String::new(), |list, (name, value)| list + *name + "=" + *value + ";")
    }
}

/// `ALPHA *(ALPHA / DIGIT / "_")`.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_in_form(name: &str, value: &str) -> bool {
    match name {
        "v" => value == "1",
        "a" => value.split_once('-').is_some_and(|(key, hash)| is_name(key) && is_name(hash)),
        "b" | "bh" => is_base64(value),
        "c" => is_canonicalization(value),
        "d" | "s" => !value.is_empty() && !value.contains(BLANKS),
        "h" => value.split(':').all(|name| is_field_name(name.trim_matches(BLANKS))),
        "i" => value.contains('@'),
        "l" => is_number(value, 76),
        "t" | "x" => is_number(value, 12),
        _ => true,
    }
}

fn is_number(value: &str, digits: usize) -> bool {
    (1..=digits).contains(&value.len()) && value.bytes().all(|octet| octet.is_ascii_digit())
}

/// Padded or not, folded anywhere.
fn is_base64(value: &str) -> bool {
    let digits = value.trim_end_matches('=');
    let is_digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/') || BLANKS.contains(&c);
    !digits.is_empty() && value.len() - digits.len() <= 2 && digits.chars().all(is_digit)
}

fn is_canonicalization(value: &str) -> bool {
    let is_form = |form: &str| ["simple", "relaxed"].iter().any(|known| known.eq_ignore_ascii_case(form));
    value.split('/').count() <= 2 && value.split('/').all(is_form)
}

/// RFC 5322 3.6.8; a semicolon would end the tag.
fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::results::Dkim;

    const GOOD: &str = "v=1; a=rsa-sha256; d=example.org; s=sel; h=from:to; bh=AAAA; b=BBBBCCCCDDDD; t=100";

    fn result(value: &str) -> CheckResult {
        judge(value.as_bytes(), 1, 1000, CheckResult::Neutral)
            .map_or_else(|flaw| flaw.result, |_| CheckResult::Pass)
    }

    #[test]
    fn signatures_worth_verifying() {
        use CheckResult::{Fail, Neutral, Pass, PermError};
        for (value, expected) in [
            (GOOD.to_owned(), Pass),
            (format!("{GOOD}; x=2000"), Pass),
            (format!("{GOOD}; x=999"), Fail),
            (format!("{GOOD}; x=100"), Fail),
            (format!("{GOOD}; l=0"), Neutral),
            (format!("{GOOD}; l=5"), Neutral),
            (format!("{GOOD}; q=dns/txt"), Pass),
            (format!("{GOOD}; q=http"), PermError),
            (format!("{GOOD}; d=other.org"), PermError),
            (GOOD.replace("s=sel", "s=a.b-c._d"), Pass),
            (GOOD.replace("s=sel", "s=a..b"), PermError),
            (GOOD.replace("s=sel", "s="), PermError),
            (GOOD.replace("s=sel", "s=a/b"), PermError),
            (GOOD.replace("s=sel", "s=a\0b"), PermError),
            (GOOD.replace("s=sel", "s=sel._domainkey.bank.example."), PermError),
            (GOOD.replace("s=sel", &format!("s={}", "a".repeat(64))), PermError),
            (GOOD.replace("d=example.org", "d=example.org'"), PermError),
            (GOOD.replace("d=example.org", "d=(example.org"), PermError),
            (GOOD.replace("d=example.org", "d=example.org."), PermError),
            (GOOD.replace("d=example.org", "d=b\u{fc}cher.example"), Pass),
            (format!("{GOOD}; i=@example.org"), Pass),
            (format!("{GOOD}; i=a@(example.org"), PermError),
            (GOOD.replace("from:to", "to:subject"), PermError),
            (GOOD.replace("from:to", "to : From"), Pass),
            (GOOD.replace("v=1; ", ""), PermError),
            (GOOD.replace("v=1", "v=2"), PermError),
            (GOOD.replace("rsa-sha256", "rsa-sha1"), PermError),
            (GOOD.replace("rsa-sha256", "dsa"), PermError),
            (GOOD.replace("bh=AAAA; ", ""), PermError),
            (String::new(), PermError),
        ] {
            assert_eq!(result(&value), expected, "{value}");
        }
    }

    #[test]
    fn reasons_are_a_closed_set() {
        for value in
            ["", "d=a; d=b", &format!("{GOOD}; l=1"), &format!("{GOOD}; q=x"), &GOOD.replace("256", "1")]
        {
            let flaw = judge(value.as_bytes(), 1, 0, CheckResult::Policy).unwrap_err();
            assert!(Dkim::REASONS.contains(&flaw.reason), "{value}: {}", flaw.reason);
        }
    }

    /// RFC 6376 6.1.1: any unexpected value makes the field none.
    #[test]
    fn what_is_out_of_form() {
        use CheckResult::{Pass, PermError};
        for (value, expected) in [
            (format!("{GOOD};"), Pass),
            (format!("{GOOD}; \r\n\t"), Pass),
            (format!("{GOOD}; z=From:x|To:y; zz_9=\u{fc}"), Pass),
            (GOOD.replace("b=BBBB", "b=\r\n BB\r\n\tBB"), Pass),
            (GOOD.replace("b=BBBBCCCCDDDD", "b=BBBBCCCCDDD="), Pass),
            (GOOD.replace("h=from:to", "h=\r\n from :\r\n to"), Pass),
            (format!("{GOOD}; c=Relaxed"), Pass),
            (format!("{GOOD}; c=simple/relaxed"), Pass),
            // mail-auth would take capitals for the tags that they resemble.
            (format!("{GOOD}; D=bank.example; S=other; X=1; L=0"), Pass),
            (GOOD.replace("d=", "D="), PermError),
            (GOOD.replace("a=rsa-sha256; ", ""), PermError),
            (GOOD.replace("a=rsa-sha256", "a=sha256"), PermError),
            (GOOD.replace("v=1", "v=1.0"), PermError),
            (GOOD.replace("v=1", "v=01"), PermError),
            (format!("{GOOD};; z=x"), PermError),
            (format!("{GOOD}; nothing"), PermError),
            (format!("{GOOD}; 1=x"), PermError),
            (format!("{GOOD}; a b=x"), PermError),
            (format!("{GOOD}; x=soon"), PermError),
            (format!("{GOOD}; x="), PermError),
            (format!("{GOOD}; x=-1"), PermError),
            (format!("{GOOD}; x=9999999999999"), PermError),
            (GOOD.replace("t=100", "t=1 00"), PermError),
            (format!("{GOOD}; l=all"), PermError),
            (format!("{GOOD}; c=relaxed/relaxed/relaxed"), PermError),
            (format!("{GOOD}; c=nowsp"), PermError),
            (format!("{GOOD}; c="), PermError),
            (format!("{GOOD}; i=nobody"), PermError),
            (GOOD.replace("d=example.org", "d=exam ple.org"), PermError),
            (GOOD.replace("s=sel", "s=s\r\n el"), PermError),
            (GOOD.replace("h=from:to", "h=from:"), PermError),
            (GOOD.replace("h=from:to", "h=from::to"), PermError),
            (GOOD.replace("h=from:to", "h=from to"), PermError),
            (GOOD.replace("bh=AAAA", "bh=A-AA"), PermError),
            (GOOD.replace("b=BBBBCCCCDDDD", "b=BBBB===="), PermError),
            (GOOD.replace("b=BBBBCCCCDDDD", "b="), PermError),
        ] {
            assert_eq!(result(&value), expected, "{value}");
        }
        assert_eq!(result("v=1; a=rsa-sha256; d=\u{7f}; s=x; h=from; bh=A; b=A"), PermError);
        assert!(judge(b"v=1; a=rsa-sha256; d=\xff; s=x; h=from; bh=A; b=A", 1, 0, Pass).is_err());
    }

    #[test]
    fn from_is_there_once_and_signed() {
        let reason = |from, value: &str| {
            judge(value.as_bytes(), from, 0, CheckResult::Neutral).map_err(|flaw| flaw.reason).err()
        };
        assert_eq!(reason(1, GOOD), None);
        assert_eq!(reason(0, GOOD), Some("from_not_signed"));
        assert_eq!(reason(2, GOOD), Some("several_from"));
        assert_eq!(reason(2, &GOOD.replace("h=from", "h=from:from")), Some("several_from"));
        assert_eq!(reason(1, &GOOD.replace("h=from:", "h=")), Some("from_not_signed"));
        let names = |count: usize| GOOD.replace("h=from", &format!("h=from{}", ":x".repeat(count)));
        assert_eq!(reason(1, &names(254)), None);
        assert_eq!(reason(1, &names(255)), Some("too_many"));
    }

    proptest::proptest! {
        #[test]
        fn no_value_makes_it_fall_over(value in r#"([vabcdhilqstxz=;: \r\n/@."-]|bh=|from|rsa-sha256|\PC){0,60}"#) {
            let _ = judge(value.as_bytes(), 1, 0, CheckResult::Neutral);
            let _ = judge(format!("{GOOD};{value}").as_bytes(), 1, 0, CheckResult::Neutral);
        }
    }
}
