//! The configuration of a Gatepost to start.

use std::fmt::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use gatepost::dns::responder::Zone;

use super::{Dns, Gatepost, Launch, Postfix};

/// What differs from one test's Gatepost to the other's.
#[derive(Debug)]
pub(crate) struct Plan {
    upstream: String,
    other_upstreams: Vec<(String, String)>,
    /// Each as in the configuration: `domain: upstream`.
    routes: Vec<String>,
    domains: Vec<String>,
    listener: Vec<String>,
    top: Vec<String>,
    records: String,
    zone: Option<Zone>,
    copied_policies: bool,
    more_policies: Vec<(String, String)>,
    files: Vec<(String, String)>,
    log_level: &'static str,
    admin: Option<String>,
}

impl Plan {
    /// In front of a Postfix, which learns the client's address by XCLIENT.
    pub(crate) fn in_front_of(postfix: &Postfix) -> Self {
        let address = postfix.address();
        Self::with_upstream(&format!(
            "{{ address: \"{address}\", client_identity: xclient, tls: {{ mode: off }} }}"
        ))
    }

    /// In front of anything that listens there.
    pub(crate) fn in_front_of_server(address: SocketAddr) -> Self {
        Self::with_upstream(&format!(
            "{{ address: \"{address}\", client_identity: none, tls: {{ mode: off }} }}"
        ))
    }

    /// In front of an upstream that is described as in the configuration.
    pub(crate) fn with_upstream(upstream: &str) -> Self {
        Self {
            upstream: upstream.to_owned(),
            other_upstreams: Vec::new(),
            routes: Vec::new(),
            domains: vec!["example.org".to_owned()],
            listener: Vec::new(),
            top: Vec::new(),
            records: String::new(),
            zone: None,
            copied_policies: false,
            more_policies: Vec::new(),
            files: Vec::new(),
            log_level: "info",
            admin: None,
        }
    }

    /// Another upstream, with the domain whose mail goes there.
    pub(crate) fn route(mut self, domain: &str, name: &str, upstream: &str) -> Self {
        self.domains.push(domain.to_owned());
        self.other_upstreams.push((name.to_owned(), upstream.to_owned()));
        self.routes.push(format!("{domain}: {name}"));
        self
    }

    /// Whose mail is ours, instead of example.org's.
    pub(crate) fn domains(mut self, domains: &str) -> Self {
        self.domains = vec![domains.to_owned()];
        self
    }

    /// The file that says whose mail is ours.
    pub(crate) fn domains_file(mut self, file: &str) -> Self {
        self.domains = vec![format!("@{file}")];
        self
    }

    /// A key of the listener: `limits: { ... }`.
    pub(crate) fn listener(mut self, key: impl Into<String>) -> Self {
        self.listener.push(key.into());
        self
    }

    /// Another section of the configuration.
    pub(crate) fn section(mut self, section: impl Into<String>) -> Self {
        self.top.push(section.into());
        self
    }

    /// What the DNS knows: `NAME TYPE DATA`, one a line.
    pub(crate) fn dns(mut self, records: &str) -> Self {
        self.records.push_str(records);
        self
    }

    /// What the DNS knows instead, and how it fails.
    pub(crate) fn zone(mut self, zone: Zone) -> Self {
        self.zone = Some(zone);
        self
    }

    /// Policies of its own: a copy of the shipped ones, which the test may change.
    pub(crate) const fn own_policies(mut self) -> Self {
        self.copied_policies = true;
        self
    }

    /// One more policy among the shipped ones.
    pub(crate) fn policy(mut self, name: &str, script: &str) -> Self {
        self.more_policies.push((name.to_owned(), script.to_owned()));
        self.own_policies()
    }

    /// A file beside the configuration.
    pub(crate) fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// A UNIX socket for the operator beside the address of metrics, and further keys of `admin`.
    pub(crate) fn admin(mut self, keys: &str) -> Self {
        self.admin = Some(keys.to_owned());
        self
    }

    /// How much it logs.
    pub(crate) const fn log_level(mut self, level: &'static str) -> Self {
        self.log_level = level;
        self
    }

    /// Starts it.
    #[track_caller]
    pub(crate) fn start(&self) -> Gatepost {
        self.start_by(Launch::default())
    }

    /// Starts it in another way than usual.
    #[track_caller]
    pub(crate) fn start_by(&self, launch: Launch) -> Gatepost {
        let dns = self.zone.clone().map_or_else(|| Dns::with(&self.records), Dns::serving);
        Gatepost::start(self, dns, launch)
    }

    /// Lays out what the configuration speaks of, and gives its text.
    pub(super) fn write(&self, folder: &Path, ports: Ports, dns: &Dns) -> String {
        let policies = self.policies(folder);
        for (name, text) in &self.files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            // Some of them are secrets.
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
        }
        let mut text = format!(
            "hostname: mx.example.org
listeners:
  mx:
    listen: [\"127.0.0.1:{}\"]
    upstream: main
",
            ports.smtp
        );
        for key in &self.listener {
            writeln!(text, "    {key}").unwrap();
        }
        write!(
            text,
            "upstreams: {{ main: {}{} }}
domains: {}
routes: {{ {} }}
spool: {{ dir: \"{}\" }}
admin: {{ {} }}
",
            self.upstream,
            self.other_upstreams.iter().map(|(name, text)| format!(", {name}: {text}")).collect::<String>(),
            self.our_domains(),
            self.routes.join(", "),
            folder.display(),
            self.side_door(ports.admin)
        )
        .unwrap();
        for usual in [
            format!("dns: {{ servers: [\"{}\"], timeout: 2s }}", dns.address()),
            "decisions: { file: decisions.jsonl }".to_owned(),
            format!("log: {{ format: json, level: {} }}", self.log_level),
            format!("policies: {{ dir: \"{}\" }}", policies.display()),
        ] {
            let (name, _) = usual.split_once(' ').unwrap();
            if !self.top.iter().any(|section| section.starts_with(name)) {
                writeln!(text, "{usual}").unwrap();
            }
        }
        for section in &self.top {
            writeln!(text, "{}", section.replace("@POLICIES@", &policies.display().to_string())).unwrap();
        }
        text
    }

    fn side_door(&self, port: u16) -> String {
        match &self.admin {
            None => format!("listen: \"127.0.0.1:{port}\""),
            Some(keys) => format!("listen: [\"127.0.0.1:{port}\", \"unix:admin.sock\"], {keys}"),
        }
    }

    fn our_domains(&self) -> String {
        match self.domains.first().and_then(|first| first.strip_prefix('@')) {
            Some(file) => format!("{{ file: {file} }}"),
            None => format!("[{}]", self.domains.join(", ")),
        }
    }

    fn policies(&self, folder: &Path) -> PathBuf {
        let shipped = repository().join("policies");
        if !self.copied_policies {
            return shipped;
        }
        let own = folder.join("policies");
        if !own.exists() {
            copy(&shipped, &own);
        }
        for (name, script) in &self.more_policies {
            std::fs::write(own.join(name), script).unwrap();
        }
        own
    }
}

/// Where a Gatepost listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) smtp: u16,
    pub(super) admin: u16,
}

/// The folder of the project.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let (path, target) = {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            (path, target)
        };
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
