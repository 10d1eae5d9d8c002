//! The client's address as the source: three hosts in network namespaces of their own, a client, Gatepost and a server.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::{Client, Program, SOON, folder, free_port, letter, repository, tail, until};

/// Three namespaces and the cables between them; they go with this.
struct Net {
    prefix: String,
}

impl Net {
    /// `None` where namespaces are forbidden, with the reason printed.
    fn new() -> Option<Self> {
        let net = Self { prefix: format!("gp{}", std::process::id()) };
        for end in ["c", "g", "m"] {
            let added = ip(&["netns", "add", &net.name(end)]);
            if let Err(why) = added {
                eprintln!("skipped: network namespaces cannot be made here: {why}");
                return None;
            }
        }
        net.wire();
        Some(net)
    }

    fn name(&self, end: &str) -> String {
        format!("{}{end}", self.prefix)
    }

    /// client 192.0.2.1 -- 192.0.2.254 gate 10.99.0.1 -- 10.99.0.2 server
    fn wire(&self) {
        let (c, g, m) = (self.name("c"), self.name("g"), self.name("m"));
        for line in [
            format!("link add toclient netns {g} type veth peer name uplink netns {c}"),
            format!("link add toserver netns {g} type veth peer name uplink netns {m}"),
            format!("-n {c} addr add 192.0.2.1/24 dev uplink"),
            format!("-n {c} addr add 2001:db8:1::1/64 dev uplink nodad"),
            format!("-n {g} addr add 192.0.2.254/24 dev toclient"),
            format!("-n {g} addr add 2001:db8:1::254/64 dev toclient nodad"),
            format!("-n {g} addr add 10.99.0.1/24 dev toserver"),
            format!("-n {m} addr add 10.99.0.2/24 dev uplink"),
            format!("-n {g} addr add 2001:db8:2::1/64 dev toserver nodad"),
            format!("-n {m} addr add 2001:db8:2::2/64 dev uplink nodad"),
            format!("-n {c} link set uplink up"),
            format!("-n {m} link set uplink up"),
            format!("-n {g} link set toclient up"),
            format!("-n {g} link set toserver up"),
            format!("-n {g} link set lo up"),
            // The server answers clients through the gate, which takes what comes from there for its own.
            format!("-n {m} route add default via 10.99.0.1"),
            format!("-n {g} rule add iif toserver lookup 100"),
            format!("-n {g} route add local default dev lo table 100"),
            format!("-n {m} -6 route add default via 2001:db8:2::1"),
            format!("-n {g} -6 rule add iif toserver lookup 100"),
            format!("-n {g} -6 route add local default dev lo table 100"),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            ip(&words).unwrap_or_else(|why| panic!("ip {line}: {why}"));
        }
    }

    /// `program` in the namespace of `end`.
    fn within(&self, end: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(end), program]).stdin(Stdio::null());
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for end in ["c", "g", "m"] {
            let _ = ip(&["netns", "delete", &self.name(end)]);
        }
    }
}

fn ip(words: &[&str]) -> Result<(), String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("ip");
    let output = command.args(words).env("PATH", format!("{path}:/usr/sbin:/sbin")).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command, output: &Path) -> Self {
        let file = fs::File::create(output).unwrap();
        Self(command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn configuration() -> &'static str {
    "hostname: mx.example.org
listeners: { mx: { listen: [\"[::]:25\"], upstream: main } }
upstreams: { main: { address: [ADDRESSES], client_identity: transparent, tls: { mode: off } } }
domains: [example.org]
dns: { servers: [\"127.0.0.1:9\"], timeout: 1s }
policies: { dir: POLICIES, modes: { sender: off, spf: off, dmarc: off, helo: off } }
log: { format: json, level: info }
"
}

/// Sends a message from the client's namespace; whether it was taken, and the dialogue.
fn curl(net: &Net, server: &str, message: &Path) -> (bool, String) {
    let mut curl = net.within("c", "curl");
    curl.args(["-sSv", "--mail-from", "joe@sender.example", "--mail-rcpt", "suzie@example.org", "-T"]);
    let output = curl.arg(message).arg(format!("smtp://{server}/client.example.net")).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_server_sees_the_clients_address_as_the_source() {
    let Some(net) = Net::new() else { return };
    let folder = folder("transparent");
    let policies = repository().join("policies");
    let configuration = configuration().replace("POLICIES", &policies.display().to_string());
    let one = configuration.replace("ADDRESSES", "\"10.99.0.2:25\"");
    let both = configuration
        .replace("ADDRESSES", "\"10.99.0.2:25\", \"[2001:db8:2::2]:25\"")
        .replace("[::]:25", "[::]:26");
    fs::write(folder.path().join("one.yaml"), one).unwrap();
    fs::write(folder.path().join("both.yaml"), both).unwrap();
    let message = folder.path().join("message");
    fs::write(&message, letter("through")).unwrap();
    // The servers write as somebody else; what is configured is for nobody else to change.
    let mail = folder.path().join("mail");
    fs::create_dir(&mail).unwrap();
    fs::set_permissions(&mail, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let start = |end: &str, program: &str, arguments: &[&str], output: &str| {
        let mut command = net.within(end, program);
        Running::start(command.args(arguments).current_dir(folder.path()), &folder.path().join(output))
    };
    let _servers = [("10.99.0.2:25", "mail/mail4"), ("[2001:db8:2::2]:25", "mail/mail6")]
        .map(|(address, file)| start("m", "smtp-sink", &["-u", "nobody", "-D", file, address, "16"], "sink"));
    let _gates = ["one", "both"].map(|name| {
        let file = format!("{name}.yaml");
        start("g", env!("CARGO_BIN_EXE_gatepost"), &["run", "-c", &file], &format!("{name}.log"))
    });
    let arrives = |server: &str, file: &str, from: &str| {
        let heard = until("mail through the gate", SOON, || {
            let (passed, heard) = curl(&net, server, &message);
            passed.then_some(heard)
        });
        let dumped = until("the message in the server's file", SOON, || {
            let dumped = fs::read_to_string(folder.path().join(file));
            dumped.ok().filter(|dumped| dumped.contains("Subject: "))
        });
        assert!(dumped.contains(&format!("X-Client-Addr: {from}")), "{dumped}\n{heard}");
        assert!(dumped.contains("X-Helo-Args: client.example.net"), "{dumped}");
    };
    arrives("192.0.2.254:25", "mail/mail4", "192.0.2.1");
    // Of the addresses, one of the client's family.
    arrives("[2001:db8:1::254]:26", "mail/mail6", "ipv6:2001:db8:1::1");

    let (passed, heard) = curl(&net, "[2001:db8:1::254]:25", &message);
    assert!(!passed && heard.contains("451 4.3.5 "), "{heard}");
    let log = tail(&folder.path().join("one.log"), 40);
    assert!(log.contains("the client comes by IPv6 and the upstream has no such address"), "{log}");
}

/// Without the right to it, `check` says what is missing, and no mail goes upstream as if it were from us.
#[test]
fn without_the_capability_nothing_goes_through() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = server.local_addr().unwrap();
    drop(server);
    let folder = folder("powerless");
    let smtp = free_port();
    let policies = repository().join("policies");
    let text = configuration()
        .replace("POLICIES", &policies.display().to_string())
        .replace("[::]:25", &format!("127.0.0.1:{smtp}"))
        .replace("ADDRESSES", &format!("\"{upstream}\""));
    fs::write(folder.path().join("gatepost.yaml"), text).unwrap();
    let powerless = |program: Program| {
        program
            .words("--inh-caps=-net_admin,-net_raw --bounding-set=-net_admin,-net_raw")
            .arg(env!("CARGO_BIN_EXE_gatepost"))
    };
    let check = powerless(Program::new("setpriv")).words("check -c").arg(folder.path().join("gatepost.yaml"));
    let check = check.succeed();
    for word in ["CAP_NET_RAW", "AmbientCapabilities", "client_identity: transparent"] {
        assert!(check.errors.contains(word), "{word}: {check}");
    }
    let log = folder.path().join("log");
    let mut gatepost = Command::new("setpriv");
    gatepost.args([
        "--inh-caps=-net_admin,-net_raw",
        "--bounding-set=-net_admin,-net_raw",
        env!("CARGO_BIN_EXE_gatepost"),
    ]);
    gatepost.args(["run", "-c"]).arg(folder.path().join("gatepost.yaml")).stdin(Stdio::null());
    let _gatepost = Running::start(&mut gatepost, &log);
    let address = ([127, 0, 0, 1], smtp).into();
    let mut client = until("Gatepost to listen", SOON, || Client::connect(address).ok());
    client.expect(220);
    client.ask("EHLO client.example.net");
    client.ask("MAIL FROM:<joe@sender.example>");
    let reply = client.ask("RCPT TO:<suzie@example.org>");
    assert!(reply.to_string().starts_with("451 4.3.5 "), "{reply}");
    assert!(tail(&log, 40).contains("CAP_NET_RAW"), "{}", tail(&log, 40));
}
