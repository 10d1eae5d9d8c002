//! What greylisting makes of an attempt (RFC 6647), as a step from what is kept to what is to be kept.
//!
//! `greylist.lua` does the same in Redis.

use std::time::Duration;

use super::operation::{Greylist, Millis, Seen, millis};

/// What is kept of one network, sender and recipient.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Pair {
    /// When it was first seen.
    pub(super) first: Millis,
    /// Whether it came again after its delay.
    pub(super) passed: bool,
    /// When it is forgotten.
    pub(super) expires: Millis,
}

/// What is kept of one client: how many of its pairs have passed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Client {
    /// Pairs that passed.
    pub(super) passes: u32,
    /// When it is forgotten.
    pub(super) expires: Millis,
}

/// Everything that is kept about an attempt. What has expired counts as absent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Kept {
    pub(super) pair: Option<Pair>,
    pub(super) client: Option<Client>,
    /// What the same policy learnt while it was in shadow; looked at by an enforced one only.
    pub(super) shadow_pair: Option<Pair>,
    pub(super) shadow_client: Option<Client>,
}

/// What the attempt is, and what is to be kept from now on: `None` where nothing changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Step {
    pub(super) seen: Seen,
    pub(super) pair: Option<Pair>,
    pub(super) client: Option<Client>,
}

/// Sees one attempt at `now`.
pub(super) fn see(attempt: &Greylist, kept: Kept, now: Millis) -> Step {
    let keep_until = now.saturating_add(millis(attempt.keep));
    let is_known = |client: &Client| attempt.passes > 0 && client.passes >= attempt.passes;
    if let Some(client) = kept.client.filter(is_known) {
        let client = Some(Client { expires: keep_until, ..client });
        return Step { seen: Seen::Known, pair: None, client };
    }
    let known = |pair: Pair, client: Option<Client>| Step {
        seen: Seen::Known,
        pair: Some(Pair { expires: keep_until, ..pair }),
        client,
    };
    let one_more = Client { passes: passes(kept.client).saturating_add(1), expires: keep_until };
    let has_waited = |pair: Pair| now.saturating_sub(pair.first) >= millis(attempt.delay);
    match kept.pair {
        Some(pair) if pair.passed => known(pair, None),
        Some(pair) if has_waited(pair) => {
            let step = known(Pair { passed: true, ..pair }, Some(one_more));
            let seen = if attempt.shadow { Seen::Known } else { Seen::Pass };
            Step { seen, ..step }
        }
        Some(pair) if attempt.shadow => known(pair, None),
        Some(pair) => {
            let waited = now.saturating_sub(pair.first);
            wait(attempt.delay.saturating_sub(Duration::from_millis(waited)), None)
        }
        None => match kept.shadow_pair.filter(|_| !attempt.shadow) {
            Some(learnt) => known(Pair { passed: true, ..learnt }, kept.client.or(kept.shadow_client)),
            None => unseen(attempt, kept, now),
        },
    }
}

/// A pair that nobody knows. The client may be known from the time in shadow.
fn unseen(attempt: &Greylist, kept: Kept, now: Millis) -> Step {
    let keep_until = now.saturating_add(millis(attempt.keep));
    if let Some(client) = kept.shadow_client.filter(|_| !attempt.shadow)
        && attempt.passes > 0
        && client.passes >= attempt.passes
    {
        let client = Some(Client { expires: keep_until, ..client });
        return Step { seen: Seen::Known, pair: None, client };
    }
    let kept_for = if attempt.shadow { attempt.keep } else { attempt.retry_within() };
    let pair = Pair { first: now, passed: false, expires: now.saturating_add(millis(kept_for)) };
    wait(attempt.delay, Some(pair))
}

const fn wait(remaining: Duration, pair: Option<Pair>) -> Step {
    Step { seen: Seen::Wait(remaining), pair, client: None }
}

fn passes(client: Option<Client>) -> u32 {
    client.map_or(0, |client| client.passes)
}
