//! A real Prometheus, from Debian's package.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::metrics::get;
use super::programs::missing;
use super::{Program, SOON, folder, free_port, tail, until};

/// A Prometheus that scrapes one target.
#[derive(Debug)]
pub(crate) struct Prometheus {
    folder: TempDir,
    address: SocketAddr,
    child: Child,
}

impl Prometheus {
    /// Starts one that scrapes `/metrics` there, as often as it can.
    pub(crate) fn scraping(target: SocketAddr) -> Self {
        Self::watching(target, "groups: []\n")
    }

    /// The same, which evaluates these rules as often.
    pub(crate) fn watching(target: SocketAddr, rules: &str) -> Self {
        let folder = folder("prometheus");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let file = folder.path().join("prometheus.yml");
        let config = format!(
            "global: {{ scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 250ms }}
rule_files: [rules.yml]
scrape_configs: [{{ job_name: gatepost, static_configs: [{{ targets: ['{target}'] }}] }}]
"
        );
        fs::write(folder.path().join("rules.yml"), rules).unwrap();
        fs::write(&file, config).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| missing("prometheus", &error));
        let prometheus = Self { folder, address, child };
        until("Prometheus to be ready", SOON, || {
            matches!(get(address, "/-/ready"), Some((200, _))).then_some(())
        });
        prometheus
    }

    /// The value of an expression that gives one, or nothing while there is no such series.
    pub(crate) fn value(&self, expression: &str) -> Option<f64> {
        let url = format!("http://{}/api/v1/query", self.address);
        let query = format!("query={expression}");
        let curl = Program::new("curl").words("-sS --max-time 10 --get --data-urlencode").arg(query).arg(url);
        let answer: Value = serde_json::from_str(&curl.succeed().output).unwrap();
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// The alerts that fire now.
    pub(crate) fn firing(&self) -> BTreeSet<String> {
        let url = format!("http://{}/api/v1/alerts", self.address);
        let answer = Program::new("curl").words("-sS --max-time 10").arg(url).succeed().output;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let alerts = answer["data"]["alerts"].as_array().unwrap().iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until an expression has this value.
    #[track_caller]
    pub(crate) fn expect(&self, expression: &str, value: f64) {
        let mut last = None;
        let begin = std::time::Instant::now();
        while begin.elapsed() < SOON {
            last = self.value(expression);
            if last == Some(value) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("{expression} is {last:?}, not {value}");
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself, which the test noticed.
        _ = self.child.kill();
        _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("== Prometheus's log\n{}", tail(&self.folder.path().join("log"), 20));
        }
    }
}
