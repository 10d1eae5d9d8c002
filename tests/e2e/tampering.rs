//! Signatures that openssl made with keys of every kind, and what can be done to them (rows 78 to 86 of the catalogue of attacks): what
//! the upstream reads says `pass` of the good ones alone.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64;
use gatepost::dns::responder::{Fault, Zone};

use crate::authentication::{Letter, Stage, of};
use crate::harness::{Program, folder};

/// A letter, its signature and its key, as somebody made them.
struct Forgery {
    row: &'static str,
    /// Of an RSA key; 0 for Ed25519.
    bits: u16,
    algorithm: &'static str,
    /// Further tags of the signature.
    tags: &'static str,
    /// Further tags of the key record.
    key: &'static str,
    /// What is signed.
    header: &'static str,
    /// What becomes of the letter once it is signed.
    change: fn(String) -> String,
    passes: bool,
}

const GOOD: Forgery = Forgery {
    row: "78",
    bits: 2048,
    algorithm: "rsa-sha256",
    tags: "",
    key: "",
    header: "from",
    change: |letter| letter,
    passes: true,
};

const BODY: &str = "hello\r\n";

fn forgeries() -> Vec<Forgery> {
    let bad = |row| Forgery { row, passes: false, ..GOOD };
    vec![
        GOOD,
        Forgery { bits: 1024, ..GOOD },
        Forgery { bits: 4096, ..GOOD },
        Forgery { bits: 0, algorithm: "ed25519-sha256", ..GOOD },
        Forgery { change: |letter| format!("From: b@evil.example\r\n{letter}"), ..bad("79") },
        Forgery { tags: "l=7; ", ..bad("80, nothing left out") },
        Forgery { tags: "l=7; ", change: |letter| letter + "<h1>evil</h1>\r\n", ..bad("80") },
        Forgery { change: |letter| letter + "evil\r\n", ..bad("81") },
        Forgery { change: |letter| letter.replace("a@legit", "b@legit"), ..bad("81") },
        Forgery { change: |letter| letter.replace("b=", "b=AAAA"), ..bad("81") },
        Forgery { header: "subject", ..bad("82") },
        Forgery { tags: "x=never; ", ..bad("83, not in form") },
        Forgery { tags: "D=evil.example; x=soon; ", ..bad("74, not in form") },
        Forgery { tags: "x=1; ", ..bad("83") },
        Forgery { tags: "t=100; x=99; ", ..bad("83") },
        Forgery { bits: 512, ..bad("84") },
        Forgery { bits: 768, ..bad("84") },
        Forgery { algorithm: "rsa-sha1", ..bad("85") },
        Forgery { key: "h=sha1; ", ..bad("86") },
        Forgery { key: "s=tlsrpt; ", ..bad("86") },
        Forgery { key: "k=dsa; ", ..bad("86") },
        Forgery { key: "t=s; ", tags: "i=@sub.legit.example; ", ..bad("86") },
        Forgery { tags: "i=@evil.example; ", ..bad("74") },
        Forgery { tags: "d=evil.example; ", ..bad("74") },
    ]
}

impl Forgery {
    /// The record of its key, and the letter with its signature.
    fn make(&self, folder: &Path, selector: &str) -> (String, String) {
        let key = folder.join(format!("{selector}.pem"));
        self.generate(&key);
        let public = Program::new("openssl")
            .words("pkey -pubout -outform DER -in")
            .arg(key.to_str().unwrap())
            .words("-out")
            .arg(folder.join("public").to_str().unwrap());
        public.succeed();
        let mut public = std::fs::read(folder.join("public")).unwrap();
        let kind = if self.bits == 0 { "k=ed25519; " } else { "" };
        if self.bits == 0 {
            // RFC 8463 4.2: the bare key.
            public = public[public.len() - 32..].to_vec();
        }
        let kind = if self.key.contains("k=") { "" } else { kind };
        let record = format!("v=DKIM1; {kind}{}p={}", self.key, BASE64.encode(&public));
        let hash = BASE64.encode(digest(&SHA256, BODY.as_bytes()).as_ref());
        let value = format!(
            "v=1; a={}; c=relaxed/relaxed; d=legit.example; s={selector}; {}h={}; bh={hash}; b=",
            self.algorithm, self.tags, self.header
        );
        let signed = if self.header == "from" { "from:a@legit.example" } else { "subject:x" };
        let signature = self.sign(folder, &key, format!("{signed}\r\ndkim-signature:{value}").as_bytes());
        let letter = format!(
            "DKIM-Signature: {value}{}\r\nFrom: a@legit.example\r\nSubject: x\r\n\r\n{BODY}",
            BASE64.encode(&signature)
        );
        (record, (self.change)(letter))
    }

    fn generate(&self, key: &Path) {
        let words = match self.bits {
            0 => "genpkey -algorithm ed25519 -out".to_owned(),
            bits => format!("genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:{bits} -out"),
        };
        Program::new("openssl").words(&words).arg(key.to_str().unwrap()).succeed();
    }

    fn sign(&self, folder: &Path, key: &Path, data: &[u8]) -> Vec<u8> {
        let (input, output) = (folder.join("data"), folder.join("signature"));
        let words = match self.algorithm {
            "ed25519-sha256" => "pkeyutl -sign -rawin",
            "rsa-sha1" => "dgst -sha1 -binary",
            _ => "dgst -sha256 -binary",
        };
        // RFC 8463 3: the hash is what is signed.
        let data = if self.bits == 0 { digest(&SHA256, data).as_ref().to_vec() } else { data.to_vec() };
        std::fs::write(&input, data).unwrap();
        let (key, input, output) = (key.to_str().unwrap(), input.to_str().unwrap(), output.to_str().unwrap());
        let openssl = Program::new("openssl").words(words);
        if self.bits == 0 {
            openssl.words("-inkey").arg(key).words("-in").arg(input).words("-out").arg(output).succeed();
        } else {
            openssl.words("-sign").arg(key).words("-out").arg(output).arg(input).succeed();
        }
        std::fs::read(output).unwrap()
    }
}

#[test]
fn only_good_signatures_pass() {
    let folder = folder("signatures");
    let forgeries = forgeries();
    let mut zone = Zone::new();
    zone.txt("_dmarc.legit.example", "v=DMARC1; p=reject");
    let mut letters = Vec::new();
    for (nth, forgery) in forgeries.iter().enumerate() {
        let (record, letter) = forgery.make(folder.path(), &format!("s{nth}"));
        zone.txt(&format!("s{nth}._domainkey.legit.example"), &record);
        letters.push(letter);
    }
    let stage = Stage::with(zone);
    for (nth, (forgery, letter)) in forgeries.iter().zip(&letters).enumerate() {
        let client = IpAddr::from([203, 0, 113, 66]);
        let (helo, sender) = ("client.example.net", "joe@sender.example");
        let found = stage.send(&Letter { client, helo, sender, message: letter.as_bytes() }).unwrap();
        let what = format!("{} ({nth}): {found:?}\n{letter}", forgery.row);
        assert_eq!(of(&found, "dmarc").contains(&"pass"), forgery.passes, "{what}");
        assert_eq!(of(&found, "dkim").contains(&"pass"), forgery.passes, "{what}");
    }
    stage.gatepost.end_well();
}

/// Rows 91, 101 and 106: name servers that are broken cost nobody's mail, and no other client's time.
#[test]
fn broken_name_servers_are_told_and_hold_up_nobody_else() {
    let mut zone = Zone::new();
    let faults = [
        ("servfail.example", Fault::ServFail),
        ("refused.example", Fault::Refused),
        ("drop.example", Fault::Drop),
        ("garbage.example", Fault::Garbage),
        ("looped.example", Fault::LoopedName),
        ("length.example", Fault::BadLength),
        ("truncated.example", Fault::Truncate { tcp: false }),
        ("always-truncated.example", Fault::TruncateAlways),
    ];
    for (name, fault) in faults {
        zone.fault(name, fault).fault(&format!("_dmarc.{name}"), fault);
    }
    let stage = Stage::with(zone);
    std::thread::scope(|scope| {
        for (name, _) in faults {
            let stage = &stage;
            scope.spawn(move || {
                let took = timed(stage, &format!("a@{name}"));
                assert!(took < Duration::from_secs(15), "{name}: {took:?}");
            });
        }
        let took = timed(&stage, "a@good.example");
        assert!(took < Duration::from_secs(1), "{took:?}");
    });
    let headers = stage.headers();
    for (name, _) in faults {
        let of_this = format!("smtp.mailfrom=a@{name};");
        let header = headers.iter().find(|header| header.contains(&of_this)).unwrap();
        assert!(header.contains(&format!("spf=temperror {of_this}")), "{header}");
        assert!(header.contains("dmarc=temperror"), "{header}");
    }
    stage.gatepost.end_well();
}

/// How long a letter of this sender's takes, which is accepted.
fn timed(stage: &Stage, sender: &str) -> Duration {
    let begin = Instant::now();
    let (client, message) = (IpAddr::from([203, 0, 113, 66]), format!("From: {sender}\r\n\r\nx\r\n"));
    let letter = Letter { client, helo: "client.example.net", sender, message: message.as_bytes() };
    stage.deliver(&letter).unwrap();
    begin.elapsed()
}

/// Row 98: what nobody needs says nothing, however it is published.
#[test]
fn texts_beyond_measure_are_no_pass() {
    let mut zone = Zone::new();
    for nth in 0..60 {
        zone.txt("giant.example", &format!("{nth} {}", "x".repeat(990)));
    }
    zone.txt("giant.example", "v=spf1 +all").txt("_dmarc.giant.example", "v=DMARC1; p=reject");
    zone.txt("long.example", &format!("v=spf1{} +all", " ip4:198.51.100.1".repeat(2500)));
    let stage = Stage::with(zone);
    for domain in ["giant.example", "long.example"] {
        let (sender, client) = (format!("a@{domain}"), IpAddr::from([203, 0, 113, 66]));
        let message = format!("From: {sender}\r\n\r\nx\r\n");
        let letter =
            Letter { client, helo: "client.example.net", sender: &sender, message: message.as_bytes() };
        let found = stage.send(&letter).unwrap();
        assert!(["spf", "dmarc"].iter().all(|method| !of(&found, method).contains(&"pass")), "{found:?}");
        assert!(of(&found, "spf").iter().any(|result| result.ends_with("error")), "{found:?}");
    }
    stage.gatepost.end_well();
}
