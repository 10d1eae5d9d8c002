//! ARC from one Gatepost to the next: the first one seals, the second one verifies and believes.

use gatepost::checks::seal::Sealer;
use gatepost::dns::responder::Zone;

use crate::harness::{AtTheDot, Gatepost, Plan, Program, Sink, folder};

const LETTER: &str = "From: Joe <joe@sender.example>\r\nTo: suzie@example.org\r\nSubject: sealed,\r\n  and folded\r\n\
                      Date: Fri, 20 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n\r\n.a dot\r\n\r\n  spaces  \r\n\
                      caf\u{e9}\r\n\r\n\r\n";

/// What the second one made of the chain.
const SHOW: &str = "/// Shows.
fn message(session, mail, message) {
    tag(\"first-dmarc\", message.arc.original_dmarc);
    tag(\"asked\", join(message.spf.lookups.map(|asked| `${asked.type} ${asked.name} ${asked.result}`), \", \"));
}
";

/// A private key as openssl writes it.
fn key(words: &str) -> String {
    let folder = folder("key");
    let file = folder.path().join("key.pem");
    Program::new("openssl").words(words).arg(file.to_str().unwrap()).succeed();
    std::fs::read_to_string(file).unwrap()
}

/// The second Gatepost, which knows where the keys of `sealers` are, in front of `sink`.
fn verifying(sink: &Sink, pem: &str) -> Gatepost {
    let mut zone = Zone::new();
    let sealer = Sealer::new("forwarder.example", "arc", pem.as_bytes()).unwrap();
    zone.txt("arc._domainkey.forwarder.example", &sealer.record());
    zone.txt("_dmarc.sender.example", "v=DMARC1; p=reject")
        .txt("sender.example", "v=spf1 ip4:192.0.2.1 -all");
    Plan::in_front_of_server(sink.address())
        .listener("policies: { only: [relay, protocol, show] }")
        .policy("90-show.rhai", SHOW)
        .section("authentication: { trusted_sealers: [forwarder.example] }")
        .zone(zone)
        .start()
}

/// The header of a message that goes from one Gatepost with this key to the next and to the upstream.
fn forwarded(pem: &str) -> String {
    let sink = Sink::start(AtTheDot::Take);
    let second = verifying(&sink, pem);
    let mut zone = Zone::new();
    zone.txt("sender.example", "v=spf1 ip4:127.0.0.1 -all")
        .txt("_dmarc.sender.example", "v=DMARC1; p=reject");
    let seal = "seal: { domain: Forwarder.Example, selector: arc, key: { file: seal.pem } }";
    let first = Plan::in_front_of_server(second.address())
        .file("seal.pem", pem)
        .section(format!("authentication: {{ received_spf: true, {seal} }}"))
        .zone(zone)
        .start();
    let reply = first.introduced().deliver("joe@sender.example", "suzie@example.org", LETTER.as_bytes());
    assert_eq!(reply.code, 250, "{reply}");
    let taken = sink.taken();
    first.end_well();
    second.end_well();
    String::from_utf8_lossy(&taken[0].header).replace("\r\n\t", " ").replace("\r\n ", " ")
}

#[test]
fn seals_with_keys_of_every_form_are_believed() {
    for words in [
        "genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out",
        "genpkey -algorithm ed25519 -out",
    ] {
        let header = forwarded(&key(words));
        let names: Vec<&str> = header.lines().filter_map(|line| line.split(':').next()).collect();
        let at = |name: &str| {
            names.iter().position(|found| *found == name).unwrap_or_else(|| panic!("{name}: {header}"))
        };
        assert!(header.contains("arc=pass (i=1 trusted)"), "{header}");
        assert!(header.contains("X-Gatepost-Tag: first-dmarc=pass"), "{header}");
        assert!(header.contains("X-Gatepost-Tag: asked=txt sender.example ok"), "{header}");
        // The second one saw the mail come from elsewhere.
        assert!(header.contains("dmarc=fail (p=reject dis=none)"), "{header}");
        let seal = at("ARC-Seal");
        assert_eq!(
            names[seal..seal + 3],
            ["ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"]
        );
        assert_eq!(names[seal + 3], "Received-SPF");
        assert!(
            header.contains(
                "Received-SPF: pass receiver=mx.example.org; identity=mailfrom; client-ip=127.0.0.1;"
            ),
            "{header}"
        );
    }
}

#[test]
fn keys_that_cannot_seal_are_said_before_the_start() {
    for (pem, said) in [
        (
            key("genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out"),
            "neither an RSA key of 2048 to 4096 bits",
        ),
        (key("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out"), "neither an RSA key"),
        ("no key".to_owned(), "no private key in PEM form"),
    ] {
        let error = Sealer::new("forwarder.example", "arc", pem.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_new_key_is_used_without_a_restart() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address())
        .file("seal.pem", &key("genpkey -algorithm ed25519 -out"))
        .section(
            "authentication: { seal: { domain: forwarder.example, selector: arc, key: { file: seal.pem } } }",
        )
        .start();
    let algorithm = || {
        let reply =
            gatepost.introduced().deliver("joe@sender.example", "suzie@example.org", LETTER.as_bytes());
        assert_eq!(reply.code, 250, "{reply}");
        let header = String::from_utf8_lossy(&sink.taken().last().unwrap().header).into_owned();
        header.split("a=").nth(1).unwrap().split(';').next().unwrap().to_owned()
    };
    assert_eq!(algorithm(), "ed25519-sha256");
    std::fs::write(gatepost.path("seal.pem"), "no key").unwrap();
    gatepost.logged(&["seal_key_refused", "no private key"]);
    assert_eq!(algorithm(), "ed25519-sha256");
    let rsa = key("genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out");
    std::fs::write(gatepost.path("seal.pem"), rsa).unwrap();
    gatepost.logged(&["seal_key_loaded"]);
    assert_eq!(algorithm(), "rsa-sha256");
    gatepost.end_well();
}

/// What was asked of DNS stands in the log for who looks closer.
#[test]
fn the_log_shows_lookups_at_debug() {
    let sink = Sink::start(AtTheDot::Take);
    let gatepost = Plan::in_front_of_server(sink.address())
        .dns("sender.example TXT v=spf1 include:gone.example -all")
        .section("log: { format: json, level: \"info,gatepost::proxy=debug\" }")
        .start();
    gatepost.introduced().deliver("joe@sender.example", "suzie@example.org", LETTER.as_bytes());
    let line = gatepost.logged(&["\"event\":\"lookup\"", "\"check\":\"spf\"", "\"name\":\"gone.example\""]);
    assert!(line.contains("\"result\":\"nxdomain\"") && line.contains("\"kind\":\"txt\""), "{line}");
    gatepost.end_well();
}
