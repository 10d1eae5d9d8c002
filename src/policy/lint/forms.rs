//! What a text of a form can be, where one is written out.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::engine::MAX_TIME;
use super::super::language::{Form, Type};
use super::super::listing::ZoneSpec;
use super::super::{units, words};
use super::compare::shown;
use super::value::{Value, is_address};
use crate::diagnostic::nearest;
use crate::message::edit::NewField;
use crate::smtp::path::{Domain, Mailbox};

const OF_CLIENT: &str = "the client's address is `session.client.ip`";
const OF_ADDRESS: &str = "write its domain";

/// What is wrong with a text where `form` is wanted, and the way out.
pub(super) fn misshapen(form: Form, value: &Value) -> Option<(String, String)> {
    if let Type::Text(given) = value.kind
        && let Some((is, wanted, help)) = another(given, form)
    {
        let help = match help {
            OF_ADDRESS => way_to_domain(value),
            help => help.to_owned(),
        };
        return Some((format!("{} is {is}, and this takes {wanted}", value.name()), help));
    }
    unfit(form, value.literal_text()?)
}

/// The domain of what is an address.
fn way_to_domain(value: &Value) -> String {
    match value.spelled.strip_suffix(".address") {
        Some(owner) => format!("write `{owner}.domain`"),
        None => OF_ADDRESS.to_owned(),
    }
}

/// What is wrong with this text where `form` is wanted, and the way out.
pub(super) fn unfit(form: Form, text: &str) -> Option<(String, String)> {
    let (fits, help) = match form {
        Form::Any
        | Form::LowerCase
        | Form::UpperCase
        | Form::Usually(_)
        | Form::Address
        | Form::Extension
        | Form::Notation => return None,
        Form::Domain | Form::Name | Form::Host => return unfit_name(form, text),
        Form::Line => {
            let message = "a control character cannot stand in a reply or a header";
            let help = "leave out what `\\r`, `\\n`, `\\t` or the like stands for; it is one line";
            return text.chars().any(char::is_control).then(|| (message.to_owned(), help.to_owned()));
        }
        Form::Size => {
            let help = "a size is a whole number with B, KiB, MiB, GiB, KB, MB or GB";
            (units::bytes(text).is_some(), help)
        }
        Form::Duration => {
            let help = "a duration is a whole number with s, m, h or d";
            (units::seconds(text).is_some(), help)
        }
        Form::Keeping => {
            let help = "a duration is a whole number with s, m, h or d: a year is `366d`";
            (units::duration(text).is_some_and(|time| time <= MAX_TIME), help)
        }
        Form::Rates => {
            let help = "write `60/m`, `100/10m`, or several of different times: `20/m, 200/h`";
            (units::rates(text).is_some(), help)
        }
        Form::Zone => (ZoneSpec::parse(text).is_some(), ZoneSpec::HELP),
        Form::Network => {
            let help = "behind the slash stand 0 to 32 bits for IPv4, 0 to 128 for IPv6";
            (units::network(text).is_some(), help)
        }
        Form::Ip => (text.parse::<IpAddr>().is_ok(), instead_of_ip(text)),
        Form::Field => {
            let help =
                "a field's name is 1 to 76 printable ASCII characters without colon and blank: \"X-Mine\"";
            (NewField::new(text, "").is_ok(), help)
        }
        Form::Tag => (words::is_tag(text), "it has letters, digits, `-`, `_` and `.`: \"spf-result\""),
        Form::Words(words) => {
            let help = match nearest(text, words.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it is one of {}", words.join(", ")),
            };
            return (!words.contains(&text))
                .then(|| (format!("`{text}` is none of the words that can stand here"), help));
        }
    };
    (!fits).then(|| (format!("`{text}` is no {}", called(form)), help.to_owned()))
}

/// What is wrong with this text where a domain is wanted. A URL may have an `@`.
fn unfit_name(form: Form, text: &str) -> Option<(String, String)> {
    if form == Form::Domain {
        let problem = |help| (format!("`{text}` is no domain, and this is always false"), help);
        return no_parent(text).map(problem);
    }
    let (_, domain) = text.rsplit_once('@').filter(|_| !text.contains("://"))?;
    Some((format!("`{text}` is no domain"), format!("write \"{domain}\"")))
}

/// What a text of the form is called, with an example where that helps.
pub(super) const fn called(form: Form) -> &'static str {
    match form {
        Form::Size => "size such as 25MiB",
        Form::Duration => "duration such as 10m",
        Form::Keeping => "duration such as 10m, of at most a year",
        Form::Network => "network such as 192.0.2.0/24",
        Form::Rates => "limit of a rate such as 60/m",
        Form::Tag => "name of a tag",
        Form::Field => "name of a header field",
        _ => form.name(),
    }
}

/// What to write where an IP address is wanted.
fn instead_of_ip(text: &str) -> &'static str {
    match text.parse::<IpNet>() {
        Ok(_) => "the IP address comes first, the network behind it: `in_network(ip, \"192.0.2.0/24\")`",
        Err(_) => "write it as 192.0.2.1 or 2001:db8::1",
    }
}

/// Whether there are texts that have not this form.
pub(super) const fn is_demanding(form: Form) -> bool {
    is_strict(form) || matches!(form, Form::Domain | Form::Field | Form::Ip | Form::Tag | Form::Words(_))
}

/// Whether what takes a text of this form fails with any other.
pub(super) const fn is_strict(form: Form) -> bool {
    use Form::{Duration, Keeping, Network, Rates, Size, Zone};
    matches!(form, Duration | Keeping | Network | Rates | Size | Zone)
}

/// The form of a setting that has this default.
pub(super) fn of_default(text: &str) -> Form {
    let forms = [Form::Size, Form::Duration, Form::Rates];
    forms.into_iter().find(|form| unfit(*form, text).is_none()).unwrap_or(Form::Any)
}

/// What a text of another form is, what is wanted in its place, and the way out.
const fn another(given: Form, wanted: Form) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match (given, wanted) {
        (Form::Duration, Form::Size) => {
            ("a duration", "a size", "a size has B, KiB, MiB, GiB, KB, MB or GB: \"25MiB\"")
        }
        (Form::Size, Form::Duration | Form::Keeping) => {
            ("a size", "a duration", "a duration has s, m, h or d: \"10m\"")
        }
        (Form::Network, Form::Ip) => ("a network", "an IP address", OF_CLIENT),
        (Form::Domain, Form::Ip) => ("a domain", "an IP address", OF_CLIENT),
        (Form::Address, Form::Ip) => ("an address of mail", "an IP address", OF_CLIENT),
        (Form::Address, Form::Domain | Form::Name) => ("an address of mail", "a domain", OF_ADDRESS),
        (Form::Address, Form::Host) => ("an address of mail", "a domain or an IP address", OF_ADDRESS),
        (Form::Ip, Form::Domain | Form::Name) => {
            ("an IP address", "a domain", "the client's name is `session.client.name`, or `session.helo`")
        }
        (Form::Network, Form::Domain | Form::Name | Form::Host) => {
            ("a network", "a domain or an IP address", OF_CLIENT)
        }
        _ => return None,
    })
}

/// What a value is that has a form of its own, with its article: no other one is ever equal to it.
pub(super) fn noun(kind: &Type) -> Option<&'static str> {
    Some(match kind {
        Type::Text(Form::Ip) => "an IP address",
        Type::Text(Form::Network) => "a network",
        Type::Text(Form::Domain) => "a domain",
        Type::Text(Form::Address) => "an address",
        Type::Object(name) if is_address(name) => "an address",
        _ => return None,
    })
}

/// What two values are whose forms are never equal.
pub(super) fn apart(one: &Type, other: &Type) -> Option<(&'static str, &'static str)> {
    noun(one).zip(noun(other)).filter(|(one, other)| one != other)
}

/// Whether values of the two types are never equal for their forms.
pub(super) fn are_apart(one: &Type, other: &Type) -> bool {
    apart(one, other).is_some()
}

/// How to compare two values whose forms are never equal.
pub(super) fn way_between(one: &Value, other: &Value) -> String {
    for (value, against) in [(one, other), (other, one)] {
        match (noun(&value.kind), noun(&against.kind)) {
            (Some("an address"), Some("a domain")) => {
                let owner = value.spelled.strip_suffix(".address").unwrap_or_else(|| shown(value));
                return format!("compare its domain: `{owner}.domain`");
            }
            (Some("an IP address"), Some("a network")) => {
                return format!("write `in_network({}, {})`", shown(value), shown(against));
            }
            _ => {}
        }
    }
    String::new()
}

/// What to write in the place of a text below which no domain is. `.example.org` is good: all below the domain, and not itself.
fn no_parent(text: &str) -> Option<String> {
    let parent = text.strip_prefix('.').unwrap_or(text);
    let domain = parent.trim_start_matches("*.").trim_start_matches('.');
    let domain = domain.rsplit_once('@').map_or(domain, |(_, domain)| domain);
    if parent.is_empty() {
        return Some("name the domain: \"example.org\"".to_owned());
    }
    if domain != parent {
        let help = format!(
            "write \"{domain}\": that is the domain itself, and all below it; or \".{domain}\": only what is below it"
        );
        return Some(help);
    }
    if parent.contains(['*', '?']) {
        return Some(format!("`*` and `?` mean something in patterns only: `glob(\"{text}\", ...)`"));
    }
    (!parent.is_ascii()).then(|| in_a_labels("", text))
}

/// Why a value of this form never equals `text`, and what to write instead. Any text may be empty.
pub(super) fn never(form: Form, value: &Value, text: &str) -> Option<(String, String)> {
    if text.is_empty() {
        return None;
    }
    let name = value.name();
    let never = |is: &str, help: String| Some((format!("{name} is {is}, and never `{text}`"), help));
    match form {
        Form::Ip if text.parse::<IpAddr>().is_err() => never(
            "an IP address",
            match units::network(text) {
                Some(_) => format!("write `in_network({}, \"{text}\")`", value.spelled),
                None => String::new(),
            },
        ),
        Form::Network => no_network(value, text).and_then(|help| never("a network", help)),
        Form::Domain => no_domain(&value.spelled, text).and_then(|help| never("a domain", help)),
        Form::Address => no_address(value, text).and_then(|help| never("an address", help)),
        Form::Extension => {
            let (_, last) = text.rsplit_once('.')?;
            never("what follows the last dot", format!("write \"{}\"", last.to_lowercase()))
        }
        _ => None,
    }
}

/// What to write in the place of a text that is never a network of a client.
fn no_network(value: &Value, text: &str) -> Option<String> {
    let of_client = value.source == Some(("Client", "network"));
    let ip = value.spelled.strip_suffix(".network").map(|client| format!("{client}.ip"));
    let Ok(network) = text.parse::<IpNet>() else {
        return Some(match (text.parse::<IpAddr>(), ip) {
            (Ok(_), Some(ip)) => format!("compare the address: `{ip} == \"{text}\"`"),
            _ => "a network has its length: \"192.0.2.0/24\"".to_owned(),
        });
    };
    let own = if network.addr().is_ipv4() { 24 } else { 64 };
    if of_client && network.prefix_len() != own {
        let ip = ip.unwrap_or_else(|| "ip".to_owned());
        return Some(format!(
            "networks of clients are /24 of IPv4 and /64 of IPv6: write `in_network({ip}, \"{text}\")`"
        ));
    }
    let written = network.trunc().to_string();
    (written != text).then(|| format!("write \"{written}\""))
}

/// What to write in the place of a text that is never a domain. Whether it has capitals is looked at elsewhere.
fn no_domain(spelled: &str, text: &str) -> Option<String> {
    if let Some((_, domain)) = text.rsplit_once('@') {
        return Some(format!("a domain is what stands behind the `@`: \"{domain}\""));
    }
    if text.contains(['*', '?']) {
        return Some(format!("`*` and `?` mean something in patterns only: `glob(\"{text}\", {spelled})`"));
    }
    if let Some(parent) = text.strip_prefix('.') {
        return Some(format!(
            "for all below a domain, and the domain itself, write `is_subdomain({spelled}, \"{parent}\")`"
        ));
    }
    if let Some(name) = text.strip_suffix('.') {
        return Some(format!("no dot stands at its end: \"{name}\""));
    }
    if text.contains(char::is_whitespace) {
        return Some(format!("there are no blanks in it: \"{}\"", text.replace(char::is_whitespace, "")));
    }
    (!text.is_ascii()).then(|| in_a_labels(spelled, text))
}

/// How to compare with a name that is not written in A-labels.
pub(super) fn in_a_labels(spelled: &str, text: &str) -> String {
    let labels = Mailbox::parse(&format!("x@{text}")).ok();
    let domain = labels.and_then(|mailbox| match mailbox.domain() {
        Domain::Name(name) => Some(name.ascii().to_owned()),
        Domain::Literal(_) => None,
    });
    match (domain, spelled.strip_suffix(".domain")) {
        (Some(domain), Some(owner)) => {
            format!("it is in A-labels: write \"{domain}\", or compare `{owner}.domain_unicode`")
        }
        (Some(domain), None) => format!("it is in A-labels: write \"{domain}\""),
        (None, Some(owner)) => format!("it is in A-labels: compare `{owner}.domain_unicode`"),
        (None, None) => "it is in A-labels: `xn--...`".to_owned(),
    }
}

/// What to write in the place of a text that is never an address. `postmaster` may stand alone (RFC 5321 4.5.1).
fn no_address(value: &Value, text: &str) -> Option<String> {
    let owner = value.spelled.strip_suffix(".address").unwrap_or(&value.spelled);
    let inside = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
    if let Some(address) = inside {
        return Some(match address {
            "" => format!("ask `{owner}.is_null`"),
            address => format!("write it without `<` and `>`: \"{address}\""),
        });
    }
    let Some((local, domain)) = text.rsplit_once('@') else {
        let is_domain = text.contains('.');
        let part = if is_domain { "domain" } else { "local_part" };
        let known = text.eq_ignore_ascii_case("postmaster");
        return (!known).then(|| format!("an address has an `@`; compare `{owner}.{part} == \"{text}\"`"));
    };
    if local.is_empty() || local == "*" {
        return Some(format!("compare its domain: `{owner}.domain == \"{domain}\"`"));
    }
    if text.contains('*') && !local.contains('"') {
        return Some(format!("`*` means something in patterns only: `glob(\"{text}\", {owner}.address)`"));
    }
    no_domain(&format!("{owner}.domain"), domain)
}
