//! ESMTP parameters of MAIL and RCPT (RFC 5321 4.1.1.11).

use std::fmt;

/// `KEYWORD` or `KEYWORD=value`, syntax checked, keyword in upper case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Param {
    /// The keyword in upper case.
    pub keyword: String,
    /// The value as it was written, never empty.
    pub value: Option<String>,
}

/// The body type that MAIL declared (RFC 6152).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Body {
    /// Nothing declared, or `BODY=7BIT`.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`.
    EightBitMime,
    /// `BODY=BINARYMIME` (RFC 3030).
    BinaryMime,
}

/// The parameters of one MAIL command. Only what Gatepost knows gets here; anything else is a
/// [`super::command::SyntaxError`] that answers 555.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MailParams {
    /// `SIZE=` (RFC 1870): the octets that the client says it will send.
    pub size: Option<u64>,
    /// `BODY=` (RFC 6152), where it was given.
    pub body: Option<Body>,
}

/// The parameters of one RCPT command. Gatepost carries none yet; the type keeps the room for DSN (RFC 3461).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RcptParams {}

/// What is wrong with a parameter: the client's fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParamError {
    /// Not in the syntax of RFC 5321 4.1.2.
    #[error("malformed parameter")]
    Malformed,
    /// Given twice.
    #[error("parameter given twice")]
    Duplicate,
    /// Not one that this command takes here (RFC 5321 4.1.1.11).
    #[error("parameter not recognised or not implemented")]
    Unknown,
    /// `SIZE` without a number of 1 to 20 digits (RFC 1870 3).
    #[error("SIZE takes a number of octets")]
    BadSize,
    /// A `SIZE` that no server could take.
    #[error("message too large")]
    SizeTooLarge,
    /// `BODY` with another value than these.
    #[error("BODY takes 7BIT, 8BITMIME or BINARYMIME")]
    BadBody,
}

impl Param {
    /// The parameter that `word` is.
    pub fn parse(word: &str) -> Result<Self, ParamError> {
        let (keyword, value) = match word.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (word, None),
        };
        if !is_keyword(keyword) || !value.is_none_or(is_value) {
            return Err(ParamError::Malformed);
        }
        Ok(Self { keyword: keyword.to_ascii_uppercase(), value: value.map(str::to_owned) })
    }
}

/// RFC 5321 4.1.2 `esmtp-keyword`.
fn is_keyword(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    text.bytes().all(inner) && text.bytes().next().is_some_and(|b| b != b'-')
}

/// RFC 5321 4.1.2 `esmtp-value`: printable, no space, no further `=`.
fn is_value(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'=')
}

impl MailParams {
    /// Reads what stands behind the path of MAIL: parameters, each after one space or several.
    pub fn parse(text: &str) -> Result<Self, ParamError> {
        let mut params = Self::default();
        for param in all(text) {
            let param = param?;
            match param.keyword.as_str() {
                "SIZE" => set(&mut params.size, parse_size(param.value.as_deref())?)?,
                "BODY" => set(&mut params.body, parse_body(param.value.as_deref())?)?,
                _ => return Err(ParamError::Unknown),
            }
        }
        Ok(params)
    }

    /// The parameters one by one, in the order in which they are written.
    pub fn as_written(&self) -> Vec<Param> {
        self.to_string().split_ascii_whitespace().filter_map(|word| Param::parse(word).ok()).collect()
    }
}

impl RcptParams {
    /// Reads what stands behind the path of RCPT: parameters, each after one space or several.
    pub fn parse(text: &str) -> Result<Self, ParamError> {
        match all(text).next() {
            Some(param) => param.and(Err(ParamError::Unknown)),
            None => Ok(Self {}),
        }
    }
}

fn all(text: &str) -> impl Iterator<Item = Result<Param, ParamError>> {
    text.split(' ').filter(|word| !word.is_empty()).map(Param::parse)
}

fn set<T>(place: &mut Option<T>, value: T) -> Result<(), ParamError> {
    match place.replace(value) {
        Some(_) => Err(ParamError::Duplicate),
        None => Ok(()),
    }
}

fn parse_size(value: Option<&str>) -> Result<u64, ParamError> {
    let digits = value.unwrap_or_default();
    if !(1..=20).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ParamError::BadSize);
    }
    digits.parse().map_err(|_overflow| ParamError::SizeTooLarge)
}

fn parse_body(value: Option<&str>) -> Result<Body, ParamError> {
    match value.unwrap_or_default().to_ascii_uppercase().as_str() {
        "7BIT" => Ok(Body::SevenBit),
        "8BITMIME" => Ok(Body::EightBitMime),
        "BINARYMIME" => Ok(Body::BinaryMime),
        _ => Err(ParamError::BadBody),
    }
}

/// The value that `BODY=` takes.
impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SevenBit => "7BIT",
            Self::EightBitMime => "8BITMIME",
            Self::BinaryMime => "BINARYMIME",
        })
    }
}

/// Each parameter behind a space, as in a command.
impl fmt::Display for MailParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(size) = self.size {
            write!(f, " SIZE={size}")?;
        }
        if let Some(body) = self.body {
            write!(f, " BODY={body}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
