//! The operator's page in a real browser.

use crate::harness::{AtTheDot, Browser, Plan, Sink, keep_picture, letter};

/// Enter, as WebDriver types it.
const ENTER: char = '\u{e007}';

/// A policy that reads a setting and asks for a fact.
const OWN: &str = r#"
const SETTINGS = #{ "most": 3 };
fn mail(session, mail) {
    if setting("most") > 2 && mail_hosts(mail.sender.domain).result == "null_mx" {
        reject("null-mx", "your domain takes no mail");
    }
}
"#;

#[test]
fn the_operator_finds_a_decision_and_reads_why() {
    let sink = Sink::start(AtTheDot::Take);
    let plan = Plan::in_front_of_server(sink.address()).file("token", "s3cret\n").policy("09-own.rhai", OWN);
    let gatepost = plan.admin("token: { file: token }").start();
    let mut client = gatepost.introduced();
    assert_eq!(client.deliver("joe@sender.example", "suzie@example.org", &letter("hello")).code, 250);
    assert_eq!(client.ask("MAIL FROM:<\"<img src=x onerror=alert(1)>\"@sender.example>").code, 250);
    assert_eq!(client.ask("RCPT TO:<victim@elsewhere.example>").code, 550);

    let browser = Browser::start();
    browser.open(&format!("http://{}/", gatepost.admin()));
    browser.shows("document.querySelector('#notice').textContent.includes('Bearer')");
    browser.write("#token", &format!("s3cret{ENTER}"));
    let row = |text: &str| {
        format!("[...document.querySelectorAll('tbody tr')].some(row => row.textContent.includes('{text}'))")
    };
    browser.shows(&row("relay.denied"));
    browser.shows(&row("suzie@example.org"));
    keep_picture(&browser, "GATEPOST_PICTURE_DECISIONS");

    browser.write("#search", &format!("relay{ENTER}"));
    browser.shows(&format!("{} && !{}", row("relay.denied"), row("accepted")));
    browser.click("tbody tr");
    browser.shows("document.querySelector('#explain').open");
    browser
        .shows("document.querySelector('#explanation').textContent.includes('by the rule relay.denied (00-relay.rhai:')");
    // Whose each fact and each read setting is.
    for line in ["fact for own: mail_hosts sender.example: ", "read by own: setting own.most: 3"] {
        browser.shows(&format!("document.querySelector('#explanation').textContent.includes('    {line}')"));
    }
    keep_picture(&browser, "GATEPOST_PICTURE_EXPLAIN");
    browser.click("#explain button");

    for (view, text) in [("sessions", "client.example.net"), ("upstreams", "up"), ("rules", "relay.denied")] {
        browser.click(&format!("nav button[data-view={view}]"));
        browser.shows(&row(text));
    }
    let hits = "[...document.querySelectorAll('tbody tr')].find(row => row.textContent.includes('relay.denied')).querySelector('td.number').textContent === '1'";
    browser.shows(hits);
    browser.click("nav button[data-view=reloads]");
    browser.shows("document.querySelector('nav button[data-view=reloads]').ariaCurrent === 'page'");

    assert_eq!(browser.run("return document.images.length"), 0, "what a client wrote became markup");
    let console = browser.console();
    assert!(!console.contains("Content Security Policy") && !console.contains("TypeError"), "{console}");
    drop(browser);
    gatepost.end_well();
}
