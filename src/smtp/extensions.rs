//! What a server says it can do (RFC 5321 4.1.1.1, 4.2.2).

mod intersect;

use super::reply::Reply;

/// How many extensions that Gatepost does not know are kept for the logs.
const MAX_UNKNOWN: usize = 64;

/// The extensions in a server's answer to EHLO.
///
/// What is not offered is `false`, `None` or empty; so is everything in [`Extensions::default`], which is right for a server that
/// only knows HELO.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Extensions {
    /// SIZE (RFC 1870): offered, and perhaps with the largest message in octets. `SIZE 0` sets no limit.
    pub size: Option<Option<u64>>,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// CHUNKING, that is BDAT (RFC 3030).
    pub chunking: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// HELP (RFC 5321 4.1.1.8).
    pub help: bool,
    /// The attributes that XCLIENT takes, in upper case: Postfix' way to hear who the client is.
    pub xclient: Vec<String>,
    /// The keywords of all other extensions, in upper case; at most 64.
    pub unknown: Vec<String>,
}

impl Extensions {
    /// Reads a 250 reply to EHLO. Its first line is the server's greeting; an odd line offers nothing and breaks nothing.
    pub fn from_ehlo(reply: &Reply) -> Self {
        let mut extensions = Self::default();
        for line in reply.lines().iter().skip(1) {
            extensions.add(line);
        }
        extensions
    }

    fn add(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next().map(str::to_ascii_uppercase) else { return };
        match keyword.as_str() {
            "SIZE" => {
                self.size = Some(words.next().and_then(|size| size.parse().ok()).filter(|&size| size > 0))
            }
            "8BITMIME" => self.eight_bit_mime = true,
            "PIPELINING" => self.pipelining = true,
            "STARTTLS" => self.starttls = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "CHUNKING" => self.chunking = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "DSN" => self.dsn = true,
            "HELP" => self.help = true,
            "XCLIENT" => self.xclient = words.map(str::to_ascii_uppercase).collect(),
            _ if self.unknown.len() < MAX_UNKNOWN => self.unknown.push(keyword),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
