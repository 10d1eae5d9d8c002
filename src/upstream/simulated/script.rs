//! What a simulated upstream is told to do.

use std::sync::Arc;
use std::time::Duration;

use crate::tls::ServerTls;

/// A point in the dialogue at which a simulated upstream answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cue {
    /// The connection: what is answered is the banner.
    Connect,
    /// EHLO (or HELO).
    Ehlo,
    /// STARTTLS.
    StartTls,
    /// XCLIENT.
    XClient,
    /// XFORWARD.
    XForward,
    /// AUTH.
    Auth,
    /// The client's next line in an exchange of AUTH.
    Response,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// BDAT, its chunk behind it; the last chunk without a rule of its own is answered as [`Cue::Dot`].
    Bdat,
    /// The message before its final dot or the end of its chunk, where a server has nothing to say; without a pattern, right behind
    /// its 354 or the BDAT.
    Body,
    /// The final dot.
    Dot,
    /// RSET.
    Rset,
    /// VRFY.
    Vrfy,
    /// EXPN.
    Expn,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
    /// Any command, known or not.
    Any,
}

impl Cue {
    /// Every cue.
    pub const ALL: [Self; 19] = [
        Self::Connect,
        Self::Ehlo,
        Self::StartTls,
        Self::XClient,
        Self::XForward,
        Self::Auth,
        Self::Response,
        Self::Mail,
        Self::Rcpt,
        Self::Data,
        Self::Bdat,
        Self::Body,
        Self::Dot,
        Self::Rset,
        Self::Vrfy,
        Self::Expn,
        Self::Noop,
        Self::Quit,
        Self::Any,
    ];

    /// The word for it in a transcript.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Ehlo => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::XClient => "XCLIENT",
            Self::XForward => "XFORWARD",
            Self::Auth => "AUTH",
            Self::Response => "RESPONSE",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Bdat => "BDAT",
            Self::Body => "BODY",
            Self::Dot => "DOT",
            Self::Rset => "RSET",
            Self::Vrfy => "VRFY",
            Self::Expn => "EXPN",
            Self::Noop => "NOOP",
            Self::Quit => "QUIT",
            Self::Any => "*",
        }
    }

    /// The cue with the name `word`, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cue| cue.name().eq_ignore_ascii_case(word))
    }
}

/// One thing that a simulated upstream does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Act {
    /// Sends these bytes as they are.
    Say(Vec<u8>),
    /// Waits.
    Wait(Duration),
    /// Answers as it would without any rule.
    Usual,
    /// Takes no connection; only at [`Cue::Connect`]. Together with a long [`Act::Wait`], a host that never answers.
    Refuse,
    /// Closes.
    Close,
    /// Breaks the connection, as a RST does.
    Reset,
    /// Neither reads nor writes any more, and does not close either.
    Stall,
}

/// What a simulated upstream does at a cue, one thing after the other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer(pub Vec<Act>);

impl From<Act> for Answer {
    fn from(act: Act) -> Self {
        Self(vec![act])
    }
}

impl Answer {
    /// The reply `text`: a code and its text, lines divided by `\n`, codes and hyphens as they are to be sent.
    pub fn reply(text: &str) -> Self {
        let bytes = text.split('\n').flat_map(|line| [line, "\r\n"]).collect::<String>().into_bytes();
        Act::Say(bytes).into()
    }

    /// `bytes` exactly: halves of lines, two replies at once, garbage.
    pub fn raw(bytes: &[u8]) -> Self {
        Act::Say(bytes.to_vec()).into()
    }

    /// The same, and then `act`.
    #[must_use]
    pub fn then(mut self, act: Act) -> Self {
        self.0.push(act);
        self
    }

    /// The same, `delay` later.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.0.insert(0, Act::Wait(delay));
        self
    }

    /// An upstream's faults by name: `rst`, `close`, `stall`, `half` (half a line, then nothing), `halfmulti` (half
    /// a reply of several lines, then nothing), `garbage`, `421` (and closes), `451`, `badcode` (no reply code),
    /// `1xx` (a class that SMTP does not use).
    pub fn fault(name: &str) -> Option<Self> {
        Some(match name {
            "rst" => Act::Reset.into(),
            "close" => Act::Close.into(),
            "stall" => Act::Stall.into(),
            "half" => Self::raw(b"250 2.0.0 O").then(Act::Stall),
            "halfmulti" => Self::raw(b"250-upstream.example\r\n250-SI").then(Act::Stall),
            "garbage" => Self::raw(b"\x00\xff\x1b]0;what?\x07\r\n"),
            "421" => Self::reply("421 4.3.2 upstream.example shutting down").then(Act::Close),
            "451" => Self::reply("451 4.3.0 upstream.example is not in the mood"),
            "badcode" => Self::reply("999 2.0.0 Ok"),
            "1xx" => Self::reply("150 2.0.0 Ok"),
            _ => return None,
        })
    }

    /// The same, with the acts of `usual` in the place of [`Act::Usual`].
    pub(super) fn with_usual(self, usual: &Self) -> Self {
        let spelled_out = self.0.into_iter().flat_map(|act| match act {
            Act::Usual => usual.0.clone(),
            act => vec![act],
        });
        Self(spelled_out.collect())
    }

    /// Everything that is said.
    pub(super) fn said(&self) -> Vec<u8> {
        let says = self.0.iter().map(|act| if let Act::Say(bytes) = act { bytes.as_slice() } else { &[] });
        says.collect::<Vec<_>>().concat()
    }
}

/// One rule of a script.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// When it applies.
    pub cue: Cue,
    /// Where given, only to a command line of this form, in any case; `...` stands for any text. At [`Cue::Connect`] the
    /// line is the address that was dialled. At [`Cue::Body`] this is a number of octets: the rule applies once so many
    /// came.
    pub pattern: Option<String>,
    /// What is done.
    pub answer: Answer,
    /// How often, on all connections together; without a number, always.
    pub times: Option<u32>,
}

/// How a simulated upstream behaves. Without rules it accepts everything, in the order that RFC 5321 asks for.
#[derive(Clone, Debug)]
pub struct Script {
    /// The first rule that applies is followed: of those with a number of times that are not used up, else of the
    /// others.
    pub rules: Vec<Rule>,
    /// What EHLO offers, one keyword with its arguments a line. STARTTLS is offered when there is `tls`.
    pub extensions: Vec<String>,
    /// With it, STARTTLS works.
    pub tls: Option<Arc<ServerTls>>,
    /// Whether every connection begins with a PROXY header, of either version.
    pub proxy: bool,
    /// It speaks LMTP (RFC 2033) and knows no EHLO; without, it knows no LHLO.
    pub lmtp: bool,
}

/// `PIPELINING`, `SIZE`, `8BITMIME`, `ENHANCEDSTATUSCODES` and `XCLIENT`.
impl Default for Script {
    fn default() -> Self {
        let offered = [
            "PIPELINING",
            "SIZE 104857600",
            "8BITMIME",
            "ENHANCEDSTATUSCODES",
            "XCLIENT NAME ADDR PORT PROTO HELO",
        ];
        let extensions = offered.map(str::to_owned).to_vec();
        Self { rules: Vec::new(), extensions, tls: None, proxy: false, lmtp: false }
    }
}

impl Script {
    /// With another rule: `answer` at every `cue`.
    #[must_use]
    pub fn on(self, cue: Cue, answer: Answer) -> Self {
        self.rule(Rule { cue, pattern: None, answer, times: None })
    }

    /// With another rule: `answer` at the first `cue` only.
    #[must_use]
    pub fn once(self, cue: Cue, answer: Answer) -> Self {
        self.rule(Rule { cue, pattern: None, answer, times: Some(1) })
    }

    /// With another rule: `answer` at each `cue` with a line like `pattern`.
    #[must_use]
    pub fn on_matching(self, cue: Cue, pattern: &str, answer: Answer) -> Self {
        self.rule(Rule { cue, pattern: Some(pattern.to_owned()), answer, times: None })
    }

    /// With `rule` behind those there are.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// The EHLO reply.
    pub(super) fn ehlo(&self, secured: bool) -> Answer {
        let mut lines = vec!["upstream.example".to_owned()];
        lines.extend(self.extensions.iter().cloned());
        if self.tls.is_some() && !secured {
            lines.push("STARTTLS".to_owned());
        }
        let last = lines.len().saturating_sub(1);
        let marked = lines.iter().enumerate().map(|(n, line)| {
            let mark = if n == last { ' ' } else { '-' };
            format!("250{mark}{line}")
        });
        Answer::reply(&marked.collect::<Vec<_>>().join("\n"))
    }

    /// What the rules say about `cue` and its `line`, one use of the rule taken.
    pub(super) fn answer(&mut self, cue: Cue, line: &str) -> Option<Answer> {
        let applies = |rule: &Rule| rule.times != Some(0) && rule.covers(cue, line);
        let limited = self.rules.iter().position(|rule| rule.times.is_some() && applies(rule));
        let at = limited.or_else(|| self.rules.iter().position(applies))?;
        let rule = self.rules.get_mut(at)?;
        rule.times = rule.times.map(|left| left.saturating_sub(1));
        Some(rule.answer.clone())
    }
}

impl Rule {
    fn covers(&self, cue: Cue, line: &str) -> bool {
        let any = self.cue == Cue::Any && !matches!(cue, Cue::Connect | Cue::Body | Cue::Dot);
        if self.cue != cue && !any {
            return false;
        }
        let Some(pattern) = &self.pattern else { return true };
        if cue == Cue::Body {
            let octets = |text: &str| text.parse::<u64>().unwrap_or(0);
            return octets(line) >= octets(pattern);
        }
        is_like(&line.to_ascii_lowercase(), &pattern.to_ascii_lowercase())
    }
}

/// Whether `text` is `pattern`, in which `...` stands for any text.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((start, mut pattern)) = pattern.split_once("...") else { return text == pattern };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    while let Some((piece, rest)) = pattern.split_once("...") {
        let Some((_, behind)) = text.split_once(piece) else { return false };
        (text, pattern) = (behind, rest);
    }
    text.ends_with(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (text, pattern, fits) in [
            ("MAIL FROM:<>", "mail from:<>", true),
            ("MAIL FROM:<>", "mail", false),
            ("RCPT TO:<a@b.test>", "...<A@b...", true),
            ("RCPT TO:<a@b.test>", "...<b@...", false),
            ("RCPT TO:<a@b.test>", "RCPT...b...test>", true),
            ("RCPT TO:<a@b.test>", "...test", false),
            ("anything", "...", true),
        ] {
            let rule =
                Rule { cue: Cue::Any, pattern: Some(pattern.into()), answer: Answer::raw(b""), times: None };
            assert_eq!(rule.covers(Cue::Mail, text), fits, "{text} {pattern}");
        }
    }
}
