//! ESMTP parameters of MAIL and RCPT (RFC 5321 4.1.1.11).

mod values;

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

/// What a notification of failure returns of the message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ret {
    /// All of it.
    Full,
    /// Its header.
    Headers,
}

/// How long the receiver is to hold a message back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Hold {
    /// So many seconds, 1 to 9 digits.
    For(String),
    /// Until a date and time as in RFC 3339.
    Until(String),
}

/// The parameters of one MAIL command. Only what Gatepost knows gets here; anything else is a
/// [`super::command::SyntaxError`] that answers 555. Texts are as the client wrote them, and go on so.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MailParams {
    /// `SIZE=` (RFC 1870): the octets that the client says it will send.
    pub size: Option<u64>,
    /// `BODY=` (RFC 6152, RFC 3030), where it was given.
    pub body: Option<Body>,
    /// `SMTPUTF8` (RFC 6531): addresses and header fields may be in UTF-8.
    pub smtputf8: bool,
    /// `RET=` (RFC 3461 4.3): what a notification of failure is to return.
    pub ret: Option<Ret>,
    /// `ENVID=` (RFC 3461 4.4): the envelope's name, in xtext.
    pub env_id: Option<String>,
    /// `AUTH=` (RFC 4954 5): who submitted the message first, in xtext; `<>` for nobody that is known.
    pub auth: Option<String>,
    /// `BY=` (RFC 2852 4): until when to deliver.
    pub by: Option<String>,
    /// `MT-PRIORITY=` (RFC 6710 4.2): -9 to 9.
    pub mt_priority: Option<i8>,
    /// `HOLDFOR=` or `HOLDUNTIL=` (RFC 4865 5).
    pub hold: Option<Hold>,
    /// `REQUIRETLS` (RFC 8689): over TLS with a verified server or not at all.
    pub require_tls: bool,
}

/// The parameters of one RCPT command, all of them of RFC 3461. Texts are as the client wrote them, and go on so.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RcptParams {
    /// `NOTIFY=` (4.1): `NEVER`, or of `SUCCESS`, `FAILURE` and `DELAY` those that it names.
    pub notify: Option<String>,
    /// `ORCPT=` (4.2): the original recipient with the type of its address, in xtext; in UTF-8 under SMTPUTF8 (RFC 6533 3).
    pub orcpt: Option<String>,
}

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
    /// `BODY` with another value than 7BIT, 8BITMIME and BINARYMIME.
    #[error("BODY takes 7BIT, 8BITMIME or BINARYMIME")]
    BadBody,
    /// A value behind a keyword that takes none.
    #[error("this parameter takes no value")]
    UnwantedValue,
    /// RFC 3461 4.3.
    #[error("RET takes FULL or HDRS")]
    BadRet,
    /// RFC 3461 4.4.
    #[error("ENVID takes at most 100 characters of xtext")]
    BadEnvId,
    /// RFC 3461 4.1.
    #[error("NOTIFY takes NEVER alone, or some of SUCCESS,FAILURE,DELAY")]
    BadNotify,
    /// RFC 3461 4.2, RFC 6533 3.
    #[error("ORCPT takes an address type, a semicolon and at most 500 characters of xtext")]
    BadOrcpt,
    /// RFC 4954 5.
    #[error("AUTH takes an address in xtext, or <>")]
    BadAuth,
    /// RFC 2852 4.
    #[error("BY takes seconds, a semicolon, and R or N; with R more than no seconds")]
    BadBy,
    /// RFC 6710 4.2.
    #[error("MT-PRIORITY takes a number from -9 to 9")]
    BadPriority,
    /// RFC 4865 5: neither well-formed, or both.
    #[error("HOLDFOR takes seconds, HOLDUNTIL a date and time as in RFC 3339, and one excludes the other")]
    BadHold,
}

impl Param {
    /// The parameter that `word` is. Its value may hold characters beyond ASCII only with `smtputf8` (RFC 6531 3.3).
    pub fn parse(word: &str, smtputf8: bool) -> Result<Self, ParamError> {
        let (keyword, value) = match word.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (word, None),
        };
        if !is_keyword(keyword) || !value.is_none_or(|value| is_value(value, smtputf8)) {
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

/// RFC 5321 4.1.2 `esmtp-value`: printable, no space, no further `=`; RFC 6531 3.3 adds UTF-8.
fn is_value(text: &str, smtputf8: bool) -> bool {
    let allowed = |c: char| match c {
        '=' => false,
        _ if c.is_ascii() => c.is_ascii_graphic(),
        _ => smtputf8 && !c.is_control() && !c.is_whitespace(),
    };
    !text.is_empty() && text.chars().all(allowed)
}

impl MailParams {
    /// Reads what stands behind the path of MAIL: parameters, each after one space or several.
    pub fn parse(text: &str) -> Result<Self, ParamError> {
        let mut params = Self::default();
        for param in all(text, false) {
            params.add(&param?)?;
        }
        Ok(params)
    }

    fn add(&mut self, param: &Param) -> Result<(), ParamError> {
        let value = param.value.as_deref();
        match param.keyword.as_str() {
            "SIZE" => set(&mut self.size, parse_size(value)?),
            "BODY" => set(&mut self.body, parse_body(value)?),
            "SMTPUTF8" => set_flag(&mut self.smtputf8, value),
            "RET" => set(&mut self.ret, values::ret(value)?),
            "ENVID" => set(&mut self.env_id, values::env_id(value)?),
            "AUTH" => set(&mut self.auth, values::auth(value)?),
            "BY" => set(&mut self.by, values::by(value)?),
            "MT-PRIORITY" => set(&mut self.mt_priority, values::mt_priority(value)?),
            "HOLDFOR" => self.set_hold(Hold::For(values::hold_for(value)?)),
            "HOLDUNTIL" => self.set_hold(Hold::Until(values::hold_until(value)?)),
            "REQUIRETLS" => set_flag(&mut self.require_tls, value),
            _ => Err(ParamError::Unknown),
        }
    }

    fn set_hold(&mut self, hold: Hold) -> Result<(), ParamError> {
        set(&mut self.hold, hold).map_err(|_twice| ParamError::BadHold)
    }

    /// The parameters one by one, in the order in which they are written.
    pub fn as_written(&self) -> Vec<Param> {
        self.to_string().split_ascii_whitespace().filter_map(|word| Param::parse(word, false).ok()).collect()
    }
}

impl RcptParams {
    /// Reads what stands behind the path of RCPT: parameters, each after one space or several. `smtputf8`: MAIL said so.
    pub fn parse(text: &str, smtputf8: bool) -> Result<Self, ParamError> {
        let mut params = Self::default();
        for param in all(text, smtputf8) {
            let param = param?;
            let value = param.value.as_deref();
            match param.keyword.as_str() {
                "NOTIFY" => set(&mut params.notify, values::notify(value)?)?,
                "ORCPT" => set(&mut params.orcpt, values::orcpt(value)?)?,
                _ => return Err(ParamError::Unknown),
            }
        }
        Ok(params)
    }
}

fn all(text: &str, smtputf8: bool) -> impl Iterator<Item = Result<Param, ParamError>> {
    text.split(' ').filter(|word| !word.is_empty()).map(move |word| Param::parse(word, smtputf8))
}

fn set<T>(place: &mut Option<T>, value: T) -> Result<(), ParamError> {
    match place.replace(value) {
        Some(_) => Err(ParamError::Duplicate),
        None => Ok(()),
    }
}

fn set_flag(place: &mut bool, value: Option<&str>) -> Result<(), ParamError> {
    match (std::mem::replace(place, true), value) {
        (_, Some(_)) => Err(ParamError::UnwantedValue),
        (true, None) => Err(ParamError::Duplicate),
        (false, None) => Ok(()),
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

/// The value that `RET=` takes.
impl fmt::Display for Ret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        })
    }
}

/// With its keyword.
impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(seconds) => write!(f, "HOLDFOR={seconds}"),
            Self::Until(date) => write!(f, "HOLDUNTIL={date}"),
        }
    }
}

/// Each parameter behind a space, as in a command.
impl fmt::Display for MailParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_value(f, "SIZE", self.size.as_ref())?;
        write_value(f, "BODY", self.body.as_ref())?;
        write_flag(f, "SMTPUTF8", self.smtputf8)?;
        write_value(f, "RET", self.ret.as_ref())?;
        write_value(f, "ENVID", self.env_id.as_ref())?;
        write_value(f, "AUTH", self.auth.as_ref())?;
        write_value(f, "BY", self.by.as_ref())?;
        write_value(f, "MT-PRIORITY", self.mt_priority.as_ref())?;
        if let Some(hold) = &self.hold {
            write!(f, " {hold}")?;
        }
        write_flag(f, "REQUIRETLS", self.require_tls)
    }
}

/// Each parameter behind a space, as in a command.
impl fmt::Display for RcptParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_value(f, "NOTIFY", self.notify.as_ref())?;
        write_value(f, "ORCPT", self.orcpt.as_ref())
    }
}

fn write_value<T: fmt::Display>(f: &mut fmt::Formatter<'_>, keyword: &str, value: Option<&T>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, " {keyword}={value}"))
}

fn write_flag(f: &mut fmt::Formatter<'_>, keyword: &str, is_set: bool) -> fmt::Result {
    if is_set { write!(f, " {keyword}") } else { Ok(()) }
}

#[cfg(test)]
mod tests;
