//! What the functions of the stages are given, and what hangs on it. Nothing is ever absent: texts are `""`, numbers 0, arrays
//! empty.

use super::{
    DOMAIN, EXTENSION, Form, IP, LOWER, LOWERS, MAP, NETWORK, Object, Property, TEXT, TEXTS, Type, fact,
    object, property, words,
};

const ADDRESSES: Type = Type::Array(&object("Address"));
const RECIPIENTS: Type = Type::Array(&object("Rcpt"));

pub(super) const OBJECTS: &[Object] = &[
    Object {
        name: "Session",
        engine: "Session",
        doc: "`session`: the connection so far.",
        properties: SESSION,
    },
    Object { name: "Client", engine: "Client", doc: "`session.client`: who connected.", properties: CLIENT },
    Object { name: "Auth", engine: "Auth", doc: "`session.auth`: who logged in.", properties: AUTH },
    Object {
        name: "Tls",
        engine: "Tls",
        doc: "`session.tls`: how the connection is encrypted.",
        properties: TLS,
    },
    Object { name: "Mail", engine: "Mail", doc: "`mail`: the transaction.", properties: MAIL },
    Object {
        name: "Address",
        engine: "Address",
        doc: "An address: `mail.sender`, an entry of `message.from`. It equals the text of its comparable form.",
        properties: ADDRESS,
    },
    Object {
        name: "Rcpt",
        engine: "Rcpt",
        doc: "`rcpt`, and the entries of `mail.recipients`: a recipient, which has all of an address.",
        properties: RCPT,
    },
    Object {
        name: "Message",
        engine: "Message",
        doc: "`message`: the header, and what the checks found.",
        properties: MESSAGE,
    },
    Object { name: "Part", engine: "Part", doc: "A part of a message.", properties: PART },
    Object {
        name: "Entry",
        engine: "Entry",
        doc: "A file in an archive.",
        properties: &[
            property("name", TEXT, "Its name with its folders."),
            property("extension", EXTENSION, "What follows the last dot of its name."),
            property("size", Type::Integer, "In octets, unpacked, as the archive says."),
        ],
    },
    Object {
        name: "Url",
        engine: "Url",
        doc: "The address of a page in a text.",
        properties: &[
            property("url", TEXT, "As it was written, with `http://` in front where there was only `www.`."),
            property("host", LOWER, "Its host in A-labels, or its IP address."),
        ],
    },
    Object {
        name: "List",
        engine: "List",
        doc: "What `list(name)` gives, to be asked with `in` and `!in`.",
        properties: &[],
    },
    Object {
        name: "Table",
        engine: "Table",
        doc: "What `table(name)` gives, to be asked with `.get` and `.get_all`.",
        properties: &[],
    },
];

const SESSION: &[Property] = &[
    property("id", LOWER, "The session's id, as in the log."),
    property("listener", TEXT, "The listener's name."),
    property("hostname", LOWER, "Our own host name."),
    property("helo", LOWER, "What the client calls itself, without a dot at its end; empty before HELO."),
    property(
        "helo_ip",
        IP,
        "The address in it, where it is an address literal such as `[192.0.2.1]`; else empty.",
    ),
    property("helo_verb", words(&["EHLO", "HELO", ""]), "How it said so."),
    property("inside", Type::Bool, "From a trusted network, or logged in."),
    property(
        "local",
        Type::Bool,
        "Inside, or the client runs on this host: its address is a loopback address.",
    ),
    property("trusted", Type::Bool, "From a trusted network."),
    property(
        "server_ip",
        IP,
        "Our address, to which the client connected; that of the load balancer in front of us where it tells (PROXY, XCLIENT).",
    ),
    property("client", object("Client"), "Who connected."),
    property("auth", object("Auth"), "Who logged in."),
    property("tls", object("Tls"), "How the connection is encrypted."),
    property(
        "recipients_refused",
        Type::Integer,
        "Recipients refused for good (5yz) so far, by policies or by the upstream.",
    ),
    property("errors", Type::Integer, "Commands that failed so far."),
    property("transactions", Type::Integer, "Transactions begun so far."),
];

const CLIENT: &[Property] = &[
    property("ip", IP, "Its address; an IPv4-mapped one is given as IPv4."),
    property("port", Type::Integer, "Its port."),
    property("network", NETWORK, "Its network: /24 of IPv4, /64 of IPv6."),
    fact("name", DOMAIN, "The first name that leads back to its address; empty without one."),
];

const AUTH: &[Property] = &[
    property(
        "user",
        TEXT,
        "Whose password or key it was, as the client wrote it; empty before a login, and where the mechanism does not show it.",
    ),
    property("mechanism", LOWER, "The SASL mechanism, such as `plain`; empty before a login."),
];

const TLS: &[Property] = &[
    property("active", Type::Bool, "Whether there is TLS."),
    property("version", words(&["TLSv1.2", "TLSv1.3", ""]), "Empty without TLS."),
    property("cipher", TEXT, "The cipher suite."),
    property("sni", LOWER, "The server name that the client asked for."),
    property("group", TEXT, "The key exchange, such as `X25519MLKEM768`."),
    property("client_name", LOWER, "The first name in the client's certificate; true only if `verified`."),
    property(
        "client_subject",
        TEXT,
        "The whole subject of the client's certificate; true only if `verified`.",
    ),
    property("client_fingerprint", LOWER, "SHA-256 of the client's certificate, in hexadecimal digits."),
    property("verified", Type::Bool, "Whether the listener's authority issued the client's certificate."),
];

const MAIL: &[Property] = &[
    property("id", LOWER, "The transaction's id, as in the log."),
    property("sender", object("Address"), "The sender of the envelope."),
    property("size", Type::Integer, "As declared, 0 when it was not; at `message` the true size."),
    property("body", words(&["7bit", "8bitmime", "binarymime"]), "What BODY declared."),
    property("smtputf8", Type::Bool, "Whether SMTPUTF8 was declared."),
    property("requiretls", Type::Bool, "Whether REQUIRETLS was declared (RFC 8689)."),
    property("ret", words(&["full", "hdrs", ""]), "RET (RFC 3461)."),
    property("envid", Type::Text(Form::Notation), "ENVID (RFC 3461) as it was written."),
    property("parameters", MAP, "The parameters of MAIL by keyword in lower case."),
    property("recipients", RECIPIENTS, "The recipients accepted so far."),
    property(
        "recipient_count",
        Type::Integer,
        "How many there are, with those discarded and those for the quarantine.",
    ),
    property("discarded", RECIPIENTS, "The recipients that a policy discarded."),
    property("quarantined", RECIPIENTS, "The recipients whose copy is for the quarantine."),
    fact("spf", object("Spf"), "SPF of the sender's domain."),
    fact("helo_spf", object("Spf"), "SPF of the name in HELO."),
];

const ADDRESS: &[Property] = &[
    property("address", Type::Text(Form::Address), "The form to compare; empty for `<>`."),
    property("original", TEXT, "As it was written."),
    property("local_part", LOWER, "Before the `@`, without quotes."),
    property("domain", DOMAIN, "Behind the `@`, in A-labels; `[192.0.2.1]` for a literal."),
    property("domain_unicode", LOWER, "The domain as people read it."),
    property("display", TEXT, "The display name of an address in a header, decoded."),
    property("is_null", Type::Bool, "Whether this is `<>`."),
    property(
        "is_ours",
        Type::Bool,
        "Whether the domain is one of ours, by its name: the domain `*` makes all recipients ours, and no address in a header.",
    ),
];

const RCPT: &[Property] = &[
    property("address", Type::Text(Form::Address), "The form to compare; empty for `<>`."),
    property("original", TEXT, "As it was written."),
    property("local_part", LOWER, "Before the `@`, without quotes."),
    property("domain", DOMAIN, "Behind the `@`, in A-labels; `[192.0.2.1]` for a literal."),
    property("domain_unicode", LOWER, "The domain as people read it."),
    property("display", TEXT, "Empty: an envelope has no display names."),
    property("is_null", Type::Bool, "Whether this is `<>`, which a recipient never is."),
    property("is_ours", Type::Bool, "Whether the domain is one of ours."),
    property(
        "notify",
        LOWER,
        "NOTIFY (RFC 3461): `never`, or those of `success,failure,delay` that were named.",
    ),
    property("orcpt", Type::Text(Form::Notation), "ORCPT (RFC 3461) as it was written."),
];

const PART: &[Property] = &[
    property("name", TEXT, "Its file name, decoded; empty without one."),
    property(
        "names",
        TEXTS,
        "All that mail programs may take for its name, that one first, at most 8: a header may have several.",
    ),
    property(
        "extension",
        EXTENSION,
        "What follows the last dot of the name, without blanks and dots at its end.",
    ),
    property("extensions", Type::Array(&EXTENSION), "Those of all its names, each once."),
    property("content_type", LOWER, "As it says, without parameters."),
    property("real_type", LOWER, "By its first octets; empty when they do not show it."),
    property("size", Type::Integer, "In octets, decoded."),
    property("encrypted", Type::Bool, "Whether it, or a file in it, needs a password: zip, PDF, Office."),
    property("has_macros", Type::Bool, "Whether it is a document of Office or OpenDocument with macros."),
    property(
        "entries",
        Type::Array(&object("Entry")),
        "The files in a zip, tar or gzip archive, at most 1,000.",
    ),
    property(
        "entries_result",
        words(&["complete", "truncated", "encrypted", "broken", "not_archive"]),
        "How far `entries` can be relied on. `not_archive` also for archives that are not looked into, as 7z, rar and xz.",
    ),
];

const MESSAGE: &[Property] = &[
    property("size", Type::Integer, "In octets."),
    property("from", ADDRESSES, "The addresses of all From fields."),
    property("from_is_group", Type::Bool, "Whether a From field has a group."),
    property(
        "from_is_ambiguous",
        Type::Bool,
        "Whether readers may see different authors; so they may where the header ends without an empty line.",
    ),
    property("to", ADDRESSES, "The addresses of To."),
    property("cc", ADDRESSES, "The addresses of Cc."),
    property("reply_to", ADDRESSES, "The addresses of Reply-To."),
    property("subject", TEXT, "Decoded and unfolded."),
    property(
        "date",
        Type::Text(Form::Notation),
        "As `2026-11-21T19:00:00Z`; empty when there is none that can be read.",
    ),
    property(
        "date_seconds",
        Type::Integer,
        "The same as of `now()`: `now() - message.date_seconds` is its age. 0 when there is none that can be read.",
    ),
    property("message_id", TEXT, "Without angle brackets."),
    property("header_size", Type::Integer, "In octets."),
    property("received_count", Type::Integer, "How many Received fields there are."),
    property("header_names", LOWERS, "Every name once, in lower case, in the order of the header."),
    fact(
        "parts",
        Type::Array(&object("Part")),
        "Every part with content of its own, in order, at most 1,000. A file in a text (uuencode) is a part, too.",
    ),
    fact(
        "attachments",
        Type::Array(&object("Part")),
        "Those of the parts that mail programs show as files: they say so, have a name, or are no text.",
    ),
    fact("urls", Type::Array(&object("Url")), "The addresses of pages in its texts, each once, at most 100."),
    fact(
        "contents_result",
        words(&["complete", "truncated"]),
        "`truncated`: there are more than 1,000 parts, more than 32 within each other, more than 8 names of one, or one with two encodings, and the rest is not told.",
    ),
    fact(
        "urls_result",
        words(&["complete", "truncated"]),
        "`truncated`: there are more URLs than are told, or more text than is searched for them (256 KiB of a part, 1 MiB of all).",
    ),
    fact("spf", object("Spf"), "SPF of the sender's domain."),
    fact("dkim", Type::Array(&object("Dkim")), "All DKIM signatures."),
    fact("dmarc", object("Dmarc"), "DMARC of the author's domain."),
    fact("arc", object("Arc"), "The chain of those who handled the message before."),
];
