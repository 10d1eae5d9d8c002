//! What several servers can do alike.

use super::Extensions;

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
            smtputf8,
            dsn,
            help,
            xclient,
            unknown,
        } = self;
        Self {
            size: smallest(*size, other.size),
            eight_bit_mime: *eight_bit_mime && other.eight_bit_mime,
            pipelining: *pipelining && other.pipelining,
            starttls: *starttls && other.starttls,
            enhanced_status_codes: *enhanced_status_codes && other.enhanced_status_codes,
            chunking: *chunking && other.chunking,
            smtputf8: *smtputf8 && other.smtputf8,
            dsn: *dsn && other.dsn,
            help: *help && other.help,
            xclient: common(xclient, &other.xclient),
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

fn common(one: &[String], other: &[String]) -> Vec<String> {
    one.iter().filter(|word| other.contains(word)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_cannot_do_is_not_done_by_both() {
        let all = Extensions {
            size: Some(Some(1000)),
            eight_bit_mime: true,
            pipelining: true,
            starttls: true,
            enhanced_status_codes: true,
            chunking: true,
            smtputf8: true,
            dsn: true,
            help: true,
            xclient: ["NAME", "ADDR"].map(str::to_owned).to_vec(),
            unknown: ["ETRN", "VRFY"].map(str::to_owned).to_vec(),
        };
        assert_eq!(all.intersect(&all), all);
        let limited = Extensions { size: Some(Some(1000)), ..Extensions::default() };
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
