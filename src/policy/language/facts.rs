//! What needs the world outside: the script is stopped, the fact fetched, and the script run again.

use super::{
    ADDRESSEE, ANY, AT_MESSAGE, BEFORE_CLOSE, DOMAIN_NAME, Form, Function, HOST, IP, NUMBER, Named, Nature,
    Parameter, TEXT, TEXTS, Type, object, p, whole,
};

const NAME: Parameter = p("name", DOMAIN_NAME);
const URL: Parameter = p("url", TEXT);
const MESSAGE: Parameter = p("message", object("Message"));
/// What can be on a list in DNS.
const LISTABLE: Parameter =
    p("subject", Type::OneOf(&[HOST, object("Url"), TEXTS, Type::Array(&object("Url"))]));
const ZONES: Type = Type::Array(&Type::Text(Form::Zone));
const LISTS: &[&[Parameter]] = &[&[LISTABLE, p("zones", Type::Map(&NUMBER))], &[LISTABLE, p("zones", ZONES)]];

const KEEPING: Type = Type::Text(Form::Keeping);
const GREYLIST: [Parameter; 5] = [
    p("client", HOST),
    p("sender", ADDRESSEE),
    p("rcpt", ADDRESSEE),
    p("delay", KEEPING),
    p("keep", KEEPING),
];
const GREYLIST_WITH_PASSES: [Parameter; 6] = [
    p("client", HOST),
    p("sender", ADDRESSEE),
    p("rcpt", ADDRESSEE),
    p("delay", KEEPING),
    p("keep", KEEPING),
    whole("passes", 0, i64::MAX),
];

pub(super) const FACTS: &[Function] = &[
    fact("dns_a", &[&[NAME]], object("DnsAnswer"), "The IPv4 addresses of a name."),
    fact("dns_aaaa", &[&[NAME]], object("DnsAnswer"), "The IPv6 addresses of a name."),
    fact("dns_mx", &[&[NAME]], object("DnsAnswer"), "The mail exchangers of a domain, best first."),
    fact(
        "dns_txt",
        &[&[NAME]],
        object("DnsAnswer"),
        "The texts of a name, the strings of each record joined.",
    ),
    fact("dns_ptr", &[&[p("ip", IP)]], object("DnsAnswer"), "The names of an IP address."),
    fact(
        "mail_hosts",
        &[&[p("domain", DOMAIN_NAME)]],
        object("MailHosts"),
        "Where mail for this domain goes: its mail exchangers, else its own addresses (RFC 5321 5.1).",
    ),
    fact(
        "fcrdns",
        &[&[p("session", object("Session"))]],
        object("Fcrdns"),
        "Whether a name of the client leads back to its address. `none` for loopback addresses.",
    ),
    fact(
        "dnsbl",
        LISTS,
        object("Listing"),
        "What lists in DNS say (RFC 5782) about an address, a domain, a URL, or several of them. The lists are a map of weights, \
         `#{ \"zen.example.org\": 3 }`, or an array, `[\"zen.example.org=127.0.0.[2..11]*3\"]`, with or without codes and weight.",
    ),
    fact("dnswl", LISTS, object("Listing"), "The same for lists of the good."),
    fact(
        "http_get",
        &[&[URL]],
        object("Reply"),
        "The answer of a web service among `policies.http_hosts`. Asked once in a stage. Redirections are not followed.",
    ),
    fact(
        "http_post",
        &[&[URL, p("document", Type::Map(&Type::Plain))]],
        object("Reply"),
        "Posts a JSON document, once each time that the script comes by.",
    ),
    Function {
        stages: AT_MESSAGE,
        ..fact("clamd", &[&[MESSAGE]], object("Scan"), "What the virus scanner at `policies.clamd` says.")
    },
    Function {
        stages: AT_MESSAGE,
        ..fact("rspamd", &[&[MESSAGE]], object("Rspamd"), "What rspamd at `policies.rspamd` says.")
    },
    Function {
        names: Some(Named::Counter),
        ..fact(
            "rate",
            &[&[p("rule", TEXT), p("key", TEXT), p("limits", Type::Text(Form::Rates))]],
            object("Rate"),
            "Counts one more for this key, in sliding windows, unless one is full: `60/m`, `100/10m`, or several: `20/m, 200/h`. \
             It happens once, when the script gets there. The rule's mode decides where it counts; a rule that is off, or skipped, \
             counts nothing.",
        )
    },
    fact(
        "greylist",
        &[&GREYLIST, &GREYLIST_WITH_PASSES],
        object("Greylist"),
        "Sees an attempt (RFC 6647), by the client's network (/24, /64), or a domain that speaks for it, by sender, and by \
         recipient: an unknown one has to wait for `delay`, then it is known for `keep` from the last time. After `passes` (5) of \
         its pairs a client is known whatever it sends; 0 for never. In shadow a first attempt is accepted, and known.",
    ),
    Function {
        names: Some(Named::Kept),
        ..fact(
            "remembered",
            &[&[p("name", TEXT), p("key", TEXT)]],
            object("Remembered"),
            "Whether this policy, or for `policy.name` another one, remembers the key.",
        )
    },
    Function {
        stages: ANY,
        ..fact("now", &[&[]], Type::Integer, "Seconds since 1970; the same for the whole run.")
    },
    Function {
        stages: ANY,
        ..fact("random", &[&[]], Type::Float, "A number from 0 up to, not including, 1.")
    },
];

const fn fact(
    name: &'static str,
    signatures: &'static [&'static [Parameter]],
    gives: Type,
    doc: &'static str,
) -> Function {
    Function {
        name,
        receiver: None,
        signatures,
        gives,
        nature: Nature::Fact,
        names: None,
        stages: BEFORE_CLOSE,
        doc,
    }
}
