//! What may stand behind the `=` of a parameter. What is right goes on as it was written.

use super::{ParamError, Ret};
use crate::smtp::path::Mailbox;

/// Characters of an ENVID (RFC 3461 4.4).
const MAX_ENV_ID: usize = 100;
/// Characters of an ORCPT (RFC 3461 4.2), and of an AUTH (RFC 4954 5).
const MAX_ADDRESS: usize = 500;
/// Digits of a time in seconds (RFC 2852 4, RFC 4865 3).
const MAX_SECONDS: usize = 9;

/// `RET=FULL`, `RET=HDRS`.
pub(super) fn ret(value: Option<&str>) -> Result<Ret, ParamError> {
    match value.unwrap_or_default().to_ascii_uppercase().as_str() {
        "FULL" => Ok(Ret::Full),
        "HDRS" => Ok(Ret::Headers),
        _ => Err(ParamError::BadRet),
    }
}

/// `ENVID=QQ314159`.
pub(super) fn env_id(value: Option<&str>) -> Result<String, ParamError> {
    let well_formed = |id: &&str| id.len() <= MAX_ENV_ID && xtext(id).is_some();
    value.filter(well_formed).map(str::to_owned).ok_or(ParamError::BadEnvId)
}

/// `NOTIFY=NEVER`, `NOTIFY=SUCCESS,DELAY`.
pub(super) fn notify(value: Option<&str>) -> Result<String, ParamError> {
    let value = value.unwrap_or_default().to_ascii_uppercase();
    let is_event = |word: &str| matches!(word, "SUCCESS" | "FAILURE" | "DELAY");
    let mut seen: Vec<&str> = Vec::new();
    let events = value.split(',').all(|word| {
        let first = !seen.contains(&word);
        seen.push(word);
        first && is_event(word)
    });
    if value == "NEVER" || events { Ok(value) } else { Err(ParamError::BadNotify) }
}

/// `ORCPT=rfc822;b@example.org`, `ORCPT=utf-8;b\x{e9}@example.org`.
pub(super) fn orcpt(value: Option<&str>) -> Result<String, ParamError> {
    let well_formed = |value: &&str| {
        value.chars().count() <= MAX_ADDRESS
            && value.split_once(';').is_some_and(|(kind, address)| {
                is_atom(kind) && !address.is_empty() && is_original_address(kind, address)
            })
    };
    value.filter(well_formed).map(str::to_owned).ok_or(ParamError::BadOrcpt)
}

fn is_original_address(kind: &str, address: &str) -> bool {
    if kind.eq_ignore_ascii_case("utf-8") { is_unitext(address) } else { xtext(address).is_some() }
}

/// `AUTH=<>`, `AUTH=e+3Dmc2@example.com`.
pub(super) fn auth(value: Option<&str>) -> Result<String, ParamError> {
    let well_formed = |value: &&str| {
        *value == "<>"
            || value.len() <= MAX_ADDRESS
                && xtext(value).is_some_and(|mailbox| mailbox.is_ascii() && Mailbox::parse(&mailbox).is_ok())
    };
    value.filter(well_formed).map(str::to_owned).ok_or(ParamError::BadAuth)
}

/// `BY=120;R`, `BY=-5;NT`: with `R`, the time must not be over already (RFC 2852 4).
pub(super) fn by(value: Option<&str>) -> Result<String, ParamError> {
    let well_formed = |value: &&str| {
        let Some((time, mode)) = value.split_once(';') else { return false };
        let is_past = time.starts_with('-') || time.bytes().all(|b| matches!(b, b'+' | b'0'));
        let digits = time.strip_prefix(['+', '-']).unwrap_or(time);
        is_seconds(digits)
            && match mode.to_ascii_uppercase().as_str() {
                "R" | "RT" => !is_past,
                "N" | "NT" => true,
                _ => false,
            }
    };
    value.filter(well_formed).map(str::to_owned).ok_or(ParamError::BadBy)
}

/// `MT-PRIORITY=3`, `MT-PRIORITY=-9`.
pub(super) fn mt_priority(value: Option<&str>) -> Result<i8, ParamError> {
    let value = value.unwrap_or_default();
    let digits = value.strip_prefix('-').unwrap_or(value);
    let well_formed = digits.len() == 1 && digits.bytes().all(|b| b.is_ascii_digit()) && value != "-0";
    value.parse().ok().filter(|_| well_formed).ok_or(ParamError::BadPriority)
}

/// `HOLDFOR=86400`.
pub(super) fn hold_for(value: Option<&str>) -> Result<String, ParamError> {
    let well_formed = |value: &&str| is_seconds(value) && value.bytes().any(|b| b != b'0');
    value.filter(well_formed).map(str::to_owned).ok_or(ParamError::BadHold)
}

/// `HOLDUNTIL=2026-12-31T23:59:59Z`: the form is checked, the calendar is the upstream's business.
pub(super) fn hold_until(value: Option<&str>) -> Result<String, ParamError> {
    value.filter(|value| is_date(value)).map(str::to_owned).ok_or(ParamError::BadHold)
}

fn is_seconds(digits: &str) -> bool {
    (1..=MAX_SECONDS).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

/// RFC 3339 5.6 `date-time`.
fn is_date(text: &str) -> bool {
    let Some((fixed, rest)) = text.split_at_checked("2026-12-31T23:59:59".len()) else { return false };
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(fraction) => fraction.split_at(fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(0)),
        None => ("0", rest),
    };
    let is_offset = |zone: &str| is_like(zone, "+00:00") || is_like(zone, "-00:00");
    is_like(fixed, "0000-00-00T00:00:00")
        && (1..=9).contains(&fraction.len())
        && (zone.eq_ignore_ascii_case("Z") || is_offset(zone))
}

/// Whether `text` has a digit wherever `form` has one, and else the same letters.
fn is_like(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(b, wanted)| match wanted {
            b'0' => b.is_ascii_digit(),
            _ => b.eq_ignore_ascii_case(&wanted),
        })
}

/// RFC 5322 3.2.3 `atom`, which an address type is.
fn is_atom(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*-/?^_`{|}~".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}

/// What xtext means (RFC 3461 4): `+` and two hexadecimal digits are an octet; small ones are against the grammar and harmless. `None` for what is no xtext, and for octets
/// that would be control characters or no UTF-8: whoever reads them later must not be tricked by us.
fn xtext(text: &str) -> Option<String> {
    let mut meaning = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        meaning.push(match b {
            b'+' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'=' => return None,
            b'!'..=b'~' => b,
            _ => return None,
        });
    }
    String::from_utf8(meaning).ok().filter(|meaning| !meaning.chars().any(char::is_control))
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'A'..=b'F' => Some(digit.wrapping_sub(b'A').wrapping_add(10)),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

/// RFC 6533 3 `utf-8-addr-xtext`, `utf-8-addr-unitext`: characters as they are, but `+`, `=` and `\` as `\x{HEX}`. What a client writes
/// in xtext all the same is taken too, since nothing else could be meant by it.
fn is_unitext(text: &str) -> bool {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\\' => embedded(rest),
            '+' => rest.get(1..3).filter(|digits| xtext(&format!("+{digits}")).is_some()).map(|_| 3),
            '=' => None,
            _ if c.is_ascii() => c.is_ascii_graphic().then_some(1),
            _ => Some(c.len_utf8()),
        };
        match length.and_then(|length| rest.get(length..)) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    true
}

/// The octets of the `\x{HEX}` with which `text` begins, if it is a printable character.
fn embedded(text: &str) -> Option<usize> {
    let (digits, _) = text.strip_prefix("\\x{")?.split_once('}')?;
    let in_form = (2..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let code = u32::from_str_radix(digits, 16).ok().filter(|_| in_form)?;
    char::from_u32(code).filter(|c| !c.is_control()).map(|_| digits.len() + "\\x{}".len())
}

#[cfg(test)]
mod tests;
