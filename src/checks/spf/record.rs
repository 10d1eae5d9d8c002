//! A policy as it is published, read by the letter of RFC 7208 12: a record with one bad term is no record.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::macros::{MacroString, NotAMacroString, Place};
use crate::checks::results::CheckResult;

const VERSION: &str = "v=spf1";

/// A policy.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Record {
    /// In the order of the record.
    pub(super) directives: Vec<Directive>,
    /// `redirect=`.
    pub(super) redirect: Option<MacroString>,
    /// `exp=`.
    pub(super) explanation: Option<MacroString>,
}

/// A mechanism and the result when it matches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Directive {
    pub(super) result: CheckResult,
    pub(super) mechanism: Mechanism,
    /// As it is published.
    pub(super) text: String,
}

/// What a client is compared with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Mechanism {
    All,
    Include(MacroString),
    A(Hosts),
    Mx(Hosts),
    Ptr(Option<MacroString>),
    Ip(IpNet),
    Exists(MacroString),
}

/// A name, the evaluated domain where none is given, and how many bits of its addresses count.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Hosts {
    pub(super) name: Option<MacroString>,
    pub(super) ipv4_bits: u8,
    pub(super) ipv6_bits: u8,
}

/// The record cannot be understood: `permerror` (RFC 7208 4.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Broken;

impl From<NotAMacroString> for Broken {
    fn from(NotAMacroString: NotAMacroString) -> Self {
        Self
    }
}

/// The records among `texts` that are SPF policies (RFC 7208 4.5): they begin with exactly the version, before a space or the
/// end.
pub(super) fn policies(texts: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    texts.iter().map(Vec::as_slice).filter(|text| {
        text.split_at_checked(VERSION.len()).is_some_and(|(version, rest)| {
            version.eq_ignore_ascii_case(VERSION.as_bytes()) && matches!(rest.first(), None | Some(b' '))
        })
    })
}

/// More addresses than these are all.
pub(super) const MAX_BREADTH: u64 = 1 << 32;

impl Record {
    /// About how many addresses of the family the directives that say `pass` let send, as far as they say it themselves (IPv6 in
    /// networks of 64 bits).
    pub(super) fn breadth(&self, ipv4: bool) -> u64 {
        let all =
            |prefix: u8| if ipv4 { 1_u64 << (32 - prefix.min(32)) } else { 1 << (64 - prefix.clamp(1, 64)) };
        let passes = self.directives.iter().filter(|directive| directive.result == CheckResult::Pass);
        let breadths = passes.map(|directive| match &directive.mechanism {
            Mechanism::All => MAX_BREADTH,
            Mechanism::Ip(network) if network.addr().is_ipv4() == ipv4 => all(network.prefix_len()),
            Mechanism::A(hosts) | Mechanism::Mx(hosts) => {
                all(if ipv4 { hosts.ipv4_bits } else { hosts.ipv6_bits })
            }
            _ => 0,
        });
        breadths.fold(0, u64::saturating_add).min(MAX_BREADTH)
    }

    /// Reads one of the [`policies`].
    pub(super) fn parse(policy: &[u8]) -> Result<Self, Broken> {
        let text = std::str::from_utf8(policy).ok().filter(|text| text.is_ascii()).ok_or(Broken)?;
        let terms = text.get(VERSION.len()..).unwrap_or_default();
        let mut record = Self::default();
        for term in terms.split(' ').filter(|term| !term.is_empty()) {
            record.add(term)?;
        }
        Ok(record)
    }

    fn add(&mut self, term: &str) -> Result<(), Broken> {
        let Some((name, value)) = modifier(term) else {
            self.directives.push(directive(term)?);
            return Ok(());
        };
        let place = match name.to_ascii_lowercase().as_str() {
            "redirect" => &mut self.redirect,
            "exp" => &mut self.explanation,
            _ => {
                // Unknown modifiers are ignored, broken ones are not (RFC 7208 6).
                MacroString::parse(value, Place::Term)?;
                return Ok(());
            }
        };
        match place.replace(domain_spec(value)?) {
            None => Ok(()),
            Some(_) => Err(Broken),
        }
    }
}

/// `name=value`. What has its `=` behind a colon or slash is a mechanism.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let mut chars = name.chars();
    let begins = chars.next().is_some_and(|c| c.is_ascii_alphabetic());
    let goes_on = chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    (begins && goes_on).then_some((name, value))
}

fn directive(term: &str) -> Result<Directive, Broken> {
    let (result, mechanism) = match term.as_bytes().first() {
        Some(b'+') => (CheckResult::Pass, term.get(1..)),
        Some(b'-') => (CheckResult::Fail, term.get(1..)),
        Some(b'~') => (CheckResult::SoftFail, term.get(1..)),
        Some(b'?') => (CheckResult::Neutral, term.get(1..)),
        _ => (CheckResult::Pass, Some(term)),
    };
    let mechanism = self::mechanism(mechanism.unwrap_or_default())?;
    Ok(Directive { result, mechanism, text: term.to_owned() })
}

fn mechanism(text: &str) -> Result<Mechanism, Broken> {
    let end = text.find([':', '/']).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end).ok_or(Broken)?;
    let value = rest.strip_prefix(':');
    Ok(match name.to_ascii_lowercase().as_str() {
        "all" if rest.is_empty() => Mechanism::All,
        "include" => Mechanism::Include(domain_spec(value.ok_or(Broken)?)?),
        "exists" => Mechanism::Exists(domain_spec(value.ok_or(Broken)?)?),
        "a" => Mechanism::A(hosts(rest)?),
        "mx" => Mechanism::Mx(hosts(rest)?),
        "ptr" if rest.is_empty() => Mechanism::Ptr(None),
        "ptr" => Mechanism::Ptr(Some(domain_spec(value.ok_or(Broken)?)?)),
        "ip4" => Mechanism::Ip(network::<Ipv4Addr>(value.ok_or(Broken)?, 32)?),
        "ip6" => Mechanism::Ip(network::<Ipv6Addr>(value.ok_or(Broken)?, 128)?),
        _ => return Err(Broken),
    })
}

/// `[":" domain-spec] [dual-cidr-length]`.
fn hosts(rest: &str) -> Result<Hosts, Broken> {
    let (rest, ipv6_bits) = match rest.rsplit_once("//") {
        Some((before, bits)) if is_number(bits) => (before, length(bits, 128)?),
        _ => (rest, 128),
    };
    let (rest, ipv4_bits) = match rest.rsplit_once('/') {
        Some((before, bits)) if is_number(bits) => (before, length(bits, 32)?),
        _ => (rest, 32),
    };
    let name = match rest.strip_prefix(':') {
        Some(name) => Some(domain_spec(name)?),
        None if rest.is_empty() => None,
        None => return Err(Broken),
    };
    Ok(Hosts { name, ipv4_bits, ipv6_bits })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A number of bits without needless zeros.
fn length(digits: &str, most: u8) -> Result<u8, Broken> {
    let plain = digits == "0" || (is_number(digits) && !digits.starts_with('0'));
    digits.parse().ok().filter(|bits| plain && *bits <= most).ok_or(Broken)
}

fn network<A: std::str::FromStr + Into<IpAddr>>(text: &str, most: u8) -> Result<IpNet, Broken> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, length(bits, most)?),
        None => (text, most),
    };
    let address: A = address.parse().map_err(|_| Broken)?;
    IpNet::new(address.into(), bits).map_err(|_| Broken)
}

/// RFC 7208 7.1 `domain-spec`: ends in a macro, or in a label that could be a top-level domain.
fn domain_spec(text: &str) -> Result<MacroString, Broken> {
    let parsed = MacroString::parse(text, Place::Term)?;
    if MacroString::ends_in_expansion(text) || ends_in_top_label(text) { Ok(parsed) } else { Err(Broken) }
}

fn ends_in_top_label(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let Some((_, top)) = text.rsplit_once('.') else { return false };
    let letters = top.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let edges = !top.starts_with('-') && !top.ends_with('-') && !top.is_empty();
    letters && edges && !top.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_good(policy: &str) -> bool {
        Record::parse(policy.as_bytes()).is_ok()
    }

    #[test]
    fn good_records() {
        for policy in [
            "v=spf1",
            "V=SPF1  -all ",
            "v=spf1 a mx:example.org/24//64 ptr ip4:192.0.2.0/24 ip6:2001:db8::/32 ?all",
            "v=spf1 include:%{d} exists:%{ir}.sbl.example.org redirect=_spf.%{d2}",
            "v=spf1 exp=explain.example.org unknown=%{d} -ALL",
            "v=spf1 a:foo:bar/baz.example.com",
            "v=spf1 a//0 a/0",
            "v=spf1 a:museum.example. a:x.d-e",
            "v=spf1 default=pass ip4:1.2.3.4",
        ] {
            assert!(is_good(policy), "{policy}");
        }
    }

    #[test]
    fn one_bad_term_spoils_the_record() {
        for policy in [
            "v=spf1 -all.",
            "v=spf1 all:x.example",
            "v=spf1 all/24",
            "v=spf1 include",
            "v=spf1 include:",
            "v=spf1 a:museum",
            "v=spf1 a:111.222.33.44",
            "v=spf1 ip4:1.2.3",
            "v=spf1 ip4:1.2.3.4/33",
            "v=spf1 ip4:1.2.3.4/032",
            "v=spf1 ip4:1.2.3.4/",
            "v=spf1 ip4",
            "v=spf1 ip6:1.2.3.4",
            "v=spf1 ip6:::/129",
            "v=spf1 a/33",
            "v=spf1 a//129",
            "v=spf1 a/24/64",
            "v=spf1 mx:",
            "v=spf1 ptr/24",
            "v=spf1 exists",
            "v=spf1 redirect=a.example redirect=b.example",
            "v=spf1 exp=a.example exp=a.example",
            "v=spf1 redirect=",
            "v=spf1 =x",
            "v=spf1 foo",
            "v=spf1 !a",
            "v=spf1 a:%{x}.example",
            "v=spf1 moo=%{x}",
            "v=spf1 a:example.com:8080",
            "v=spf1 --all",
            "v=spf1 \u{e9}",
        ] {
            assert!(!is_good(policy), "{policy}");
        }
    }

    #[test]
    fn breadths() {
        for (policy, ipv4, ipv6) in [
            ("v=spf1 -all", 0, 0),
            ("v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.1 -ip4:10.0.0.0/8 -all", 257, 0),
            ("v=spf1 a mx/30 -all", 5, 2),
            ("v=spf1 +all", MAX_BREADTH, MAX_BREADTH),
            ("v=spf1 ip4:0.0.0.0/0 ip4:0.0.0.0/1 ip6:2001:db8::/32 ?all", MAX_BREADTH, MAX_BREADTH),
            ("v=spf1 ip6:2001:db8::/48 ip6:2001:db8::1 ~all", 0, 65537),
            ("v=spf1 ip6:::/0", 0, MAX_BREADTH),
            ("v=spf1 include:x.example exists:%{i}.x.example", 0, 0),
        ] {
            let record = Record::parse(policy.as_bytes()).unwrap();
            assert_eq!((record.breadth(true), record.breadth(false)), (ipv4, ipv6), "{policy}");
        }
    }

    #[test]
    fn policies_among_other_texts() {
        let count = |texts: &[&str]| {
            let texts: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
            policies(&texts).count()
        };
        assert_eq!(
            count(&["v=spf1 -all", "V=SPF1", "v=spf10 -all", " v=spf1 -all", "v=spf1\t-all", "hello"]),
            2
        );
    }
}
