//! What checks and look-ups found. Results are texts of closed sets; who compares them with another text is told at load.

use super::{DOMAIN, Form, LOWER, LOWERS, MAP, Object, Property, TEXT, TEXTS, Type, property, words};
use crate::checks::results::{ArcChain, Dkim, Dmarc};

const VALUES: Property =
    property("values", TEXTS, "Addresses, names or texts; empty unless the result brought some.");

/// What rspamd does with mail by itself; its configuration may have others.
const ACTIONS: [&str; 8] = [
    "no action",
    "greylist",
    "add header",
    "rewrite subject",
    "soft reject",
    "reject",
    "quarantine",
    "discard",
];

const LOOKUPS: Property = property(
    "lookups",
    Type::Array(&MAP),
    "What was asked of DNS: maps of `type`, `name`, `result`, `answer`, `ms`.",
);

pub(super) const OBJECTS: &[Object] = &[
    Object { name: "Spf", engine: "Spf", doc: "SPF of one identity (RFC 7208).", properties: SPF },
    Object { name: "Dkim", engine: "Dkim", doc: "One DKIM signature (RFC 6376).", properties: DKIM },
    Object {
        name: "Dmarc",
        engine: "Dmarc",
        doc: "DMARC of the author's domain (RFC 9989).",
        properties: DMARC,
    },
    Object {
        name: "Arc",
        engine: "Arc",
        doc: "The chain of those who handled the message before (RFC 8617).",
        properties: ARC,
    },
    Object {
        name: "DnsAnswer",
        engine: "Answer",
        doc: "What DNS said about one name.",
        properties: &[
            property(
                "result",
                words(&["ok", "none", "nxdomain", "error"]),
                "`none`: the name is there, but has no such record.",
            ),
            VALUES,
        ],
    },
    Object {
        name: "MailHosts",
        engine: "Answer",
        doc: "Where a domain's mail goes.",
        properties: &[
            property(
                "result",
                words(&["ok", "null_mx", "none", "error"]),
                "`null_mx`: it takes no mail (RFC 7505).",
            ),
            VALUES,
        ],
    },
    Object {
        name: "Listing",
        engine: "Listing",
        doc: "What lists in DNS said.",
        properties: &[
            property(
                "result",
                words(&["listed", "not_listed", "error"]),
                "`error`: none says yes, and some could not be asked or gave an answer that no list gives.",
            ),
            property(
                "weight",
                Type::Float,
                "The sum of the weights that matched; of several subjects, the heaviest.",
            ),
            property("zones", TEXTS, "The lists that matched."),
            property("codes", TEXTS, "The addresses that they answered with."),
            property(
                "errors",
                TEXTS,
                "The lists that could not be asked, or not about all: one question has at most 100 subjects. What is known stays.",
            ),
            property("subjects", TEXTS, "Those of the subjects that are listed."),
        ],
    },
    Object {
        name: "Reply",
        engine: "Reply",
        doc: "What a web service answered.",
        properties: &[
            property("result", words(&["ok", "error"]), "`ok`: a 2xx that came whole, within five seconds."),
            property("status", Type::Integer, "The status; 0 if no answer came."),
            property("text", TEXT, "The body, at most 256 KiB."),
            property(
                "json",
                MAP,
                "The body as a JSON object; empty if it is none. What is not in it is `()`: write `?? 0`.",
            ),
            property("values", Type::Array(&Type::Any), "The body as a JSON array; empty if it is none."),
        ],
    },
    Object {
        name: "Scan",
        engine: "Scan",
        doc: "What the virus scanner said.",
        properties: &[
            property("result", words(&["clean", "infected", "error"]), "`error`: it could not be asked."),
            property("name", TEXT, "What the message is infected with; after an error, why."),
        ],
    },
    Object {
        name: "Rspamd",
        engine: "Rspamd",
        doc: "What rspamd said.",
        properties: &[
            property("result", words(&["ok", "error"]), "`error`: it could not be asked."),
            property(
                "action",
                Type::Text(Form::Usually(&ACTIONS)),
                "`reject`, `add header`, `greylist`, `no action`...; empty after an error.",
            ),
            property("score", Type::Float, "The score; 0 after an error."),
            property("symbols", MAP, "The symbols with their scores: `\"BAYES_SPAM\" in found.symbols`."),
        ],
    },
    Object {
        name: "Fcrdns",
        engine: "Answer",
        doc: "Whether a client's name leads back to it.",
        properties: &[
            property("result", words(&["pass", "fail", "none", "error"]), "`none`: the address has no name."),
            VALUES,
        ],
    },
    Object {
        name: "Rate",
        engine: "Rate",
        doc: "How much of something there was.",
        properties: &[
            property(
                "result",
                words(&["ok", "over", "error"]),
                "`over`: there was no room, and this one is not counted.",
            ),
            property(
                "count",
                Type::Integer,
                "How many the first limit's time has seen, this one counted if it was ok.",
            ),
            property("retry_after", Type::Integer, "Seconds until there is room; 0 unless over."),
        ],
    },
    Object {
        name: "Greylist",
        engine: "Greylist",
        doc: "What greylisting makes of an attempt.",
        properties: &[
            property(
                "result",
                words(&["wait", "pass", "known", "error"]),
                "`pass`: it has waited, and passes for the first time.",
            ),
            property("remaining", Type::Integer, "Seconds left to wait; 0 unless it has to."),
        ],
    },
    Object {
        name: "Remembered",
        engine: "Remembered",
        doc: "Whether something is remembered.",
        properties: &[property(
            "result",
            words(&["yes", "no", "error"]),
            "`error`: the store could not be asked.",
        )],
    },
];

const SPF: &[Property] = &[
    property(
        "result",
        words(&["pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"]),
        "`temperror`: DNS could not answer.",
    ),
    property("domain", DOMAIN, "The domain that was asked; empty when there was none to ask."),
    property("record", TEXT, "The record, as published."),
    property("mechanism", TEXT, "The one that decided, as published: `-all`."),
    property("breadth", Type::Integer, "About how many addresses its records let send, at most 2^32."),
    LOOKUPS,
    property("explanation", TEXT, "The domain's own words about a fail: a stranger's text."),
];

const DKIM: &[Property] = &[
    property(
        "result",
        words(&["pass", "fail", "neutral", "policy", "none", "temperror", "permerror"]),
        "`policy`: perhaps good, but not of the kind that we accept.",
    ),
    property("domain", LOWER, "`d=`: who signed."),
    property("selector", TEXT, "`s=`."),
    property("algorithm", TEXT, "`a=`, such as `rsa-sha256`; empty when it is none that we know."),
    property("bits", Type::Integer, "The size of the key; 0 where no key was looked at."),
    property("identity", TEXT, "`i=`: for whom; `@` and the domain where that is not said."),
    property("canonicalization", TEXT, "`c=` of header and body, such as `relaxed/simple`."),
    property("fields", LOWERS, "`h=`: the fields that it covers, in lower case."),
    property("signature", TEXT, "The beginning of `b=`, which tells signatures apart."),
    property("signed_at", Type::Integer, "`t=`: seconds as of `now()`; 0 where that is not said."),
    property("expires_at", Type::Integer, "`x=`, likewise."),
    LOOKUPS,
    property("reason", words(&REASONS_OF_DKIM), "Why it did not pass; empty when it did."),
];

const DMARC: &[Property] = &[
    property(
        "result",
        words(&["pass", "fail", "none", "temperror", "permerror"]),
        "`permerror` also without exactly one author's domain.",
    ),
    property(
        "policy",
        words(&["none", "quarantine", "reject"]),
        "What the domain asks for, one step less in test mode.",
    ),
    property("domain", DOMAIN, "The author's domain; empty when From has none or several."),
    property("testing", Type::Bool, "The record says `t=y`."),
    property("record", TEXT, "The record that counts, as published; empty when there is none."),
    LOOKUPS,
    property(
        "reason",
        words(&REASONS_OF_DMARC),
        "What the result stands on; empty when nothing was checked.",
    ),
];

const ARC: &[Property] = &[
    property("result", words(&["pass", "fail", "none", "temperror"]), "Of the whole chain."),
    property("reason", words(&REASONS_OF_ARC), "Why it did not pass; empty when it did."),
    property("sealers", LOWERS, "The domains of the seals, the first sealer's first, in lower case."),
    property(
        "trusted",
        Type::Bool,
        "It passed, and every sealer is one of `authentication.trusted_sealers`.",
    ),
    LOOKUPS,
    property(
        "original_dmarc",
        Type::Text(Form::Usually(&["pass", "fail", "none", "temperror", "permerror", "bestguesspass"])),
        "What DMARC said to the first sealer; empty unless the chain passed.",
    ),
];

const REASONS_OF_DKIM: [&str; Dkim::REASONS.len() + 1] = with_empty(Dkim::REASONS);
const REASONS_OF_DMARC: [&str; Dmarc::REASONS.len() + 1] = with_empty(Dmarc::REASONS);
const REASONS_OF_ARC: [&str; ArcChain::REASONS.len() + 1] = with_empty(ArcChain::REASONS);

/// The same set with the empty text, which stands for no reason.
const fn with_empty<const N: usize, const M: usize>(words: [&'static str; N]) -> [&'static str; M] {
    let mut all = [""; M];
    let mut index = 0;
    while index < N && index < M {
        #[expect(
            clippy::indexing_slicing,
            reason = "both bounds are in the condition, and const code knows no get"
        )]
        {
            all[index] = words[index];
        }
        index += 1;
    }
    all
}
