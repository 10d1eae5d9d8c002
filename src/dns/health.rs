//! Whether anything is answered at all. One dead domain is its owner's trouble; when nobody's names can be looked up any more, it is
//! the servers that we ask.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Domains that have to fail, each of them somebody else's: whoever sends us mail can own a few dead ones.
const DOMAINS: usize = 5;
/// For so long there was no answer.
const TIME: Duration = Duration::from_secs(10);

/// What became of the look-ups since the last answer.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Option<Silence>>);

#[derive(Debug)]
struct Silence {
    since: Instant,
    /// At most [`DOMAINS`].
    domains: HashSet<String>,
}

impl Health {
    /// A look-up of `name` was answered or not. Whether the servers fail, from what is known by now.
    pub(super) fn heard(&self, name: &str, answered: bool, now: Instant) -> bool {
        let mut silence = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answered {
            *silence = None;
            return false;
        }
        let silence = silence.get_or_insert_with(|| Silence { since: now, domains: HashSet::new() });
        if silence.domains.len() < DOMAINS {
            silence.domains.insert(owner(name).to_owned());
        }
        silence.domains.len() == DOMAINS && now.saturating_duration_since(silence.since) >= TIME
    }
}

/// About whose name it is: two labels, of an address's name five (a network of 256 addresses of IPv4, less of IPv6).
fn owner(name: &str) -> &str {
    let labels = if name.ends_with(".arpa") { 5 } else { 2 };
    let dots = name.rmatch_indices('.').nth(labels - 1);
    dots.and_then(|(dot, _)| name.get(dot + 1..)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners() {
        for (name, owner_of_it) in [
            ("", ""),
            ("example", "example"),
            ("a.example", "a.example"),
            ("_dmarc.mail.a.example", "a.example"),
            ("1.2.0.192.in-addr.arpa", "2.0.192.in-addr.arpa"),
            ("8.2.0.192.in-addr.arpa", "2.0.192.in-addr.arpa"),
        ] {
            assert_eq!(owner(name), owner_of_it, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn servers_fail_when_nobodys_names_are_answered() {
        let health = Health::default();
        let later = |seconds| Instant::now() + Duration::from_secs(seconds);
        for n in 0..1000 {
            assert!(!health.heard(&format!("n{n}.dead.example"), false, later(n)), "one domain");
        }
        let health = Health::default();
        for n in 0..20 {
            assert!(!health.heard(&format!("x.d{n}.example"), false, later(9)), "of this moment");
        }
        assert!(!health.heard("x.d1.example", false, later(18)));
        assert!(health.heard("x.d1.example", false, later(19)), "of many, for a while");
        assert!(!health.heard("x.example", true, later(20)), "an answer");
        assert!(!health.heard("x.d1.example", false, later(40)));
    }
}
