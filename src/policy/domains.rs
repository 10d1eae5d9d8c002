//! What recipients' domains wish for themselves: settings and modes of rules that are asked at `rcpt`.

use std::collections::HashMap;
use std::sync::Arc;

use rhai::Dynamic;

use super::judgement::Mode;
use super::policies::Rule;

/// The wishes of all domains.
#[derive(Clone, Debug, Default)]
pub(super) struct Domains {
    /// By domain; those of everything below one with a dot in front.
    pub(super) wishes: HashMap<Arc<str>, Wishes>,
}

/// The wishes of one domain.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    /// By policy and name.
    pub(super) settings: HashMap<String, HashMap<String, Dynamic>>,
    /// By policy, or `policy.rule`.
    pub(super) modes: HashMap<String, Mode>,
}

impl Domains {
    /// The wishes for recipients at `domain`, in lower case and A-labels, with the name under which they stand: its own, else
    /// those of the nearest domain above it that speaks for what is below.
    pub(super) fn of(&self, domain: &str) -> Option<(&Arc<str>, &Wishes)> {
        if self.wishes.is_empty() {
            return None;
        }
        let dots = domain.match_indices('.').filter_map(|(at, _)| domain.get(at..));
        self.wishes
            .get_key_value(domain)
            .or_else(|| dots.into_iter().find_map(|above| self.wishes.get_key_value(above)))
    }

    /// The setting that a domain wishes of a policy.
    pub(super) fn setting(&self, domain: &str, policy: &str, name: &str) -> Option<&Dynamic> {
        self.of(domain)?.1.settings.get(policy)?.get(name)
    }

    /// Whether any domain wishes another mode of the policy or one of its rules.
    pub(super) fn touch(&self, policy: &str, rules: &HashMap<String, Rule>) -> bool {
        let named = |key: &String| key == policy || rules.values().any(|rule| *rule.id == **key);
        self.wishes.values().any(|wishes| wishes.modes.keys().any(named))
    }

    /// Whether any domain wishes that a rule is not enforced, or a policy where there is none.
    pub(super) fn soften(&self, policy: &str, rule: Option<&Rule>) -> bool {
        let mut wished = self.wishes.values().filter_map(|wishes| wishes.mode(policy, rule));
        wished.any(|mode| mode != Mode::Enforce)
    }
}

impl Wishes {
    /// The mode that is wished for a rule, or for the policy where there is none.
    pub(super) fn mode(&self, policy: &str, rule: Option<&Rule>) -> Option<Mode> {
        let own = rule.and_then(|rule| self.modes.get(&*rule.id));
        own.or_else(|| self.modes.get(policy)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_domain_speaks() {
        let names = ["example.net", ".example.net", ".deep.example.net", ".org"];
        let wishes = names.map(|name| (name.into(), Wishes::default())).into();
        let domains = Domains { wishes };
        for (domain, found) in [
            ("example.net", Some("example.net")),
            ("a.example.net", Some(".example.net")),
            ("a.deep.example.net", Some(".deep.example.net")),
            ("deep.example.net", Some(".example.net")),
            ("x.org", Some(".org")),
            ("org", None),
            ("evilexample.net", None),
            ("", None),
        ] {
            assert_eq!(domains.of(domain).map(|(name, _)| &**name), found, "{domain}");
        }
    }
}
