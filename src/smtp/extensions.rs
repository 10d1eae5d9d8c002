//! What a server says it can do (RFC 5321 4.1.1.1, 4.2.2).

mod intersect;
mod keywords;

use std::fmt;

use super::reply::Reply;

/// How many extensions that Gatepost does not know, and how many arguments of one that it knows, are kept.
const MAX_WORDS: usize = 64;

/// Octets of a word of a server's that is kept: a SASL mechanism has 20 at most (RFC 4422 3.1), an attribute of XCLIENT less.
const MAX_WORD: usize = 64;

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
    /// BINARYMIME (RFC 3030), which is worth nothing without [`chunking`](Self::chunking).
    pub binary_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// AUTH (RFC 4954): the SASL mechanisms in upper case, in the server's order; also those of the old spelling `AUTH=`. Empty when
    /// AUTH is not offered, or without a mechanism.
    pub auth: Vec<String>,
    /// DELIVERBY (RFC 2852): offered, and perhaps with the shortest time in seconds.
    pub deliver_by: Option<Option<u32>>,
    /// MT-PRIORITY (RFC 6710): offered, and perhaps with the name of a profile.
    pub mt_priority: Option<Option<String>>,
    /// FUTURERELEASE (RFC 4865).
    pub future_release: Option<FutureRelease>,
    /// REQUIRETLS (RFC 8689).
    pub require_tls: bool,
    /// LIMITS (RFC 9422); without any when it is not offered.
    pub limits: ServerLimits,
    /// The attributes that XCLIENT takes, in upper case: Postfix' way to hear who the client is.
    pub xclient: Vec<String>,
    /// The attributes that XFORWARD takes, in upper case: Postfix' way to log who the client is.
    pub xforward: Vec<String>,
    /// HELP (RFC 5321 4.1.1.8).
    pub help: bool,
    /// VRFY (RFC 5321 4.1.1.6).
    pub vrfy: bool,
    /// EXPN (RFC 5321 4.1.1.7).
    pub expn: bool,
    /// The keywords of all other extensions, in upper case; at most 64.
    pub unknown: Vec<String>,
}

/// How far ahead mail may be held back (RFC 4865 4).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FutureRelease {
    /// The longest time in seconds, of 1 to 9 digits.
    pub max_interval: u32,
    /// The latest date, an RFC 3339 date and time as the server wrote it.
    pub max_date: String,
}

/// The limits of one session that a server announces (RFC 9422). What is `None` was not announced.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ServerLimits {
    /// `MAILMAX`: transactions of one session.
    pub mail_max: Option<u32>,
    /// `RCPTMAX`: recipients of one transaction.
    pub rcpt_max: Option<u32>,
    /// `RCPTDOMAINMAX`: different recipients' domains of one transaction.
    pub rcpt_domain_max: Option<u32>,
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
        if self.set_flag(&keyword) {
            return;
        }
        match keyword.as_str() {
            "SIZE" => {
                self.size = Some(words.next().and_then(|size| size.parse().ok()).filter(|&size| size > 0));
            }
            "AUTH" => add_words(&mut self.auth, words),
            "DELIVERBY" => self.deliver_by = Some(words.next().and_then(|min| min.parse().ok())),
            "MT-PRIORITY" => {
                self.mt_priority = Some(words.next().filter(|word| is_word(word)).map(str::to_owned))
            }
            "FUTURERELEASE" => self.future_release = FutureRelease::parse(words.next(), words.next()),
            "LIMITS" => self.limits = ServerLimits::parse(words),
            "XCLIENT" => add_words(&mut self.xclient, words),
            "XFORWARD" => add_words(&mut self.xforward, words),
            _ => match keyword.strip_prefix("AUTH=") {
                Some(first) => add_words(&mut self.auth, std::iter::once(first).chain(words)),
                None if self.unknown.len() < MAX_WORDS => self.unknown.push(keyword),
                None => {}
            },
        }
    }

    /// Whether `keyword` is an extension that is offered or not, without more to say; it is offered now.
    fn set_flag(&mut self, keyword: &str) -> bool {
        let flag = match keyword {
            "8BITMIME" => &mut self.eight_bit_mime,
            "PIPELINING" => &mut self.pipelining,
            "STARTTLS" => &mut self.starttls,
            "ENHANCEDSTATUSCODES" => &mut self.enhanced_status_codes,
            "CHUNKING" => &mut self.chunking,
            "BINARYMIME" => &mut self.binary_mime,
            "SMTPUTF8" => &mut self.smtputf8,
            "DSN" => &mut self.dsn,
            "REQUIRETLS" => &mut self.require_tls,
            "HELP" => &mut self.help,
            "VRFY" => &mut self.vrfy,
            "EXPN" => &mut self.expn,
            _ => return false,
        };
        *flag = true;
        true
    }
}

/// Adds `words` in upper case to those there are, each once.
fn add_words<'a>(known: &mut Vec<String>, words: impl Iterator<Item = &'a str>) {
    for word in words.filter(|word| is_word(word)).map(str::to_ascii_uppercase) {
        if known.len() < MAX_WORDS && !known.contains(&word) {
            known.push(word);
        }
    }
}

fn is_word(word: &str) -> bool {
    (1..=MAX_WORD).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_graphic())
}

impl FutureRelease {
    /// RFC 4865 4: both arguments must be there. Without them nobody could know what the server would take.
    fn parse(interval: Option<&str>, date: Option<&str>) -> Option<Self> {
        let max_interval = interval.filter(|digits| digits.len() <= 9)?.parse().ok()?;
        let max_date = date.filter(|date| is_word(date))?.to_owned();
        Some(Self { max_interval, max_date })
    }
}

/// The arguments of the keyword.
impl fmt::Display for FutureRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.max_interval, self.max_date)
    }
}

impl ServerLimits {
    /// RFC 9422 3: `name=value` pairs, unknown names passed over; numbers of 1 to 6 digits that do not begin with 0.
    fn parse<'a>(pairs: impl Iterator<Item = &'a str>) -> Self {
        let mut limits = Self::default();
        for (name, value) in pairs.filter_map(|pair| pair.split_once('=')) {
            let place = match name.to_ascii_uppercase().as_str() {
                "MAILMAX" => &mut limits.mail_max,
                "RCPTMAX" => &mut limits.rcpt_max,
                "RCPTDOMAINMAX" => &mut limits.rcpt_domain_max,
                _ => continue,
            };
            let is_number = value.len() <= 6 && value.bytes().all(|b| b.is_ascii_digit());
            *place =
                Some(value).filter(|_| is_number).and_then(|value| value.parse().ok()).filter(|&n| n > 0);
        }
        limits
    }

    /// The smaller of each.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        let smaller = |a: Option<u32>, b: Option<u32>| a.into_iter().chain(b).min();
        Self {
            mail_max: smaller(self.mail_max, other.mail_max),
            rcpt_max: smaller(self.rcpt_max, other.rcpt_max),
            rcpt_domain_max: smaller(self.rcpt_domain_max, other.rcpt_domain_max),
        }
    }
}

/// Each limit behind a space, as behind the keyword.
impl fmt::Display for ServerLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named =
            [("MAILMAX", self.mail_max), ("RCPTMAX", self.rcpt_max), ("RCPTDOMAINMAX", self.rcpt_domain_max)];
        for (name, limit) in named {
            if let Some(limit) = limit {
                write!(f, " {name}={limit}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
