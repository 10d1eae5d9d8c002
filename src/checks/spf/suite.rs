//! The test suite of RFC 7208 (openspf.org), all of it.

use std::sync::Arc;
use std::time::Duration;

use crate::checks::suites::{SpfCase, scenarios};
use crate::checks::{Checker, Clock, Settings};
use crate::dns::Resolver;
use crate::dns::responder::Responder;

async fn checker(responder: &Responder) -> Checker {
    let settings = crate::dns::Settings { timeout: Duration::from_millis(400), ..responder.settings() };
    let resolver = Resolver::new(settings, Arc::new(())).unwrap();
    Checker::new(
        resolver,
        Settings { hostname: "receiver.example".into(), ..Settings::default() },
        Clock::default(),
    )
}

/// `None`: as it should be.
async fn complaint(checker: &Checker, case: &SpfCase) -> Option<String> {
    let found = match &case.sender {
        Some((local, domain)) => checker.spf_of(case.client, &case.helo, local, domain).await,
        None => checker.spf_helo(case.client, &case.helo).await,
    };
    let explanation = if found.explanation.is_empty() { "DEFAULT" } else { &found.explanation };
    if !case.results.iter().any(|result| result == found.result.name()) {
        return Some(format!("{}: {:?} expected: {found:?}", case.name, case.results));
    }
    let wrong = case.explanation.as_ref().filter(|wanted| !wanted.eq_ignore_ascii_case(explanation));
    wrong.map(|wanted| format!("{}: explanation {wanted:?} expected: {found:?}", case.name))
}

#[tokio::test]
async fn every_case_of_the_rfcs_suite() {
    let (mut complaints, mut count) = (Vec::new(), 0);
    for scenario in scenarios() {
        let responder = Responder::start(scenario.zone).await.unwrap();
        let checker = checker(&responder).await;
        for case in &scenario.cases {
            count += 1;
            let complaint = complaint(&checker, case).await;
            complaints.extend(complaint.map(|complaint| format!("{}: {complaint}", scenario.description)));
        }
    }
    assert!(complaints.is_empty(), "{} of {count}:\n{}", complaints.len(), complaints.join("\n"));
    assert_eq!(count, 203);
}
