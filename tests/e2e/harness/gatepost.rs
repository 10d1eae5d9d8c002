//! The program under test, as the operator starts it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use gatepost::decisions::explain::{Item, explain};
use gatepost::decisions::{Query, read_all};
use rustix::process::Signal;
use tempfile::TempDir;

use super::metrics::get;
use super::plan::{Plan, Ports};
use super::{Client, Dns, Exposition, SOON, folder, free_port, lines_with, server, signal, tail, until};

/// How long the program may take to end after SIGTERM, with nothing under way.
const EXIT: Duration = Duration::from_secs(10);

/// How the program is started, where that is not as usual.
#[derive(Debug, Default)]
pub(crate) struct Launch {
    /// A command that runs the one behind it in its own place (`exec`).
    pub(crate) through: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// What it has as standard input.
    pub(crate) socket: Option<TcpListener>,
}

impl Launch {
    fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_gatepost");
        let mut command = match self.through.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.envs(self.environment.iter().cloned());
        command.stdin(match &self.socket {
            Some(socket) => Stdio::from(OwnedFd::from(socket.try_clone().unwrap())),
            None => Stdio::null(),
        });
        command
    }
}

/// A running Gatepost with its configuration, its DNS and its log.
///
/// A test that is done with it calls [`end_well`](Self::end_well), which also looks at its books.
#[derive(Debug)]
pub(crate) struct Gatepost {
    folder: TempDir,
    /// The configuration file, below the folder.
    configuration: &'static str,
    ports: Ports,
    child: Option<Child>,
    /// How often it was killed.
    kills: usize,
    launch: Launch,
    _dns: Dns,
}

impl Gatepost {
    #[track_caller]
    pub(super) fn start(plan: &Plan, dns: Dns, launch: Launch) -> Self {
        let folder = folder("run");
        let ports = Ports { smtp: free_port(), admin: free_port() };
        let text = plan.write(folder.path(), ports, &dns);
        fs::write(folder.path().join("gatepost.yaml"), text).unwrap();
        let mut gatepost =
            Self { folder, configuration: "gatepost.yaml", ports, child: None, kills: 0, launch, _dns: dns };
        gatepost.start_again();
        gatepost
    }

    /// Starts one with a configuration that is there already, and listens at these ports.
    #[track_caller]
    pub(crate) fn with_configuration(folder: TempDir, file: &'static str, smtp: u16, admin: u16) -> Self {
        let ports = Ports { smtp, admin };
        let launch = Launch::default();
        keep_decisions(folder.path(), file);
        let mut gatepost =
            Self { folder, configuration: file, ports, child: None, kills: 0, launch, _dns: Dns::with("") };
        gatepost.start_again();
        gatepost
    }

    /// Starts the one that was stopped, with the same configuration.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = self.launch.command();
        command.args(["run", "-c"]).arg(self.configuration());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        until("Gatepost to be ready", SOON, || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "Gatepost ended: {}", self.log());
            matches!(self.get("/readyz"), Some((200, _))).then_some(())
        });
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.smtp).into()
    }

    /// Where metrics and health are.
    pub(crate) fn admin(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.admin).into()
    }

    /// A session that has said EHLO.
    #[track_caller]
    pub(crate) fn introduced(&self) -> Client {
        Client::introduced(self.address())
    }

    /// The status and the body at a path of the admin endpoint.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        get(self.admin(), path)
    }

    /// What the metrics say now.
    #[track_caller]
    pub(crate) fn metrics(&self) -> Exposition {
        let (status, text) = self.get("/metrics").expect("/metrics answers");
        assert_eq!(status, 200, "{text}");
        Exposition::new(text)
    }

    /// Waits until a counter has at least this value.
    #[track_caller]
    pub(crate) fn counted(&self, name: &str, labels: &[(&str, &str)], least: u64) {
        until(&format!("{name}{labels:?} to be {least}"), SOON, || {
            (self.metrics().sum(name, labels) >= least).then_some(())
        });
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The first line of the log that has all these words, as soon as it is there.
    #[track_caller]
    pub(crate) fn logged(&self, words: &[&str]) -> String {
        server::logged(|| self.log(), words)
    }

    /// A file or folder beside the configuration.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The configuration file.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.path(self.configuration)
    }

    /// The largest amount of memory that it ever had resident, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory that it has resident now, in KiB.
    pub(crate) fn resident_memory(&self) -> u64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The processor time that it has used so far.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process())).unwrap();
        // Behind the name, which may hold anything: utime and stime are fields 14 and 15, in hundredths of a second.
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// How many files and sockets it has open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process())).unwrap().count()
    }

    /// Its process id.
    pub(crate) fn process(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// SIGTERM, SIGHUP and the like.
    pub(crate) fn signal(&self, what: Signal) {
        signal(self.process(), what);
    }

    /// SIGKILL, and gone.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        child.kill().unwrap();
        child.wait().unwrap();
        self.kills += 1;
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub(crate) fn exit(&mut self, limit: Duration) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        until("the end of Gatepost", limit * 2, || child.try_wait().unwrap())
    }

    /// What every test asserts at its end: the two sums hold, no session broke down, SIGTERM ends it with status 0.
    #[track_caller]
    pub(crate) fn end_well(mut self) {
        self.balanced();
        self.signal(Signal::TERM);
        let status = self.exit(EXIT);
        assert!(status.success(), "{status}: {}", self.log());
        self.left_well();
    }

    /// The same of one that has ended already, whose metrics nobody can ask any more.
    #[track_caller]
    pub(crate) fn left_well(&self) {
        for word in ["panicked", "a session broke down"] {
            assert!(!self.log().contains(word), "{}", self.log());
        }
        self.explains_every_refusal();
    }

    /// Invariant 7: each refusal in the log has its decision, and the explanation names what decided and where that is.
    #[track_caller]
    fn explains_every_refusal(&self) {
        let file = self.path("decisions.jsonl");
        let mut decisions = HashMap::new();
        if file.exists() {
            let (found, strange) = read_all(&file, &Query::default()).unwrap();
            // Each kill may have torn the line that was being written.
            assert!(strange <= self.kills, "{strange} lines that are no decisions");
            decisions.extend(found.into_iter().map(|decision| (decision.id.clone(), decision)));
        }
        for decision in decisions.values() {
            let item = Item::of(decision);
            assert!(item.is_known(), "{} is explained as {item:?}", decision.id);
        }
        for (id, rule, place) in refusals(&self.log()) {
            let decision = decisions.get(&id).unwrap_or_else(|| panic!("no decision about {id} ({rule})"));
            let item = Item::of(decision);
            let named = match &item {
                Item::Rule { rule: name, place: at } => *name == rule && *at == place,
                Item::Fault { place: at, .. } => *at == place,
                Item::Limit { limit: name, .. } | Item::Protocol { event: name, .. } => *name == rule,
                Item::Internal { trouble } => *trouble == rule,
                Item::Upstream { step, .. } => *step == rule,
                Item::Nobody => false,
            };
            assert!(named, "{id} by {rule} at {place:?} is explained as {item:?}");
            let told = match &item {
                Item::Upstream { reply, .. } => reply,
                _ if place.is_empty() => &rule,
                _ => &place,
            };
            assert!(explain(decision).to_string().contains(told), "{}", explain(decision));
        }
    }

    /// The two sums of the metrics hold, as soon as no session is under way any more.
    #[track_caller]
    pub(crate) fn balanced(&self) {
        let mut last = None;
        let begin = std::time::Instant::now();
        while begin.elapsed() < SOON {
            let metrics = self.metrics();
            last = metrics.imbalance();
            if last.is_none() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let metrics = self.metrics();
        let (refusals, replies) =
            (metrics.lines_with("rejections_total"), metrics.lines_with("replies_total"));
        panic!("{}\n{refusals}\n{replies}", last.unwrap_or_default());
    }

    fn log_file(&self) -> PathBuf {
        self.path("log")
    }
}

impl Drop for Gatepost {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("== Gatepost's log\n{}", tail(&self.log_file(), 40));
            eprintln!(
                "== failures of policies in it\n{}",
                lines_with(&self.log_file(), "\"event\":\"policy_error\"")
            );
        }
    }
}

/// Lets a configuration keep its decisions where they are looked for at the end.
fn keep_decisions(folder: &Path, configuration: &str) {
    let file = folder.join(configuration);
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains("\ndecisions:"), "{text}");
    let decisions = folder.join("decisions.jsonl");
    fs::write(&file, format!("{text}\ndecisions: {{ file: \"{}\" }}\n", decisions.display())).unwrap();
}

/// The refusals in a log of JSON lines: the decision's id, the rule, and its place.
fn refusals(log: &str) -> Vec<(String, String, String)> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let text = |line: &serde_json::Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    lines
        .filter_map(|line| {
            let refused = match line["event"].as_str()? {
                "refused" => true,
                "transaction" => {
                    // What a policy takes in silence has its reason too.
                    let silent = matches!(line["outcome"].as_str(), Some("discarded" | "quarantined"));
                    silent || line["reply"].as_str()?.starts_with(['4', '5'])
                }
                _ => false,
            };
            refused.then(|| (text(&line, "decision"), text(&line, "rule"), text(&line, "place")))
        })
        .collect()
}

/// `gatepost` with these arguments, in this folder, to its end.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost"));
    command.current_dir(folder).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}
