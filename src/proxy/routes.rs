//! Which upstream a recipient's mail goes to.

use std::collections::HashMap;
use std::sync::Arc;

use crate::session::Transaction;
use crate::session::stage::{Reason, Refusal, Source};
use crate::smtp::extensions::Extensions;
use crate::smtp::path::{Domain, ForwardPath};
use crate::smtp::reply::{Code, EnhancedCode, Reply};
use crate::upstream::Upstream;

/// The upstreams of a listener, by the domains of recipients.
///
/// The longest entry that fits a domain decides, so the domain itself before what is above it. A recipient without a domain
/// (`<postmaster>`) or with an address literal goes to the default.
#[derive(Debug)]
pub struct Routes {
    default: Arc<Upstream>,
    domains: HashMap<String, Arc<Upstream>>,
    parents: HashMap<String, Arc<Upstream>>,
    any: Option<Arc<Upstream>>,
}

impl From<Arc<Upstream>> for Routes {
    /// Everything to `upstream`.
    fn from(upstream: Arc<Upstream>) -> Self {
        Self::new(upstream, [])
    }
}

impl Routes {
    /// `routes` are domains in lower case and A-labels and where their mail goes: `example.org` is itself, `.example.org`
    /// everything below it, `*` any domain at all. What no route fits goes to `default`.
    pub fn new(default: Arc<Upstream>, routes: impl IntoIterator<Item = (String, Arc<Upstream>)>) -> Self {
        let mut all = Self { default, domains: HashMap::new(), parents: HashMap::new(), any: None };
        for (domain, upstream) in routes {
            match domain.strip_prefix('.') {
                _ if domain == "*" => all.any = Some(upstream),
                Some(parent) => {
                    all.parents.insert(parent.to_owned(), upstream);
                }
                None => {
                    all.domains.insert(domain, upstream);
                }
            }
        }
        all
    }

    /// Where mail goes that no route fits, and where logins are checked.
    pub const fn default(&self) -> &Arc<Upstream> {
        &self.default
    }

    /// Where mail for this recipient goes.
    pub fn for_recipient(&self, path: &ForwardPath) -> &Arc<Upstream> {
        match path {
            ForwardPath::Mailbox(mailbox) => match mailbox.domain() {
                Domain::Name(name) => self.for_domain(name.ascii()),
                Domain::Literal(_) => &self.default,
            },
            ForwardPath::Postmaster(_) => &self.default,
        }
    }

    /// The same for a domain in lower case and A-labels; a final dot says nothing.
    fn for_domain(&self, domain: &str) -> &Arc<Upstream> {
        let domain = domain.strip_suffix('.').unwrap_or(domain);
        let dots = domain.char_indices().filter(|(_, c)| *c == '.');
        let mut above = dots.filter_map(|(at, _)| self.parents.get(domain.get(at + 1..)?));
        let found = self.domains.get(domain).or_else(|| above.next());
        found.or(self.any.as_ref()).unwrap_or(&self.default)
    }

    /// What a client may be offered that has not said yet whom its mail is for: what every upstream can do.
    ///
    /// One that never answered so far is left out, as nothing is known of it; when it turns out to do less, a transaction
    /// that needs more is refused, and the next EHLO tells the truth. `None` when none of them was ever heard.
    pub fn extensions(&self) -> Option<Arc<Extensions>> {
        let routed = self.domains.values().chain(self.parents.values()).chain(&self.any);
        let mut seen: Vec<&Arc<Upstream>> = vec![&self.default];
        for upstream in routed {
            if !seen.iter().any(|known| Arc::ptr_eq(known, upstream)) {
                seen.push(upstream);
            }
        }
        let known = seen.into_iter().filter_map(|upstream| upstream.extensions());
        known.reduce(|one, other| Arc::new(one.intersect(&other)))
    }

    /// The upstream that `rcpt` belongs to, unless the recipients that `transaction` has already leave it no place.
    ///
    /// # Errors
    /// The recipient belongs to another upstream than those: one reply to the message would have to speak for two
    /// servers. Or the upstream takes one recipient at a time.
    pub(super) fn admit(
        &self,
        transaction: &Transaction,
        rcpt: &ForwardPath,
    ) -> Result<&Arc<Upstream>, Refusal> {
        let upstream = self.for_recipient(rcpt);
        let Some(first) = transaction.recipients.first() else { return Ok(upstream) };
        if !Arc::ptr_eq(self.for_recipient(&first.path), upstream) {
            return Err(other_route());
        }
        if upstream.takes_one_recipient() {
            return Err(one_recipient());
        }
        Ok(upstream)
    }

    /// The same for the recipients of somebody who has logged in at the default upstream, and has no other.
    ///
    /// # Errors
    /// The upstream takes one recipient at a time.
    pub(super) fn admit_known(&self, transaction: &Transaction) -> Result<&Arc<Upstream>, Refusal> {
        match transaction.recipients.first() {
            Some(_) if self.default.takes_one_recipient() => Err(one_recipient()),
            _ => Ok(&self.default),
        }
    }

    /// The upstream that the recipients of a transaction belonged to; somebody who has logged in has but one.
    pub(super) fn taken(&self, transaction: &Transaction, login: bool) -> Option<&Arc<Upstream>> {
        let first = transaction.recipients.first()?;
        Some(if login { &self.default } else { self.for_recipient(&first.path) })
    }
}

fn other_route() -> Refusal {
    let text = "this recipient's mail is delivered by another server than the first one's: send separately";
    refusal(Code::literal::<451>(), "other_route", text)
}

/// The recipients' domains judge messages by policies of their own, and one reply speaks for all recipients.
pub(super) fn other_policies() -> Refusal {
    let text = "this recipient's mail is judged by other policies than the first one's: send separately";
    refusal(Code::literal::<451>(), "other_policies", text)
}

/// RFC 5321 4.5.3.1.10: what a client has to expect when there are too many recipients; it sends the rest in another
/// transaction.
fn one_recipient() -> Refusal {
    let text = "this server takes one recipient a message: send the others separately";
    refusal(Code::literal::<452>(), "one_recipient", text)
}

fn refusal(code: Code, rule: &str, text: &str) -> Refusal {
    Refusal {
        reply: Reply::new(code, Some(EnhancedCode::new(4, 5, 3)), text),
        reason: Reason::new(Source::Limit, rule),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::UpstreamMetrics;
    use crate::smtp::command::Command;
    use crate::upstream::{Kind, Target, TcpDial};

    fn upstream(name: &str) -> Arc<Upstream> {
        let kind = Kind::Maildir("/nowhere".into());
        let target = Target { name: name.to_owned(), hostname: "mx.example.org".to_owned(), kind };
        Upstream::new(target, Arc::new(TcpDial), UpstreamMetrics::detached())
    }

    fn routes(routes: &[(&str, &str)]) -> Routes {
        let routes = routes.iter().map(|(domain, name)| ((*domain).to_owned(), upstream(name)));
        Routes::new(upstream("default"), routes)
    }

    fn route<'r>(routes: &'r Routes, path: &str) -> &'r str {
        match Command::parse(format!("RCPT TO:<{path}>").as_bytes(), true).unwrap() {
            Command::Rcpt(rcpt) => routes.for_recipient(&rcpt.path).name(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_longest_entry_decides() {
        let routes = routes(&[
            ("example.net", "itself"),
            (".example.net", "below"),
            (".deep.example.net", "deeper"),
            ("a.deep.example.net", "exact"),
            ("xn--bcher-kva.example", "idn"),
        ]);
        for (path, name) in [
            ("x@example.net", "itself"),
            ("x@EXAMPLE.Net", "itself"),
            ("x@a.example.net", "below"),
            ("x@deep.example.net", "below"),
            ("x@b.deep.example.net", "deeper"),
            ("x@a.deep.example.net", "exact"),
            ("x@a.a.deep.example.net", "deeper"),
            ("x@evilexample.net", "default"),
            ("x@net", "default"),
            ("x@b\u{fc}cher.example", "idn"),
            ("x@B\u{dc}CHER.example", "idn"),
            ("x@[192.0.2.1]", "default"),
            ("postmaster", "default"),
        ] {
            assert_eq!(route(&routes, path), name, "{path}");
        }
        assert_eq!(routes.for_domain("example.net.").name(), "itself");
        assert_eq!(routes.for_domain("").name(), "default");
        assert_eq!(routes.for_domain(".").name(), "default");
    }

    #[test]
    fn any_domain_is_what_is_left() {
        let routes = routes(&[("*", "any"), (".example.net", "below")]);
        for (path, name) in [
            ("x@example.org", "any"),
            ("x@a.example.net", "below"),
            ("x@[192.0.2.1]", "default"),
            ("postmaster", "default"),
        ] {
            assert_eq!(route(&routes, path), name, "{path}");
        }
    }
}
