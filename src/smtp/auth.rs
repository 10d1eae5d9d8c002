//! AUTH: the client's half of a SASL exchange (RFC 4954, RFC 4422).
//!
//! What a client says here may be its password. It is held in [`Secret`]s, which show nothing in `Debug` and are overwritten
//! when they are dropped, and in no other type. What we cannot overwrite: the buffers of the kernel and of the TLS library.

use std::fmt;

use data_encoding::BASE64;
use zeroize::Zeroizing;

/// The longest line of an exchange in octets, CRLF included (RFC 4954 4).
pub const MAX_LINE: usize = 12_288;
/// Octets of a mechanism's name (RFC 4422 3.1).
const MAX_MECHANISM: usize = 20;
/// Octets of a user name that is kept; a longer one is not.
const MAX_USER: usize = 255;

/// A response of the client's, in base64 as it came.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The response in a continuation line without its CRLF, which may be empty.
    ///
    /// # Errors
    /// [`NotBase64`] when it is not base64 by the letter: alphabet, padding, no bits left over (RFC 4648 3, 4).
    pub fn parse(line: &[u8]) -> Result<Self, NotBase64> {
        decode(line)?;
        // Base64 is ASCII.
        std::str::from_utf8(line).map(|text| Self(Zeroizing::new(text.to_owned()))).map_err(|_| NotBase64)
    }

    /// The initial response in an AUTH command, where `=` stands for an empty one.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse).
    pub fn parse_initial(word: &str) -> Result<Self, NotBase64> {
        if word == "=" { Ok(Self(Zeroizing::new(String::from("=")))) } else { Self::parse(word.as_bytes()) }
    }

    fn decoded(&self) -> Zeroizing<Vec<u8>> {
        decode(self.0.trim_start_matches('=').as_bytes()).unwrap_or_default()
    }
}

/// Never what it holds.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotBase64> {
    // Padding ends it, and no second text may stand behind the first.
    let padding = text.iter().position(|&b| b == b'=').unwrap_or(text.len());
    if text.iter().skip(padding).any(|&b| b != b'=') {
        return Err(NotBase64);
    }
    let room = BASE64.decode_len(text.len()).map_err(|_| NotBase64)?;
    let mut bytes = Zeroizing::new(vec![0; room]);
    let length = BASE64.decode_mut(text, &mut bytes).map_err(|_| NotBase64)?;
    bytes.truncate(length);
    Ok(bytes)
}

/// Whether a line may be a response that holds what people write: base64 of a text, as logins and passwords are. A verb in
/// capitals is none.
pub fn may_be_text(line: &[u8]) -> bool {
    let is_text = |octets: &[u8]| {
        let text = std::str::from_utf8(octets);
        // PLAIN has NUL between its parts (RFC 4616 2), XOAUTH2 %x01.
        text.is_ok_and(|text| {
            !text.chars().any(|letter| letter.is_control() && !matches!(letter, '\0' | '\u{1}'))
        })
    };
    decode(line).is_ok_and(|octets| is_text(&octets))
}

/// A response that is no base64: 501 5.5.2 (RFC 4954 4).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("cannot base64-decode the response")]
pub struct NotBase64;

/// The name of a SASL mechanism, in upper case (RFC 4422 3.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mechanism(String);

impl Mechanism {
    /// The name that `word` is, in any case; `None` when it can be none.
    pub fn parse(word: &str) -> Option<Self> {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let fits = (1..=MAX_MECHANISM).contains(&word.len()) && word.bytes().all(inner);
        fits.then(|| Self(word.to_ascii_uppercase()))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The name, for keeping.
    pub fn into_name(self) -> String {
        self.0
    }

    /// Whether its exchange is tied to the TLS connection on which it runs (RFC 5801 5): ours is another than the upstream's.
    pub fn binds_channel(&self) -> bool {
        self.0.ends_with("-PLUS")
    }

    /// Whether an exchange means anything behind a proxy: not with channel binding, and not for nobody (RFC 4505), which
    /// policies would take for a login.
    pub fn can_be_relayed(&self) -> bool {
        !self.binds_channel() && self.0 != "ANONYMOUS"
    }
}

/// `AUTH mechanism [initial-response]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthCommand {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// The initial response, where there is one.
    pub initial: Option<Secret>,
}

impl AuthCommand {
    /// The login, as far as the command shows it.
    pub fn login(&self) -> Login {
        let mut login = Login::new(self.mechanism.clone());
        if let Some(initial) = &self.initial {
            login.hear(initial);
        }
        login
    }
}

/// One line of the client's half of an exchange.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AuthLine {
    /// The command.
    Begin(AuthCommand),
    /// The answer to a challenge.
    Response(Secret),
    /// `*`: the exchange is to be given up.
    Cancel,
}

impl AuthLine {
    /// As it goes over the wire, without its CRLF.
    pub fn wire(&self) -> Zeroizing<String> {
        match self {
            Self::Begin(AuthCommand { mechanism, initial: None }) => {
                Zeroizing::new(format!("AUTH {}", mechanism.name()))
            }
            Self::Begin(AuthCommand { mechanism, initial: Some(initial) }) => {
                // In its final size at once: what grows leaves copies behind.
                let mut line = Zeroizing::new(String::with_capacity(MAX_MECHANISM + 6 + initial.0.len()));
                for part in ["AUTH ", mechanism.name(), " ", &initial.0] {
                    line.push_str(part);
                }
                line
            }
            Self::Response(response) => response.0.clone(),
            Self::Cancel => Zeroizing::new(String::from("*")),
        }
    }
}

/// Who logs in, as far as it can be read from the exchange without its secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Login {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// The name of the user whose password or key is used (the authentication identity; RFC 4422 2); empty where it is not known.
    pub user: String,
    heard: bool,
}

impl Login {
    /// A login of which nothing was heard but the mechanism.
    pub const fn new(mechanism: Mechanism) -> Self {
        Self { mechanism, user: String::new(), heard: false }
    }

    /// Looks for the user in the client's first response, which is where every mechanism that is understood here has it.
    pub fn hear(&mut self, response: &Secret) {
        if !std::mem::replace(&mut self.heard, true) {
            let said = response.decoded();
            self.user = user(self.mechanism.name(), &said).unwrap_or_default();
        }
    }
}

/// The user in the first response of `mechanism`, if it is one that can stand in logs and policies.
fn user(mechanism: &str, said: &[u8]) -> Option<String> {
    let name = match mechanism {
        "PLAIN" => in_plain(said)?,
        "LOGIN" | "EXTERNAL" => said,
        // RFC 2195 2: the name may hold spaces, the digest does not.
        "CRAM-MD5" => said.get(..said.iter().rposition(|&b| b == b' ')?)?,
        "XOAUTH2" => until(said.strip_prefix(b"user=")?, 1),
        "OAUTHBEARER" => said.split(|&b| b == b',').nth(1)?.strip_prefix(b"a=")?,
        _ if mechanism.starts_with("SCRAM-") => {
            until(said.splitn(3, |&b| b == b',').nth(2)?.strip_prefix(b"n=")?, b',')
        }
        _ => return None,
    };
    let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= MAX_USER)?;
    // RFC 5802 5.1, RFC 5801 4: a comma and an equals sign are written so.
    let escaped = mechanism.starts_with("SCRAM-") || mechanism == "OAUTHBEARER";
    let name = if escaped { name.replace("=2C", ",").replace("=3D", "=") } else { name.to_owned() };
    (!name.chars().any(char::is_control)).then_some(name)
}

/// `[authzid] NUL authcid NUL passwd` (RFC 4616 2).
fn in_plain(said: &[u8]) -> Option<&[u8]> {
    let mut parts = said.split(|&b| b == 0);
    let (_authzid, authcid, _password) = (parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some(authcid)
}

fn until(bytes: &[u8], end: u8) -> &[u8] {
    bytes.split(|&b| b == end).next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
