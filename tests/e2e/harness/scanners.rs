//! Real scanners, from Debian's packages: clamd with one signature of our own, and rspamd without rules.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command};
use std::time::Duration;

use tempfile::TempDir;

use super::{folder, free_port, server, tail};

/// What every scanner here finds.
#[derive(Debug)]
struct Scanner {
    program: &'static str,
    /// The arguments, with `@` for the folder.
    arguments: &'static [&'static str],
    /// What is said to it, and how its answer begins, when it works.
    greeting: (&'static [u8], &'static [u8]),
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Scanner {
    /// Starts it, again if it was killed.
    fn start(&mut self) {
        let path = std::env::var("PATH").unwrap_or_default();
        let place = self.folder.path().display().to_string();
        let mut command = Command::new(self.program);
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command.args(self.arguments.iter().map(|argument| argument.replace('@', &place)));
        let output = self.folder.path().join("output");
        self.child = Some(server::start(command, &output, || self.answers().then_some(())));
    }

    fn answers(&self) -> bool {
        let (said, expected) = self.greeting;
        let mut answer = vec![0; expected.len()];
        let ask = |mut stream: TcpStream| {
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(said)?;
            stream.read_exact(&mut answer)
        };
        TcpStream::connect(("127.0.0.1", self.port)).and_then(ask).is_ok() && answer == expected
    }

    fn kill(&mut self) {
        if let Some(child) = self.child.take() {
            server::kill(child);
        }
    }
}

impl Drop for Scanner {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("== log of {}\n{}", self.program, tail(&self.folder.path().join("log"), 20));
        }
    }
}

/// clamd, which takes no more than 1 MiB.
#[derive(Debug)]
pub(crate) struct Clamd(Scanner);

impl Clamd {
    /// What it takes for a virus.
    pub(crate) const VIRUS: &str = "GATEPOST-TEST-SIGNATURE";

    pub(crate) fn start() -> Self {
        let (folder, port) = (folder("clamd"), free_port());
        let place = folder.path().display();
        fs::create_dir(folder.path().join("db")).unwrap();
        let octets: String = Self::VIRUS.bytes().map(|octet| format!("{octet:02x}")).collect();
        fs::write(folder.path().join("db/test.ndb"), format!("Gatepost.Test:0:*:{octets}\n")).unwrap();
        let configuration = format!(
            "DatabaseDirectory {place}/db\nTCPSocket {port}\nTCPAddr 127.0.0.1\nForeground yes\nLogFile {place}/log\n\
             TemporaryDirectory {place}\nStreamMaxLength 1M\n"
        );
        fs::write(folder.path().join("clamd.conf"), configuration).unwrap();
        let greeting: (&[u8], &[u8]) = (b"zPING\0", b"PONG\0");
        let arguments = &["-c", "@/clamd.conf"];
        let mut scanner = Scanner { program: "clamd", arguments, greeting, folder, port, child: None };
        scanner.start();
        Self(scanner)
    }

    /// As the configuration has it.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.0.port)
    }

    /// As a crash would.
    pub(crate) fn kill(&mut self) {
        self.0.kill();
    }

    /// Starts the one that was killed.
    pub(crate) fn start_again(&mut self) {
        self.0.start();
    }
}

/// rspamd, which knows of nothing but its own test pattern.
#[derive(Debug)]
pub(crate) struct Rspamd(Scanner);

impl Rspamd {
    /// What it refuses.
    pub(crate) const SPAM: &str = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";

    pub(crate) fn start() -> Self {
        let (folder, port) = (folder("rspamd"), free_port());
        let place = folder.path().display();
        // Its own list of public suffixes takes it half a minute to compile.
        fs::write(folder.path().join("suffixes"), "com\nnet\norg\n").unwrap();
        let configuration = format!(
            "options {{ filters = \"\"; url_tld = \"{place}/suffixes\"; pidfile = \"{place}/pid\"; tempdir = \"{place}\"; \
             control_socket = \"{place}/control mode=0600\"; dns {{ nameserver = [\"127.0.0.1:1\"]; }} }}\n\
             logging {{ type = \"file\"; filename = \"{place}/log\"; level = \"info\"; }}\n\
             metric {{ name = \"default\"; actions {{ reject = 15; }} }}\n\
             worker \"normal\" {{ bind_socket = \"127.0.0.1:{port}\"; count = 1; }}\n"
        );
        fs::write(folder.path().join("rspamd.conf"), configuration).unwrap();
        let greeting: (&[u8], &[u8]) = (b"GET /ping HTTP/1.0\r\n\r\n", b"HTTP/1.");
        let arguments =
            &["-c", "@/rspamd.conf", "--var=DBDIR=@", "--var=RUNDIR=@", "--var=LOGDIR=@", "-f", "-i"];
        let mut scanner = Scanner { program: "rspamd", arguments, greeting, folder, port, child: None };
        scanner.start();
        Self(scanner)
    }

    /// As the configuration has it.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.0.port)
    }

    /// As a crash would.
    pub(crate) fn kill(&mut self) {
        self.0.kill();
    }

    /// Starts the one that was killed.
    pub(crate) fn start_again(&mut self) {
        self.0.start();
    }

    /// What it was told of a message, as soon as its log has these words in one line.
    pub(crate) fn logged(&self, words: &[&str]) -> String {
        let log = || fs::read_to_string(self.0.folder.path().join("log")).unwrap_or_default();
        server::logged(log, words)
    }
}
