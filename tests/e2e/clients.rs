//! Clients as people use them: the mail libraries of Python and of Node.

use crate::harness::{AddedFields, Authority, Gatepost, Plan, Postfix, Program, folder};

/// Python's smtplib: STARTTLS, two recipients of which one is refused, a second message on the same connection.
const SMTPLIB: &str = r#"
import smtplib, ssl, sys
host, port, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context(cafile=ca)
context.check_hostname = False
with smtplib.SMTP(host, port, local_hostname="client.sender.example", timeout=30) as server:
    server.starttls(context=context)
    refused = server.sendmail("joe@sender.example", ["suzie@example.org", "nobody@example.org"],
                              sys.stdin.buffer.read(), mail_options=["BODY=8BITMIME"])
    print("refused:", refused)
    try:
        server.sendmail("joe@sender.example", ["none@example.org"], b"Subject: x\r\n\r\nx\r\n")
    except smtplib.SMTPRecipientsRefused as error:
        print("all refused:", error.recipients)
    print("verified:", server.verify("suzie@example.org")[0])
    server.sendmail("joe@sender.example", ["joe@example.org"], b"From: joe@sender.example\r\nSubject: second\r\n\r\n.\r\n..\r\n")
print("done")
"#;

#[test]
fn python_speaks_to_postfix_through_it() {
    let here = folder("python");
    let authority = Authority::in_folder(here.path());
    let postfix = Postfix::delivering();
    let gatepost =
        Plan::in_front_of(&postfix).listener(format!("tls: {}", authority.setting("opportunistic"))).start();
    let sent = "From: J\u{f6} <joe@sender.example>\r\nTo: suzie@example.org\r\nSubject: Gr\u{fc}\u{df}e\r\n\
                Date: Fri, 11 Jul 2025 21:00:37 -0700\r\nMessage-ID: <p@sender.example>\r\n\r\n\u{fc}ber\r\n.dot\r\n";
    let said = Program::new("python3")
        .arg("-c")
        .arg(SMTPLIB)
        .arg("127.0.0.1")
        .arg(gatepost.address().port().to_string())
        .arg(&authority.certificate)
        .input(sent)
        .succeed()
        .output;

    let unknown =
        |who: &str| format!("(550, b'5.1.1 <{who}@example.org>: Recipient address rejected: User unknown");
    assert!(said.contains(&format!("refused: {{'nobody@example.org': {}", unknown("nobody"))), "{said}");
    assert!(said.contains(&format!("all refused: {{'none@example.org': {}", unknown("none"))), "{said}");
    assert!(said.contains("verified: 252") && said.ends_with("done\n"), "{said}");
    let added = AddedFields::of(&postfix.delivered("suzie", 1)[0], sent.as_bytes());
    assert!(added.all("received")[1].contains("with ESMTPS"), "{added:?}");
    postfix.delivered("joe", 1);
    gatepost.end_well();
}

/// Nodemailer: a pool of connections, a message with an attachment and alternatives, a refused recipient.
const NODEMAILER: &str = r#"
const nodemailer = require("nodemailer");
const [port] = process.argv.slice(1).map(Number);
const transport = nodemailer.createTransport({
  host: "127.0.0.1", port, pool: true, maxConnections: 2, name: "client.sender.example",
  tls: { rejectUnauthorized: false },
});
const mail = (number) => ({
  from: "Jö <joe@sender.example>", to: "suzie@example.org", subject: `Grüße ${number}`,
  text: ".\n..\nHallo Köln\n", html: "<p>Hallo Köln</p>",
  attachments: [{ filename: "ä.bin", content: Buffer.alloc(100000, number) }],
  dsn: { id: `id-${number}`, return: "headers", notify: ["failure"], recipient: "joe@sender.example" },
});
(async () => {
  const sent = await Promise.all([1, 2, 3, 4, 5].map((number) => transport.sendMail(mail(number))));
  console.log("accepted", sent.filter(({ response }) => /^250 2.0.0 Ok: .*queued as/.test(response)).length);
  try {
    await transport.sendMail({ ...mail(6), to: "nobody@example.org" });
  } catch (error) {
    console.log("refused", error.responseCode, error.response);
  }
  transport.close();
})();
"#;

#[test]
fn nodemailer_speaks_to_postfix_through_it() {
    if !has_nodemailer() {
        eprintln!("skipped: node does not find nodemailer (npm install nodemailer, and NODE_PATH)");
        return;
    }
    let here = folder("node");
    let authority = Authority::in_folder(here.path());
    let postfix = Postfix::delivering();
    let gatepost: Gatepost =
        Plan::in_front_of(&postfix).listener(format!("tls: {}", authority.setting("required"))).start();
    let port = gatepost.address().port().to_string();
    let said = Program::new("node").arg("-e").arg(NODEMAILER).arg(port).succeed().output;
    assert!(said.contains("accepted 5"), "{said}");
    assert!(
        said.contains("refused 550 550 5.1.1 <nobody@example.org>: Recipient address rejected"),
        "{said}"
    );
    let stored = postfix.delivered("suzie", 5);
    assert!(stored.iter().all(|message| message.len() > 130_000), "attachments arrive whole");
    gatepost.end_well();
}

fn has_nodemailer() -> bool {
    let asked = std::process::Command::new("node").args(["-e", "require('nodemailer')"]).output();
    asked.is_ok_and(|asked| asked.status.success())
}
