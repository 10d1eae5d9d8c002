//! The addresses of pages in texts.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::LazyLock;

use regex::bytes::Regex;
use serde::{Deserialize, Serialize};

use super::MAX_URLS;

/// Octets of one URL that are kept.
const MAX_URL: usize = 2_048;

/// The address of a page.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Url {
    /// As it was written, with `http://` in front where there was only `www.`; octets that are not UTF-8 are U+FFFD.
    pub url: String,
    /// Its host in lower case and A-labels, or its address without brackets.
    pub host: String,
}

impl Url {
    /// Reads one; `None` if its host is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let starts =
            |prefix: &str| text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        let (url, rest) = match ["http://", "https://"].into_iter().find(|prefix| starts(prefix)) {
            Some(prefix) => (text.to_owned(), text.get(prefix.len()..)?),
            None if starts("www.") => (format!("http://{text}"), text),
            None => return None,
        };
        Some(Self { host: host(rest)?, url })
    }
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Urls {
    pub(super) found: Vec<Url>,
    /// There were more than are told.
    pub(super) more: bool,
    seen: HashSet<String>,
}

/// Anything that a mail program might make a link of. `regex` is linear in the text.
static URL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?i-u)(?:https?://|\bwww\.)[^\x00-\x20\x7f<>"'`{}|\\^]+"#).ok());

impl Urls {
    /// Adds the URLs of `text`.
    pub(super) fn search(&mut self, text: &[u8], is_html: bool) {
        let Some(pattern) = LazyLock::force(&URL) else { return };
        // UTF-16 with ASCII in it reads like ASCII then.
        let mut plain: Vec<u8> = text.iter().copied().filter(|&octet| octet != 0).collect();
        if is_html {
            plain = without_references(&plain);
        }
        for found in pattern.find_iter(&plain) {
            self.add(found.as_bytes());
        }
    }

    fn add(&mut self, octets: &[u8]) {
        let octets = octets.get(..octets.len().min(MAX_URL)).unwrap_or_default();
        let text = String::from_utf8_lossy(octets);
        let text = text.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '*', '_']);
        let Some(url) = Url::parse(text) else { return };
        if self.seen.contains(&url.url) {
            return;
        }
        if self.found.len() == MAX_URLS {
            self.more = true;
            return;
        }
        self.seen.insert(url.url.clone());
        self.found.push(url);
    }
}

/// The host of what follows the scheme. Everything before the last `@` of the authority is for the user's eyes only.
fn host(rest: &str) -> Option<String> {
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    if let Some(bracketed) = host.strip_prefix('[') {
        let address = bracketed.split(']').next()?;
        return address.parse::<IpAddr>().ok().map(|ip| ip.to_string());
    }
    let host = host.split(':').next()?.trim_end_matches('.');
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Some(ip.to_string());
    }
    let host = idna::domain_to_ascii(host).ok()?;
    let labels = host.split('.').all(|label| (1..=63).contains(&label.len()));
    (host.len() <= 253 && host.contains('.') && labels).then_some(host)
}

/// HTML with its character references undone that can stand in a URL (`&amp;`, `&#47;`, `&#x2f;`...).
fn without_references(html: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = memchr::memchr(b'&', rest) {
        let (before, from) = rest.split_at(at);
        plain.extend_from_slice(before);
        let (octet, length) = reference(from);
        plain.push(octet);
        rest = from.get(length..).unwrap_or_default();
    }
    plain.extend_from_slice(rest);
    plain
}

/// The octet that a reference at the beginning of `html` stands for, and how long it is; `&` itself if it is none.
fn reference(html: &[u8]) -> (u8, usize) {
    const NONE: (u8, usize) = (b'&', 1);
    let window = html.get(1..html.len().min(12)).unwrap_or_default();
    let Some(end) = memchr::memchr(b';', window) else { return NONE };
    let name = window.get(..end).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
    let number = |digits: &str, radix| u8::from_str_radix(digits, radix).ok().filter(u8::is_ascii);
    let octet = match name {
        "amp" => Some(b'&'),
        "colon" => Some(b':'),
        "sol" => Some(b'/'),
        "period" => Some(b'.'),
        "commat" => Some(b'@'),
        _ => match name.strip_prefix('#') {
            Some(digits) => match digits.strip_prefix(['x', 'X']) {
                Some(digits) => number(digits, 16),
                None => number(digits, 10),
            },
            None => None,
        },
    };
    octet.map_or(NONE, |octet| (octet, end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, is_html: bool) -> Vec<(String, String)> {
        let mut urls = Urls::default();
        urls.search(text.as_bytes(), is_html);
        urls.found.into_iter().map(|url| (url.url, url.host)).collect()
    }

    #[test]
    fn hosts_are_those_that_the_click_goes_to() {
        for (text, host) in [
            ("see http://Example.COM/x.", "example.com"),
            ("<https://user:pass@evil.test:8080/path>", "evil.test"),
            ("https://good.test@evil.test/", "evil.test"),
            ("http://good.test\\@evil.test/", "good.test"),
            ("HTTPS://192.0.2.1/a", "192.0.2.1"),
            ("http://[2001:DB8::1]:80/", "2001:db8::1"),
            ("WWW.Example.Org/shop)", "www.example.org"),
            ("http://bücher.test/", "xn--bcher-kva.test"),
            ("http://example.com./", "example.com"),
        ] {
            let found = found(text, false);
            assert_eq!(found.iter().map(|(_, host)| host.as_str()).collect::<Vec<_>>(), [host], "{text}");
        }
        for text in
            ["http://", "http://localhost/", "http://a..b/", "awww.x.test", "ftp://a.test/", "http:// a.test"]
        {
            assert!(found(text, false).is_empty(), "{text}");
        }
    }

    #[test]
    fn html_hides_nothing() {
        let html = "<a href=\"https&#58;//a.test/?x=1&amp;y=2\">x</a> <a href='http:&#x2F;&sol;b.test'>";
        let expected = [("https://a.test/?x=1&y=2", "a.test"), ("http://b.test", "b.test")];
        assert_eq!(found(html, true), expected.map(|(url, host)| (url.to_owned(), host.to_owned())));
        assert_eq!(found("http://a.test/&#300;&#x;&;&", true)[0].0, "http://a.test/&#300;&#x;&;&");
    }

    #[test]
    fn each_is_told_once_and_not_without_end() {
        assert_eq!(found("http://a.test http://a.test http://b.test", false).len(), 2);
        let many: String = (0..500).map(|n| format!("http://h{n}.test/ ")).collect();
        let mut urls = Urls::default();
        urls.search(many.as_bytes(), false);
        assert!(urls.found.len() == MAX_URLS && urls.more);
        let wide: Vec<u8> = "http://wide.test/".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut urls = Urls::default();
        urls.search(&wide, false);
        assert_eq!(urls.found[0].host, "wide.test");
    }
}
