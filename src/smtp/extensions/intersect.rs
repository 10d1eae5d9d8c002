//! What several servers can do alike.

use super::{Extensions, FutureRelease};

impl Extensions {
    /// What both servers offer: what a client may be told that does not know yet which of them its message goes to.
    ///
    /// The size is the smallest that any of them states, also where the other has no SIZE: a limit holds whether or not
    /// it is announced.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        // Every field by its name, so that a new one is not forgotten here.
        let Self {
            size,
            eight_bit_mime,
            pipelining,
            starttls,
            enhanced_status_codes,
            chunking,
            binary_mime,
            smtputf8,
            dsn,
            auth,
            deliver_by,
            mt_priority,
            future_release,
            require_tls,
            limits,
            xclient,
            xforward,
            help,
            vrfy,
            expn,
            unknown,
        } = self;
        Self {
            size: smallest(*size, other.size),
            eight_bit_mime: *eight_bit_mime && other.eight_bit_mime,
            pipelining: *pipelining && other.pipelining,
            starttls: *starttls && other.starttls,
            enhanced_status_codes: *enhanced_status_codes && other.enhanced_status_codes,
            chunking: *chunking && other.chunking,
            binary_mime: *binary_mime && other.binary_mime,
            smtputf8: *smtputf8 && other.smtputf8,
            dsn: *dsn && other.dsn,
            auth: common(auth, &other.auth),
            // The longer of the shortest times holds for both.
            deliver_by: deliver_by.zip(other.deliver_by).map(|(one, other)| one.max(other)),
            mt_priority: mt_priority.clone().filter(|profile| other.mt_priority.as_ref() == Some(profile)),
            future_release: future_release.as_ref().zip(other.future_release.as_ref()).map(nearest),
            require_tls: *require_tls && other.require_tls,
            limits: limits.stricter(other.limits),
            xclient: common(xclient, &other.xclient),
            xforward: common(xforward, &other.xforward),
            help: *help && other.help,
            vrfy: *vrfy && other.vrfy,
            expn: *expn && other.expn,
            unknown: common(unknown, &other.unknown),
        }
    }
}

fn smallest(one: Option<Option<u64>>, other: Option<Option<u64>>) -> Option<Option<u64>> {
    let limits = one.flatten().into_iter().chain(other.flatten());
    match limits.min() {
        Some(limit) => Some(Some(limit)),
        None => one.and(other),
    }
}

/// The shorter time and the earlier date: dates in UTC, which all servers write, are in the order of their letters.
fn nearest((one, other): (&FutureRelease, &FutureRelease)) -> FutureRelease {
    FutureRelease {
        max_interval: one.max_interval.min(other.max_interval),
        max_date: one.max_date.clone().min(other.max_date.clone()),
    }
}

fn common(one: &[String], other: &[String]) -> Vec<String> {
    one.iter().filter(|word| other.contains(word)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::extensions::ServerLimits;

    #[test]
    fn what_one_cannot_do_is_not_done_by_both() {
        let all = Extensions {
            size: Some(Some(1000)),
            eight_bit_mime: true,
            pipelining: true,
            starttls: true,
            enhanced_status_codes: true,
            chunking: true,
            binary_mime: true,
            smtputf8: true,
            dsn: true,
            auth: vec!["PLAIN".to_owned()],
            deliver_by: Some(Some(240)),
            mt_priority: Some(None),
            future_release: Some(FutureRelease {
                max_interval: 60,
                max_date: "2027-01-01T00:00:00Z".to_owned(),
            }),
            require_tls: true,
            limits: ServerLimits { rcpt_max: Some(100), ..ServerLimits::default() },
            xforward: vec!["ADDR".to_owned()],
            help: true,
            vrfy: true,
            expn: true,
            xclient: ["NAME", "ADDR"].map(str::to_owned).to_vec(),
            unknown: ["ETRN", "VRFY"].map(str::to_owned).to_vec(),
        };
        assert_eq!(all.intersect(&all), all);
        let limited = Extensions { size: Some(Some(1000)), limits: all.limits, ..Extensions::default() };
        assert_eq!(all.intersect(&Extensions::default()), limited);
        assert_eq!(Extensions::default().intersect(&all), limited);
        let some = Extensions {
            xclient: vec!["ADDR".to_owned()],
            unknown: vec!["VRFY".to_owned(), "X".to_owned()],
            ..Extensions::default()
        };
        let both = all.intersect(&some);
        assert_eq!((both.xclient.join(" "), both.unknown.join(" ")), ("ADDR".to_owned(), "VRFY".to_owned()));
    }

    #[test]
    fn the_smallest_size_counts() {
        let sized = |size| Extensions { size, ..Extensions::default() };
        for (one, other, both) in [
            (Some(Some(5)), Some(Some(7)), Some(Some(5))),
            (Some(Some(5)), Some(None), Some(Some(5))),
            (Some(Some(5)), None, Some(Some(5))),
            (Some(None), Some(None), Some(None)),
            (Some(None), None, None),
            (None, None, None),
        ] {
            assert_eq!(sized(one).intersect(&sized(other)).size, both, "{one:?} {other:?}");
            assert_eq!(sized(other).intersect(&sized(one)).size, both, "{other:?} {one:?}");
        }
    }
}
