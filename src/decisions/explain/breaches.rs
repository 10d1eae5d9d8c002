//! How clients break the protocol, and what keeps us from going on: each in words.

/// A breach of the protocol, or trouble of our own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Breach {
    /// Its name in metrics and decisions.
    name: &'static str,
    /// The clause that says how it should be; empty for what no RFC is about.
    pub(super) clause: &'static str,
    /// What happened.
    pub(super) why: &'static str,
}

/// What clients do, and should not.
const PROTOCOL: [Breach; 51] = [
    breach("unknown-command", "RFC 5321 4.2.4", "the client said a word that is no SMTP command"),
    breach(
        "foreign-command",
        "RFC 5321 4.1",
        "the client speaks another protocol, such as HTTP: somebody makes a program talk to a port that it does not know",
    ),
    breach("not-implemented", "RFC 5321 4.2.4", "the client said a command that Gatepost does not carry"),
    breach("not-printable", "RFC 5321 4.1.2", "the command holds control characters or 8-bit octets"),
    breach("needs-smtputf8", "RFC 6531 3.3", "the command holds an address beyond ASCII without SMTPUTF8"),
    breach("line-too-long", "RFC 5321 4.5.3.1.4", "the command line is longer than any may be"),
    breach(
        "bad-argument",
        "RFC 5321 4.1.1",
        "the command has an argument that it must not have, or lacks one",
    ),
    breach("bad-greeting", "RFC 5321 4.1.1.1", "what stands behind HELO or EHLO is no name"),
    breach("bad-xclient", "Postfix XCLIENT_README", "the attributes of XCLIENT cannot be read"),
    breach("bad-mechanism", "RFC 4954 4", "what stands behind AUTH is no name of a mechanism"),
    breach("bad-base64", "RFC 4954 4", "the client's answer in AUTH is no base64"),
    breach("bad-chunk", "RFC 3030 2", "the size behind BDAT cannot be read"),
    breach("bad-path", "RFC 5321 4.1.2", "the address in angle brackets is malformed"),
    breach(
        "bad-parameter",
        "RFC 5321 4.1.2",
        "a parameter behind the address is malformed, unknown or there twice",
    ),
    breach(
        "bare-cr",
        "RFC 5321 2.3.8",
        "a CR stood without its LF: whoever takes it for the end of a line can be made to see a second message (SMTP smuggling)",
    ),
    breach(
        "bare-lf",
        "RFC 5321 2.3.8",
        "an LF stood without its CR: whoever takes it for the end of a line can be made to see a second message (SMTP smuggling)",
    ),
    breach("nul", "RFC 5321 2.3.1", "the client sent a NUL"),
    breach("pipelining", "RFC 2920 3.1", "the client sent the message before it was told to"),
    breach(
        "need-helo",
        "RFC 5321 4.1.4",
        "the client did not introduce itself, or its introduction was refused",
    ),
    breach("need-ehlo", "RFC 4954 3", "the client used what EHLO brings after HELO"),
    breach("need-mail", "RFC 5321 4.1.4", "there was no MAIL before RCPT or DATA, or it was refused"),
    breach("need-rcpt", "RFC 5321 4.1.4", "there was no RCPT before DATA"),
    breach(
        "no-valid-rcpt",
        "RFC 5321 3.3",
        "every recipient had been refused before: the decisions of the same session say why",
    ),
    breach("nested-mail", "RFC 5321 4.1.4", "a transaction was open when the client said MAIL"),
    breach("already-tls", "RFC 3207 4", "TLS was active when the client said STARTTLS"),
    breach("no-tls", "RFC 3207 4", "the client said STARTTLS, which is not offered"),
    breach(
        "no-xclient",
        "Postfix XCLIENT_README",
        "the client said XCLIENT, and is not one that may (listeners.NAME.xclient)",
    ),
    breach(
        "xclient-in-transaction",
        "Postfix XCLIENT_README",
        "a transaction was open when the client said XCLIENT",
    ),
    breach(
        "inquiry-off",
        "RFC 5321 3.5.3",
        "the client said VRFY, EXPN or HELP, which the listener does not answer (listeners.NAME.inquiries)",
    ),
    breach("requiretls-in-the-clear", "RFC 8689 4.1", "REQUIRETLS was asked for without TLS"),
    breach(
        "no-auth",
        "RFC 4954 4",
        "the client said AUTH, which the listener does not offer (listeners.NAME.auth)",
    ),
    breach("no-auth-now", "RFC 4954 4", "the client said AUTH, which the upstream does not offer now"),
    breach("already-auth", "RFC 4954 4", "the client had logged in already"),
    breach("auth-in-transaction", "RFC 4954 4", "a transaction was open when the client said AUTH"),
    breach("auth-needs-tls", "RFC 4954 6", "the client would have sent its password in the clear"),
    breach("no-mechanism", "RFC 4954 4", "the client chose a mechanism that is not offered"),
    breach(
        "channel-binding",
        "RFC 5802 6",
        "the client chose a mechanism that is bound to its own TLS connection, which ends at Gatepost",
    ),
    breach("auth-line-too-long", "RFC 4954 4", "a line of the exchange of AUTH was longer than any may be"),
    breach("binary-by-data", "RFC 3030 3", "a binary message was to come by DATA"),
    breach("bdat-after-helo", "RFC 3030 2", "the client said BDAT after HELO"),
    breach("in-chunks", "RFC 3030 2", "another command came between the chunks of a message"),
    breach("chunk-refused", "RFC 3030 2", "the client went on after a chunk that was refused"),
    breach("body-not-offered", "RFC 6152 2", "BODY asks for what the upstream does not offer"),
    breach("smtputf8-not-offered", "RFC 6531 3.1", "SMTPUTF8 is not offered by the upstream"),
    breach("dsn-not-offered", "RFC 3461 4", "notifications (DSN) are not offered by the upstream"),
    breach(
        "auth-parameter-not-offered",
        "RFC 4954 5",
        "the AUTH parameter of MAIL is not offered by the upstream",
    ),
    breach("deliverby-not-offered", "RFC 2852 4", "DELIVERBY is not offered by the upstream"),
    breach("mt-priority-not-offered", "RFC 6710 4", "MT-PRIORITY is not offered by the upstream"),
    breach("futurerelease-not-offered", "RFC 4865 4", "FUTURERELEASE is not offered by the upstream"),
    breach("requiretls-not-offered", "RFC 8689 2", "REQUIRETLS is not offered by the upstream"),
    breach("client-gone", "RFC 5321 4.1.1.10", "the client closed the connection without QUIT"),
];

/// What ends a transaction without a refusal: the client changed its mind.
const ENDINGS: [Breach; 6] = [
    breach("rset", "RFC 5321 4.1.1.5", "the client gave the transaction up with RSET"),
    breach("quit", "RFC 5321 4.1.1.10", "the client left before the message"),
    breach("helo-again", "RFC 5321 4.1.4", "the client introduced itself again"),
    breach("starttls", "RFC 3207 4.2", "the client began TLS within the transaction"),
    breach("xclient", "Postfix XCLIENT_README", "the hop spoke for another client"),
    breach("closed", "RFC 5321 3.8", "the connection was closed"),
];

/// What keeps Gatepost from going on.
const INTERNAL: [Breach; 34] = [
    breach("shutdown", "RFC 5321 3.8", "Gatepost was being stopped"),
    breach(
        "out-of-time",
        "RFC 5321 4.5.3.2",
        "what the command needed (look-ups, policies, the upstream) took longer than a client waits",
    ),
    breach("spool-full", "", "there was no space left for the message in the spool"),
    breach("spool-error", "", "the message could not be written to the spool"),
    breach("unreachable", "", "the upstream could not be connected to"),
    breach("greeting", "", "the upstream did not greet as an SMTP server does, or refused to"),
    breach("tls", "", "there was no TLS to be had with the upstream as it is configured"),
    breach(
        "identity",
        "",
        "the upstream does not take the client's identity the way that is configured (client_identity)",
    ),
    breach("timeout", "", "the upstream did not answer in time"),
    breach("lost", "", "the connection to the upstream was lost"),
    breach("garbled", "", "the upstream's reply could not be read"),
    breach("unexpected", "", "the upstream gave a reply that answers nothing"),
    breach(
        "desync",
        "",
        "the upstream spoke without being asked, so that its next reply could be one to something else",
    ),
    breach("early_reply", "", "the upstream answered the message before it was complete"),
    breach(
        "replay",
        "",
        "the upstream did not accept again, on a new connection, what it had accepted before",
    ),
    breach("capability", "", "the upstream no longer offers what the message needs"),
    breach("spool", "", "the message could not be read back from the spool"),
    breach("store", "", "the message could not be stored in the Maildir"),
    breach("no_space", "", "there was no space left in the Maildir"),
    breach("body-not-offered", "RFC 6152 3", "the upstream no longer offers what BODY asked for"),
    breach("smtputf8-not-offered", "RFC 6531 3.1", "the upstream no longer offers SMTPUTF8"),
    breach("dsn-not-offered", "RFC 3461 4", "the upstream no longer offers DSN"),
    breach("auth-parameter-not-offered", "RFC 4954 5", "the upstream no longer offers AUTH"),
    breach("deliverby-not-offered", "RFC 2852 4", "the upstream no longer offers DELIVERBY"),
    breach("mt-priority-not-offered", "RFC 6710 4", "the upstream no longer offers MT-PRIORITY"),
    breach("futurerelease-not-offered", "RFC 4865 4", "the upstream no longer offers FUTURERELEASE"),
    breach("requiretls-not-offered", "RFC 8689 4.2.1", "the upstream no longer offers REQUIRETLS"),
    breach("quarantine-error", "", "the message could not be put into quarantine"),
    breach("quarantine-full", "", "there was no space left in the quarantine"),
    breach("changed-recipients", "", "the upstream refused a recipient that a policy had ordered"),
    breach("nobody-left", "", "policies took every recipient away from the message"),
    breach("changed-route", "", "a policy's changes spread the message over several upstreams"),
    breach("no-quarantine", "", "a policy wanted the message in quarantine, and none is configured any more"),
    breach("retired", "", "the policies that the transaction began with were replaced too often meanwhile"),
];

const fn breach(name: &'static str, clause: &'static str, why: &'static str) -> Breach {
    Breach { name, clause, why }
}

impl Breach {
    /// A breach of the client's, or what ended its transaction.
    pub(super) fn of_protocol(name: &str) -> Option<&'static Self> {
        PROTOCOL.iter().chain(&ENDINGS).find(|breach| breach.name == name)
    }

    /// Whether it ends a transaction without anybody's fault.
    pub(super) fn is_ending(name: &str) -> bool {
        ENDINGS.iter().any(|breach| breach.name == name)
    }

    /// Trouble of our own.
    pub(super) fn of_ours(name: &str) -> Option<&'static Self> {
        INTERNAL.iter().find(|breach| breach.name == name)
    }
}
