//! A real Redis, from Debian's package: one server, or three of them as a cluster. Or Valkey, where Debian has it.

use std::path::PathBuf;
use std::process::{Child, Command};

use tempfile::TempDir;

use super::{Authority, Program, SOON, folder, free_port, server, tail, until};

/// Whose server it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Make {
    Redis,
    Valkey,
}

impl Make {
    /// Those that this machine has.
    pub(crate) fn here() -> impl Iterator<Item = Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<_> = std::env::split_paths(&path).collect();
        let has = move |make: &Self| folders.iter().any(|folder| folder.join(make.program()).is_file());
        [Self::Redis, Self::Valkey].into_iter().filter(has)
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Redis => "redis-server",
            Self::Valkey => "valkey-server",
        }
    }
}

/// One server, which keeps nothing on disk.
#[derive(Debug)]
pub(crate) struct Redis {
    make: Make,
    folder: TempDir,
    port: u16,
    options: Vec<String>,
    /// What `redis-cli` needs to speak to it.
    login: Vec<String>,
    child: Option<Child>,
}

impl Redis {
    /// One that lets everybody in.
    pub(crate) fn start() -> Self {
        Self::of(Make::Redis)
    }

    /// The same, of this make.
    pub(crate) fn of(make: Make) -> Self {
        Self::with(make, folder("redis"), free_port(), Vec::new(), Vec::new())
    }

    /// One that wants this password.
    pub(crate) fn with_password(make: Make, password: &str) -> Self {
        let options = vec!["--requirepass".to_owned(), password.to_owned()];
        let login = vec!["-a".to_owned(), password.to_owned(), "--no-auth-warning".to_owned()];
        Self::with(make, folder("redis"), free_port(), options, login)
    }

    /// One that speaks TLS only, under a certificate for localhost, which is in the file that comes with it.
    pub(crate) fn with_tls(make: Make) -> (Self, String) {
        let folder = folder("redis");
        let authority = Authority::for_names(folder.path(), "redis", &["localhost"]);
        let (certificate, key) =
            (authority.certificate.display().to_string(), authority.key.display().to_string());
        let port = free_port();
        let options: Vec<_> = [
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &certificate,
            "--tls-auth-clients",
            "no",
        ]
        .map(str::to_owned)
        .into();
        let login = vec!["--tls".to_owned(), "--insecure".to_owned()];
        (Self::with(make, folder, port, options, login), certificate)
    }

    fn with(make: Make, folder: TempDir, port: u16, options: Vec<String>, login: Vec<String>) -> Self {
        let mut redis = Self { make, folder, port, options, login, child: None };
        redis.start_again();
        redis
    }

    /// Starts the one that was killed, empty.
    pub(crate) fn start_again(&mut self) {
        let mut command = Command::new(self.make.program());
        let tls = self.options.iter().any(|option| option == "--tls-port");
        let port = if tls { 0 } else { self.port };
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.arg("--dir").arg(self.folder.path()).args(&self.options);
        let child = server::start(command, &self.output(), || self.answers().then_some(()));
        self.child = Some(child);
    }

    /// As a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(child) = self.child.take() {
            server::kill(child);
        }
    }

    /// Where it listens.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// As the configuration has it, without TLS.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// What it answers to a command.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        let mut program = Program::new("redis-cli").words(&format!("-h 127.0.0.1 -p {}", self.port));
        for word in self.login.iter().map(String::as_str).chain(command.iter().copied()) {
            program = program.arg(word);
        }
        program.run().output.trim().to_owned()
    }

    /// The names of all keys.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.ask(&["--scan"]).lines().map(str::to_owned).collect()
    }

    fn answers(&self) -> bool {
        self.ask(&["PING"]) == "PONG"
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("output")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("== Redis's log\n{}", tail(&self.output(), 20));
        }
    }
}

/// Three servers that share all keys between them.
#[derive(Debug)]
pub(crate) struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// One without replicas.
    pub(crate) fn start(make: Make) -> Self {
        let nodes: Vec<_> = (0..3).map(|_| Self::node(make)).collect();
        let ranges = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
        for ((node, _), (first, last)) in nodes.iter().zip(ranges) {
            assert_eq!(node.ask(&["CLUSTER", "ADDSLOTSRANGE", first, last]), "OK");
        }
        let (first, _) = &nodes[0];
        for (node, bus) in &nodes[1..] {
            let (port, bus) = (node.port.to_string(), bus.to_string());
            assert_eq!(first.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]), "OK");
        }
        let cluster = Self { nodes: nodes.into_iter().map(|(node, _)| node).collect() };
        for node in &cluster.nodes {
            until("the cluster to be one", SOON, || {
                let info = node.ask(&["CLUSTER", "INFO"]);
                let whole = info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3");
                whole.then_some(())
            });
        }
        cluster
    }

    /// A node and the port on which nodes speak to each other.
    fn node(make: Make) -> (Redis, u16) {
        let bus = free_port();
        let options = ["--cluster-enabled", "yes", "--cluster-port", &bus.to_string()];
        let options = options.map(str::to_owned).into();
        (Redis::with(make, folder("redis"), free_port(), options, Vec::new()), bus)
    }

    /// Its nodes.
    pub(crate) fn nodes(&self) -> &[Redis] {
        &self.nodes
    }
}
