//! Which sessions somebody wants to follow.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Event, What};

/// What a session must have in it to be shown; what is not said does not matter. All of it may have come at different moments of
/// the session.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// The client is in this network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpNet>,
    /// A transaction has this sender: an address, or a domain for all of its addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// A transaction has this recipient, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// This rule spoke, or one of this policy; also what refused that is no rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Something was decided so: `reject`, `defer`, `would_reject`, `rejected`, `deferred`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

/// What a session has shown of what is asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Seen {
    from: bool,
    to: bool,
    rule: bool,
    verdict: bool,
}

impl Filter {
    /// Whether a session of this client can ever be shown.
    pub(super) fn may_match(&self, event: &Event) -> bool {
        self.client.is_none_or(|network| network.contains(&event.identity.client))
    }

    /// Notes what an event shows.
    pub(super) fn note(&self, seen: &mut Seen, what: &What) {
        let is = |wanted: &Option<String>, address: &str| {
            wanted.as_ref().is_some_and(|wanted| is_address(address, wanted))
        };
        match what {
            What::Sender(sender) => seen.from |= is(&self.from, sender),
            What::Recipient(recipient) => seen.to |= is(&self.to, recipient),
            What::Rule { rule, verdict, .. } => {
                let named = |wanted: &String| {
                    rule.strip_prefix(wanted.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                };
                seen.rule |= self.rule.as_ref().is_some_and(named);
                seen.verdict |= self.verdict.as_ref() == Some(verdict);
            }
            What::Said(..) | What::Closed => {}
        }
    }

    /// Whether everything was seen that is asked for.
    pub(super) const fn is_met(&self, seen: Seen) -> bool {
        (self.from.is_none() || seen.from)
            && (self.to.is_none() || seen.to)
            && (self.rule.is_none() || seen.rule)
            && (self.verdict.is_none() || seen.verdict)
    }
}

/// Whether `wanted` is this address, or its domain. `address` is empty for the null sender.
pub(crate) fn is_address(address: &str, wanted: &str) -> bool {
    let wanted = wanted.trim_start_matches('<').trim_end_matches('>');
    match wanted.strip_prefix('@').or_else(|| (!wanted.contains('@') && !wanted.is_empty()).then_some(wanted))
    {
        Some(domain) => address.rsplit_once('@').is_some_and(|(_, own)| own.eq_ignore_ascii_case(domain)),
        None => address.eq_ignore_ascii_case(wanted),
    }
}
