//! Plain functions: units, addresses, names, patterns.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rhai::{Array, Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::super::scene::network_of;
use super::super::turn::{Turn, fault, too_large};
use super::super::units;
use super::MAX_TEXT;
use crate::smtp::path::{Domain, DomainName};

type Text = ImmutableString;

/// The longest pattern of `glob`: it bounds the work that a long text can make.
const MAX_GLOB: usize = 256;

pub(super) fn register(engine: &mut Engine) {
    register_units(engine);
    register_networks(engine);
    register_names(engine);
    register_texts(engine);
}

fn register_units(engine: &mut Engine) {
    engine.register_fn("bytes", |call: NativeCallContext<'_>, text: Text| {
        units::bytes(&text).ok_or_else(|| fault(&call, format!("`{text}` is no size such as 25MiB")))
    });
    engine.register_fn("seconds", |call: NativeCallContext<'_>, text: Text| {
        units::seconds(&text).ok_or_else(|| fault(&call, format!("`{text}` is no duration such as 10m")))
    });
}

fn register_networks(engine: &mut Engine) {
    engine.register_fn("is_ip", |text: Text| text.parse::<IpAddr>().is_ok());
    engine.register_fn("is_private_ip", |text: Text| text.parse().is_ok_and(is_private));
    engine.register_fn("is_loopback_ip", |text: Text| {
        text.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    });
    engine.register_fn("in_network", |call: NativeCallContext<'_>, ip: Text, network: Text| {
        in_network(&call, &ip, &network)
    });
    engine.register_fn("network", |call: NativeCallContext<'_>, ip: Text, v4: i64, v6: i64| {
        network(&call, &ip, v4, v6)
    });
}

fn register_names(engine: &mut Engine) {
    engine.register_fn("is_fqdn", |text: Text| is_fqdn(&text));
    engine.register_fn("is_address_literal", |text: Text| is_address_literal(&text));
    engine.register_fn("organizational_domain", |domain: Text| organizational_domain(&domain));
    engine.register_fn("is_subdomain", |domain: Text, parent: Text| is_subdomain(&domain, &parent));
}

fn register_texts(engine: &mut Engine) {
    engine.register_fn("glob", |call: NativeCallContext<'_>, pattern: Text, text: Text| {
        if pattern.len() > MAX_GLOB {
            return Err(fault(&call, format!("a pattern has at most {MAX_GLOB} bytes")));
        }
        Ok(glob(&pattern, &text))
    });
    engine.register_fn("matches", |call: NativeCallContext<'_>, regex: Text, text: Text| {
        matches(&call, &regex, &text)
    });
    engine.register_fn("join", |call: NativeCallContext<'_>, array: Array, separator: Text| {
        join(&call, &array, &separator)
    });
    register_replace(engine);
    engine.register_fn("sha256", |text: Text| sha256(text.as_bytes()));
}

/// In place of Rhai's own, which first make the text and then look at its size: that may be the product of two.
fn register_replace(engine: &mut Engine) {
    engine.register_fn("replace", |call: NativeCallContext<'_>, text: &mut Text, old: Text, new: Text| {
        replace(&call, text, &old, &new)
    });
    engine.register_fn("replace", |call: NativeCallContext<'_>, text: &mut Text, old: Text, new: char| {
        replace(&call, text, &old, new.encode_utf8(&mut [0; 4]))
    });
    engine.register_fn("replace", |call: NativeCallContext<'_>, text: &mut Text, old: char, new: Text| {
        replace(&call, text, old.encode_utf8(&mut [0; 4]), &new)
    });
    engine.register_fn("replace", |call: NativeCallContext<'_>, text: &mut Text, old: char, new: char| {
        replace(&call, text, old.encode_utf8(&mut [0; 4]), new.encode_utf8(&mut [0; 4]))
    });
}

fn in_network(call: &NativeCallContext<'_>, ip: &str, network: &str) -> Result<bool, Box<EvalAltResult>> {
    let Some(network) = units::network(network) else {
        return Err(fault(call, format!("`{network}` is no network such as 192.0.2.0/24")));
    };
    Ok(ip.parse::<IpAddr>().is_ok_and(|ip| network.contains(&ip.to_canonical())))
}

fn network(call: &NativeCallContext<'_>, ip: &str, v4: i64, v6: i64) -> Result<Text, Box<EvalAltResult>> {
    let (Ok(v4), Ok(v6)) = (u8::try_from(v4), u8::try_from(v6)) else {
        return Err(fault(call, "a prefix has 0 to 32 bits in IPv4, 0 to 128 in IPv6"));
    };
    let Ok(ip) = ip.parse::<IpAddr>() else { return Ok(Text::new()) };
    let network = network_of(ip, v4, v6);
    network.map(Text::from).ok_or_else(|| fault(call, "a prefix has 0 to 32 bits in IPv4, 0 to 128 in IPv6"))
}

/// Not an address of the public internet: loopback, private, shared, link-local, unspecified.
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => is_private_v6(ip),
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    let is_shared = first == 100 && second & 0xc0 == 64;
    ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || is_shared
}

const fn is_private_v6(ip: Ipv6Addr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
}

/// The registered part of a domain by the public suffix list, in lower case and A-labels; empty for what has none.
fn organizational_domain(domain: &str) -> Text {
    let Ok(name) = idna::domain_to_ascii(domain.strip_suffix('.').unwrap_or(domain)) else {
        return Text::new();
    };
    let is_name = name.len() <= 253 && DomainName::parse(&name).is_ok() && name.parse::<IpAddr>().is_err();
    let registered = if is_name { psl::domain_str(&name) } else { None };
    registered.unwrap_or_default().into()
}

/// A host name of at least two labels, the last not all digits, with or without the trailing dot.
fn is_fqdn(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let Some((_, last)) = name.rsplit_once('.') else { return false };
    let is_name = name.is_ascii() && name.len() <= 253 && DomainName::parse(name).is_ok();
    is_name && !last.bytes().all(|b| b.is_ascii_digit())
}

/// `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 4.1.3).
fn is_address_literal(text: &str) -> bool {
    matches!(Domain::parse(text), Ok(Domain::Literal(_)))
}

/// Whether `domain` is `parent` or below it; with a dot in front of the parent, as lists have it, below it only.
fn is_subdomain(domain: &str, parent: &str) -> bool {
    let normal = |name: &str| name.trim_end_matches('.').to_lowercase();
    let (domain, parent) = (normal(domain), normal(parent));
    let (parent, below_only) = match parent.strip_prefix('.') {
        Some(parent) => (parent, true),
        None => (parent.as_str(), false),
    };
    let above = domain.strip_suffix(parent).filter(|_| !parent.is_empty());
    above.is_some_and(|above| (above.is_empty() && !below_only) || above.ends_with('.'))
}

/// `*` stands for any characters, `?` for one; the whole text must match. Goes back to the last `*` only, so that the
/// work is at most the product of the lengths.
fn glob(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    let mut retry = None;
    loop {
        let before = (pattern.clone(), text.clone());
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text = before.1;
                retry = Some((pattern.clone(), text.clone()));
            }
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {}
            _ => {
                let Some((after_star, mut from)) = retry.take() else { return false };
                if from.next().is_none() {
                    return false;
                }
                pattern = after_star.clone();
                text = from.clone();
                retry = Some((after_star, from));
            }
        }
    }
}

/// The regular expression was compiled when the policy was loaded.
fn matches(call: &NativeCallContext<'_>, regex: &str, text: &str) -> Result<bool, Box<EvalAltResult>> {
    let turn = Turn::of(call)?;
    let regex = turn.0.policies.regex(regex);
    regex
        .map(|regex| regex.is_match(text))
        .ok_or_else(|| fault(call, "the pattern must be written out as a text"))
}

/// Stops at the first entry for which there is no room.
fn join(call: &NativeCallContext<'_>, array: &Array, separator: &str) -> Result<Text, Box<EvalAltResult>> {
    let mut joined = String::new();
    for (index, entry) in array.iter().enumerate() {
        let (separator, entry) = (if index == 0 { "" } else { separator }, entry.to_string());
        if joined.len() + separator.len() + entry.len() > MAX_TEXT {
            return Err(too_large(call, "text"));
        }
        joined.push_str(separator);
        joined.push_str(&entry);
    }
    Ok(joined.into())
}

/// Every `old` in `text` becomes `new`; an empty text stays as it is, as in Rhai's own.
fn replace(
    call: &NativeCallContext<'_>,
    text: &mut Text,
    old: &str,
    new: &str,
) -> Result<(), Box<EvalAltResult>> {
    if text.is_empty() {
        return Ok(());
    }
    let count = text.matches(old).count();
    let size = (text.len() - count * old.len()).saturating_add(count.saturating_mul(new.len()));
    if size > MAX_TEXT {
        return Err(too_large(call, "text"));
    }
    *text = text.replace(old, new).into();
    Ok(())
}

/// In lower-case hexadecimal digits.
fn sha256(octets: &[u8]) -> Text {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets);
    let mut hex = String::with_capacity(64);
    for octet in digest.as_ref() {
        _ = write!(hex, "{octet:02x}");
    }
    hex.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `glob` means, without a thought for the work that it makes.
    fn plain_glob(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=text.len()).any(|taken| plain_glob(rest, &text[taken..])),
            ([wanted, pattern @ ..], [found, text @ ..]) => {
                (*wanted == '?' || wanted == found) && plain_glob(pattern, text)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn glob_means_what_it_says(pattern in "[ab*?]{0,8}", text in "[abc]{0,12}") {
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(glob(&pattern, &text), plain_glob(&characters(&pattern), &characters(&text)));
        }
    }

    #[test]
    fn the_registered_part_of_a_domain() {
        for (domain, registered) in [
            ("example.org", "example.org"),
            ("Mail.Example.ORG.", "example.org"),
            ("a.b.example.co.uk", "example.co.uk"),
            ("co.uk", ""),
            ("org", ""),
            ("m\u{fc}ller.example.de", "example.de"),
            ("a.m\u{fc}ller.de", "xn--mller-kva.de"),
            // A suffix that the list does not know has one label.
            ("a.b.unheard-of", "b.unheard-of"),
            ("192.0.2.1", ""),
            ("[192.0.2.1]", ""),
            ("2001:db8::1", ""),
            ("", ""),
            ("..", ""),
            ("a b.example.org", ""),
        ] {
            assert_eq!(organizational_domain(domain), registered, "{domain}");
        }
    }

    #[test]
    fn a_hostile_pattern_does_not_explode() {
        let pattern = "*a".repeat(MAX_GLOB / 2);
        assert!(!glob(&pattern, &"a".repeat(100)));
        assert!(!glob(&(pattern + "b"), &"a".repeat(20_000)));
    }
}
