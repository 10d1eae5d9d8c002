//! What a policy needs is fetched together, through a real session: nobody waits for one fact after the other.

// A panic is how tests report.
#![allow(clippy::unwrap_used)]

#[path = "../benches/measure/house.rs"]
mod house;

use std::sync::Arc;
use std::time::Duration;

use gatepost::policy::question::{Answer, Lookup, Question};
use gatepost::proxy::{End, Peer, drive};
use gatepost::upstream::BoxFuture;
use house::{Stream, Stub, listener, visit};
use tokio::io::duplex;
use tokio::sync::Barrier;
use tokio::time::Instant;

/// Whether a client is greeted by a session with this policy, where no fact is answered before `together` of them are under way.
async fn greeted(policy: &str, together: usize) -> bool {
    let under_way = Arc::new(Barrier::new(together));
    let answer = move |_: &Question| -> BoxFuture<'static, Answer> {
        let under_way = Arc::clone(&under_way);
        Box::pin(async move {
            under_way.wait().await;
            Answer::from(Lookup { result: "ok", values: Vec::new() })
        })
    };
    let listener = Arc::new(listener(policy, Arc::new(Stub(answer))));
    let (client, server) = duplex(1024);
    let peer = Peer::new(([192, 0, 2, 1], 40_112).into());
    let session = tokio::spawn(drive(Stream(server), peer, None, listener, End::default()));
    let greeted = visit(client).await;
    session.await.unwrap();
    greeted
}

const LOOKS: &str = "if a.result != \"ok\" || b.result != \"ok\" { reject(\"unknown\", \"no\"); }";

#[tokio::test(start_paused = true)]
async fn two_facts_of_one_function_are_under_way_at_the_same_time() {
    let began = Instant::now();
    let facts = "let a = dns_a(\"one.test\"); let b = dns_txt(\"two.test\");";
    assert!(greeted(&format!("fn connect(session) {{ {facts} {LOOKS} }}"), 2).await);
    assert!(began.elapsed() < Duration::from_secs(1), "nobody had to give up");
}

#[tokio::test(start_paused = true)]
async fn a_fact_that_depends_on_another_one_is_not() {
    let facts =
        "let a = dns_a(\"one.test\"); let b = if a.result == \"ok\" { dns_txt(\"two.test\") } else { a };";
    let policy = format!("fn connect(session) {{ {facts} {LOOKS} }}");
    assert!(!greeted(&policy, 2).await);
    assert!(greeted(&policy, 1).await);
}
