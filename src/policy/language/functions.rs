//! What computes a value out of values.

use super::{
    ANY, DOMAIN, DOMAIN_NAME, Form, Function, HOST, IP, LOWER, NETWORK, Named, Nature, Parameter, TEXT, Type,
    object, p, whole,
};

const TEXT_IN: Parameter = p("text", TEXT);
const NAME_IN: Parameter = p("text", DOMAIN_NAME);
const IP_IN: Parameter = p("ip", IP);

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "bytes",
        &[&[p("size", Type::Text(Form::Size))]],
        Type::Integer,
        "The octets of a size: `512B`, `25MiB` (1024), `25MB` (1000).",
    ),
    function(
        "seconds",
        &[&[p("duration", Type::Text(Form::Duration))]],
        Type::Integer,
        "The seconds of a duration: `30s`, `10m`, `24h`, `7d`; parts of one are dropped.",
    ),
    function("is_ip", &[&[p("text", HOST)]], Type::Bool, "Whether this is an IP address."),
    function(
        "is_private_ip",
        &[&[IP_IN]],
        Type::Bool,
        "Whether this is an IP address, and none of the public internet: loopback, private, shared, link-local, unspecified.",
    ),
    function(
        "is_loopback_ip",
        &[&[IP_IN]],
        Type::Bool,
        "Whether this is an IP address of this machine itself: 127.0.0.0/8 or ::1.",
    ),
    function(
        "is_fqdn",
        &[&[NAME_IN]],
        Type::Bool,
        "Whether this is a host name of at least two labels, the last not all digits.",
    ),
    function(
        "is_address_literal",
        &[&[NAME_IN]],
        Type::Bool,
        "Whether this is `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 4.1.3).",
    ),
    function(
        "in_network",
        &[&[IP_IN, p("network", NETWORK)]],
        Type::Bool,
        "Whether the IP address is in the network; false for what is no IP address.",
    ),
    function(
        "network",
        &[&[IP_IN, whole("v4", 0, 32), whole("v6", 0, 128)]],
        NETWORK,
        "The network of an IP address with the prefix of its family: `network(session.client.ip, 24, 64)`. `\"\"` for what is \
         no IP address.",
    ),
    function(
        "is_subdomain",
        &[&[p("domain", DOMAIN_NAME), p("parent", DOMAIN)]],
        Type::Bool,
        "Whether the domain is the parent itself or below it; of `.example.org`, as lists have it, only whether it is below.",
    ),
    function(
        "organizational_domain",
        &[&[p("domain", DOMAIN_NAME)]],
        DOMAIN,
        "The part of a domain that somebody registered, by the public suffix list: `example.co.uk` of `mail.example.co.uk`. `\"\"` for \
         what has none: a public suffix itself, an IP address, an address literal.",
    ),
    function(
        "glob",
        &[&[p("pattern", TEXT), TEXT_IN]],
        Type::Bool,
        "Whether the whole text matches: `*` stands for any characters, `?` for one.",
    ),
    Function {
        names: Some(Named::Regex),
        ..function(
            "matches",
            &[&[p("regex", TEXT), TEXT_IN]],
            Type::Bool,
            "Whether the regular expression matches anywhere in the text, in linear time; it is compiled at load.",
        )
    },
    function(
        "join",
        &[&[p("array", Type::Array(&Type::Any)), p("separator", TEXT)]],
        TEXT,
        "The entries as one text with the separator between them.",
    ),
    function("sha256", &[&[TEXT_IN]], LOWER, "SHA-256 of the text, in hexadecimal digits."),
    function(
        "address",
        &[&[TEXT_IN]],
        object("Address"),
        "The text as an address, to compare it or to take it apart.",
    ),
];

const fn function(
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
        nature: Nature::Function,
        names: None,
        stages: ANY,
        doc,
    }
}
