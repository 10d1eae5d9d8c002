//! What a scrape says.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A scrape of `/metrics`.
#[derive(Clone, Debug)]
pub(crate) struct Exposition(String);

impl Exposition {
    pub(super) const fn new(text: String) -> Self {
        Self(text)
    }

    /// The sum of all series of a family that have these labels; `name` without its prefix.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        gatepost::metrics::sum(&self.0, &format!("gatepost_{name}"), labels) as u64
    }

    /// The names of all families, with their prefix.
    pub(crate) fn families(&self) -> Vec<&str> {
        let types = self.0.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.filter_map(|line| line.split(' ').next()).collect()
    }

    /// The names of all series, with their labels.
    pub(crate) fn series(&self) -> BTreeSet<&str> {
        let samples = self.0.lines().filter(|line| !line.starts_with('#'));
        samples.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series).collect()
    }

    /// Whether any series of the family has another value than 0.
    pub(crate) fn moved(&self, family: &str) -> bool {
        let of_family =
            |line: &&str| line.strip_prefix(family).is_some_and(|rest| rest.starts_with(['{', ' ', '_']));
        let is_zero = |line: &str| line.rsplit(' ').next() == Some("0");
        self.0.lines().filter(of_family).any(|line| !is_zero(line))
    }

    /// Why the two sums of the design do not hold, if they do not.
    pub(crate) fn imbalance(&self) -> Option<String> {
        let refusals = self.sum("rejections_total", &[]);
        let refused =
            self.sum("replies_total", &[("class", "4")]) + self.sum("replies_total", &[("class", "5")]);
        let accepted = self.sum("messages_total", &[("outcome", "accepted")]);
        let taken = self.sum("upstream_replies_total", &[("command", "end_of_data"), ("class", "2")]);
        let balanced = refusals == refused && accepted == taken;
        (!balanced).then(|| {
            format!(
                "rejections_total {refusals}, but {refused} replies 4xx and 5xx; messages accepted {accepted}, but the \
                 upstream took {taken}"
            )
        })
    }

    /// The lines that are not comments, for the message of a test that fails.
    pub(crate) fn lines_with(&self, part: &str) -> String {
        let lines = self.0.lines().filter(|line| !line.starts_with('#') && line.contains(part));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The status and the body of `GET path`, or nothing when nobody answers.
pub(super) fn get(from: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(from).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {from}\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, body.to_owned()))
}
