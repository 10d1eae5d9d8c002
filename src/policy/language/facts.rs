//! What needs the world outside: the script is stopped, the fact fetched, and the script run again.

use super::{ANY, BEFORE_CLOSE, Function, Nature, Parameter, TEXT, Type, object, p};

const NAME: Parameter = p("name", TEXT);

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
    fact("dns_ptr", &[&[p("ip", TEXT)]], object("DnsAnswer"), "The names of an IP address."),
    fact(
        "mail_hosts",
        &[&[p("domain", TEXT)]],
        object("MailHosts"),
        "Where mail for this domain goes: its mail exchangers, else its own addresses (RFC 5321 5.1).",
    ),
    fact(
        "fcrdns",
        &[&[p("session", object("Session"))]],
        object("Fcrdns"),
        "Whether a name of the client leads back to its address. `none` for loopback addresses.",
    ),
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
