//! Everything that a client, or the mail server, may see of Gatepost.

/// One difference that is meant to be.
#[derive(Debug)]
pub(super) struct Difference {
    /// The command, `banner` or `message`.
    step: &'static str,
    /// What Postfix says; `*` is anything. Empty: nothing (a line of EHLO's answer).
    direct: &'static str,
    /// What is said through Gatepost, likewise.
    through: &'static str,
    why: &'static str,
}

impl Difference {
    pub(super) fn explains(&self, step: &str, direct: &str, through: &str) -> bool {
        (self.step == "*" || self.step == step)
            && matches(self.direct, direct)
            && matches(self.through, through)
    }
}

/// Whether `text` is `pattern`, where a `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*').map(regex::escape).collect::<Vec<_>>().join("(?s:.*)");
    parts.insert(0, '^');
    parts.push('$');
    regex::Regex::new(&parts).unwrap().is_match(text)
}

pub(super) const DIFFERENCES: &[Difference] = &[
    row(
        "banner",
        "220 mail.example.org ESMTP Postfix",
        "220 mx.example.org ESMTP Gatepost",
        "The banner carries Gatepost's `hostname`: the upstream is not connected before the first recipient.",
    ),
    row("HELO", "250 mail.example.org", "250 mx.example.org greets *", "As the banner."),
    row("EHLO", "250 mail.example.org", "", "As the banner."),
    row("EHLO", "", "250 mx.example.org greets *", "As the banner."),
    row("EHLO", "SIZE *", "", "Gatepost offers less, so that there is room for the fields that it adds."),
    row("EHLO", "", "SIZE *", "The smaller of its own limit and the upstream's less 16 KiB."),
    row("EHLO", "ETRN", "", "Starts the delivery of a queue, which Gatepost has none of; not carried."),
    row(
        "EHLO",
        "VRFY",
        "",
        "VRFY is answered by Gatepost, without saying who exists, unless it is configured to ask the upstream.",
    ),
    row("EHLO", "", "HELP", "Gatepost answers HELP."),
    row(
        "EHLO",
        "501 Syntax: EHLO hostname",
        "",
        "Grammar is checked before anything goes upstream; Gatepost's own words.",
    ),
    row("EHLO", "", "501 5.5.4 * (gp ID)", "The same."),
    row("HELO", "501 Syntax: HELO hostname", "501 5.5.4 * (gp ID)", "The same."),
    row(
        "MAIL",
        "250 2.1.0 Ok",
        "250 2.1.0 sender ok",
        "The upstream hears of MAIL with the first recipient; it has its say there.",
    ),
    row(
        "MAIL",
        "250 2.1.0 Ok",
        "503 5.5.1 say HELO or EHLO first (gp ID)",
        "Postfix takes mail without a greeting unless told otherwise; Gatepost wants one (RFC 5321 4.1.4).",
    ),
    row(
        "RCPT",
        "503 5.5.1 Error: need MAIL command",
        "503 5.5.1 say * first (gp ID)",
        "The order of commands is checked here; the same code.",
    ),
    row("MAIL", "503 5.5.1 Error: nested MAIL command", "503 5.5.1 * (gp ID)", "The same."),
    row("DATA", "503 5.5.1 Error: need RCPT command", "503 5.5.1 say MAIL first (gp ID)", "The same."),
    row(
        "DATA",
        "554 5.5.1 Error: no valid recipients",
        "503 5.5.1 say RCPT first (gp ID)",
        "The same; Postfix says 554 whether there was a recipient or not.",
    ),
    row(
        "DATA",
        "554 5.5.1 Error: no valid recipients",
        "554 5.5.1 no valid recipients: * (gp ID)",
        "Gatepost's own words; the same code.",
    ),
    row(
        "DATA",
        "354 End data with <CR><LF>.<CR><LF>",
        "354 go ahead, end with <CRLF>.<CRLF>",
        "Gatepost takes the message before the upstream does.",
    ),
    row("RSET", "250 2.0.0 Ok", "250 2.0.0 ok", "Gatepost's own words; the same code."),
    row("NOOP", "250 2.0.0 Ok", "250 2.0.0 ok", "The same."),
    row("QUIT", "221 2.0.0 Bye", "221 2.0.0 bye", "The same."),
    row(
        "QUIT",
        "221 2.0.0 Bye",
        "501 5.5.4 * (gp ID)",
        "QUIT takes no argument (RFC 5321 4.1.1.10); Postfix is lenient.",
    ),
    row("QUIT", "(closed)", "221 2.0.0 bye", "The QUIT that follows the one with an argument."),
    row(
        "FOO",
        "500 5.5.2 Error: command not recognized",
        "500 5.5.2 command not recognised (gp ID)",
        "Gatepost's own words; the same code.",
    ),
    row("", "500 5.5.2 Error: bad syntax", "500 5.5.2 * (gp ID)", "An empty line; the same code."),
    row(
        "ETRN",
        "459 <example.org>: service unavailable",
        "500 5.5.2 command not recognised (gp ID)",
        "Not offered, not carried.",
    ),
    row(
        "EXPN",
        "500 5.5.2 Error: command not recognized",
        "502 5.5.1 * (gp ID)",
        "Known and not implemented (RFC 5321 4.2.4).",
    ),
    row("HELP", "500 5.5.2 Error: command not recognized", "214 2.0.0 *", "Gatepost answers HELP."),
    row("VRFY", "252 2.0.0 suzie@example.org", "252 2.1.5 cannot verify, *", "See EHLO."),
    row("VRFY", "550 5.1.1 *", "252 2.1.5 cannot verify, *", "See EHLO."),
    row(
        "VRFY",
        "501 5.5.4 Syntax: VRFY address [SMTPUTF8]",
        "501 5.5.4 * (gp ID)",
        "Gatepost's own words; the same code.",
    ),
    row(
        "MAIL",
        "501 5.5.4 Syntax: MAIL FROM:<address>",
        "501 5.5.4 * (gp ID)",
        "Gatepost's own words; the same code.",
    ),
    row(
        "RCPT",
        "501 5.5.4 Syntax: RCPT TO:<address>",
        "501 5.5.4 * (gp ID)",
        "Grammar is checked before anything goes upstream; the same code.",
    ),
    row("RCPT", "501 5.1.3 Bad recipient address syntax", "501 5.1.3 * (gp ID)", "The same."),
    row(
        "RCPT",
        "554 5.7.1 <suzie>: Relay access denied",
        "501 5.1.3 the address has no domain (gp ID)",
        "Only `postmaster` may go without a domain (RFC 5321 4.1.1.3).",
    ),
    row(
        "RCPT",
        "554 5.7.1 <suzie@elsewhere.example@example.org>: Relay access denied",
        "501 5.1.3 more than one @ in the address (gp ID)",
        "An address that two servers could read differently never goes upstream.",
    ),
    row(
        "RCPT",
        "250 2.1.5 Ok",
        "553 5.1.3 source routes are not accepted (gp ID)",
        "Routes are a way around relay checks; RFC 5321 appendix F.2 lets a server refuse them.",
    ),
    row(
        "MAIL",
        "552 5.3.4 Message size exceeds fixed limit",
        "552 5.3.4 the message is larger than we take (gp ID)",
        "Refused by what the upstream offered; the same code.",
    ),
    row(
        "MAIL",
        "501 5.5.4 Bad message size syntax",
        "501 5.5.4 SIZE takes * (gp ID)",
        "Gatepost's own words; the same code.",
    ),
    row(
        "MAIL",
        "250 2.1.0 Ok",
        "501 5.5.4 parameter given twice (gp ID)",
        "Which of the two counts is anybody's guess (RFC 5321 4.1.1.11 allows one of each).",
    ),
    row(
        "MAIL",
        "555 5.5.4 Unsupported option: FOO=bar",
        "555 5.5.4 * (gp ID)",
        "Gatepost's own words; the same code.",
    ),
    row(
        "RCPT",
        "555 5.5.4 Unsupported option: FOO=bar",
        "555 5.5.4 * (gp ID)",
        "Gatepost's own words; the same code.",
    ),
    row("AUTH", "503 5.5.1 Error: authentication not enabled", "50* (gp ID)", "Not offered by either."),
    row(
        "STARTTLS",
        "502 5.5.1 Error: command not implemented",
        "502 5.5.1 STARTTLS is not offered here (gp ID)",
        "Gatepost's own words; the same code.",
    ),
    row(
        "message",
        "552 5.3.4 Error: message file too big",
        "552 5.3.4 the message is larger than we take (gp ID)",
        "The message is refused before the upstream has to take it; the same code.",
    ),
    row("EHLO", "", "LIMITS *", "Gatepost says how much one session may do (RFC 9422)."),
    row(
        "message",
        "250 2.0.0 Ok: queued as ID",
        "250 2.0.0 Ok: * bytes queued as ID",
        "Gatepost hands messages on by BDAT where it is offered, which saves a round trip. This is Postfix's answer to BDAT.",
    ),
    row(
        "BDAT LAST",
        "250 2.0.0 Ok: * bytes queued as ID",
        "250 2.0.0 Ok: * bytes queued as ID",
        "The size with the fields that Gatepost adds.",
    ),
    row(
        "BDAT",
        "250 2.0.0 Ok: * bytes",
        "250 2.0.0 * octets received",
        "The chunks before the last are answered by Gatepost (with what has come in all); the message goes on when it is complete.",
    ),
    row(
        "BDAT LAST",
        "554 5.5.1 Error: no valid recipients",
        "503 5.5.1 say RCPT first (gp ID)",
        "As for DATA.",
    ),
    row(
        "BDAT LAST",
        "554 5.5.1 Error: no valid recipients",
        "554 5.5.1 no valid recipients: * (gp ID)",
        "As for DATA.",
    ),
    row(
        "DATA",
        "503 5.5.1 Error: DATA after BDAT",
        "503 5.5.1 a message comes by BDAT: * (gp ID)",
        "Gatepost's own words; the same code.",
    ),
    row(
        "MAIL",
        "555 5.5.4 Unsupported option: BODY=9BIT",
        "501 5.5.4 BODY takes * (gp ID)",
        "The parameter is known, its value is not (RFC 5321 4.1.1.11).",
    ),
    row(
        "MAIL",
        "501 5.5.4 Bad RET parameter syntax",
        "501 5.5.4 RET takes * (gp ID)",
        "Gatepost's own words; the same code.",
    ),
    row(
        "RCPT",
        "501 5.5.4 Error: Bad * parameter syntax",
        "501 5.5.4 * (gp ID)",
        "Gatepost's own words; the same code.",
    ),
    row(
        "MAIL",
        "250 2.1.0 Ok",
        "553 5.6.7 * (gp ID)",
        "UTF-8 in an address needs the parameter SMTPUTF8 (RFC 6531 3.4); Postfix is lenient.",
    ),
];

const fn row(
    step: &'static str,
    direct: &'static str,
    through: &'static str,
    why: &'static str,
) -> Difference {
    Difference { step, direct, through, why }
}

/// The page of the documentation.
pub(super) fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    for row in DIFFERENCES {
        let cell = |text: &str| {
            if text.is_empty() { "-".to_owned() } else { format!("`{}`", text.replace('|', "\\|")) }
        };
        page.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            row.step,
            cell(row.direct),
            cell(row.through),
            row.why
        ));
    }
    page
}

const INTRODUCTION: &str = "# What a client can see of Gatepost

A hundred sessions are held with a Postfix, once directly and once through Gatepost (with the `relay` policy alone and \
`domains: [\"*\"]`, so that no policy is in between), and compared: every reply, and every message that Postfix stored. The \
test fails on any difference that is not in the table below, and on any row that no session shows. This page is written \
by that test.

What never differs:

- **What the upstream says about a recipient or a message** reaches the client with its code and its text. The rows for RCPT \
and for the message are those where Gatepost refuses before the upstream is asked.
- **What is stored** is the same, octet for octet, but for the fields that Gatepost adds on top: one `Received`, one \
`Authentication-Results`. Postfix's own `Received` names the client, not Gatepost: `XCLIENT` tells it.

Texts that end in `(gp ID)` are Gatepost's own refusals. `*` stands for anything, `-` for nothing: a line that only one \
of the two has in its answer to EHLO.

| step | Postfix | through Gatepost | why |
| --- | --- | --- | --- |
";
