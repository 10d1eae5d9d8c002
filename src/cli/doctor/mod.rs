//! `gatepost doctor`: looks at everything that a configuration depends on, beside a process that serves or before the first start.
//!
//! Nothing is changed, and no mail is sent: a dialogue with a mail server ends before DATA. Each look has an end, however slow
//! who is asked may be.

mod door;
mod finding;
mod machine;
mod mail_server;
mod names;
mod relay;
mod store;

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use crate::config::{self, Settings};
use crate::dns::Resolver;
use crate::metrics::Metrics;
use crate::policy::Policies;

use super::Failure;
use super::screen::{Format, Screen, tally};
use finding::{Finding, Level};

/// How long one kind of look may take altogether.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says what it finds, the worst in its exit status: 0 when all is well, 1 for a warning, 2 for what keeps mail from flowing or lets
/// the wrong mail flow.
pub(super) fn doctor(path: &Path, format: Format, screen: Screen) -> Result<(), Failure> {
    let mut report = Report { found: Vec::new(), format, screen };
    match config::load(path) {
        Ok(loaded) => {
            report.configuration(path, loaded.warnings.len());
            examine(path, &loaded.settings, &mut report)?;
        }
        Err(found) => {
            let message = format!("{} cannot be used: {}", path.display(), tally(&found));
            report.add(Finding::fail("configuration", message, "see them with `gatepost check`"));
        }
    }
    report.conclude()
}

/// Everything that can be seen by these settings.
fn examine(path: &Path, settings: &Settings, report: &mut Report) -> Result<(), Failure> {
    report.add(machine::clock());
    report.add(machine::descriptors(settings));
    report.extend(machine::folders(settings));
    report.extend(machine::certificates(settings));
    let zones = policies(settings, report);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        report.look("ports", door::all(settings)).await;
        report.look("state", store::store(settings)).await;
        network(settings, &zones, report).await;
        report.look("relay", relay::at_the_doors(settings)).await;
    });
    report.extend(relay::within(path, settings));
    // A thread that looks names up may still be waiting for a resolver of the system's.
    runtime.shutdown_background();
    Ok(())
}

/// DNS and upstreams.
async fn network(settings: &Settings, zones: &[String], report: &mut Report) {
    match Resolver::new(settings.dns.clone(), std::sync::Arc::new(())) {
        Ok(resolver) => report.look("dns", names::all(settings, zones, &resolver)).await,
        Err(error) => report.add(Finding::fail("dns", error.to_string(), "name resolvers in `dns.servers`")),
    }
    let metrics = Metrics::new();
    for target in &settings.upstreams {
        report.look("upstream", mail_server::all(target, settings, &metrics)).await;
    }
}

/// What `check --online` sees beyond the files: DNS and upstreams. What fails is a no.
pub(super) fn online(path: &Path, screen: Screen) -> Result<(), Failure> {
    let Ok(loaded) = config::load(path) else { return Ok(()) };
    let zones: Vec<String> = Policies::load(&loaded.settings.policies)
        .map(|policies| policies.zones().map(str::to_owned).collect())
        .unwrap_or_default();
    let mut report = Report { found: Vec::new(), format: Format::Text, screen };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(network(&loaded.settings, &zones, &mut report));
    runtime.shutdown_background();
    let fails = report.found.iter().any(|finding| finding.level == Level::Fail);
    if fails { Err(Failure::Shown) } else { Ok(()) }
}

/// Whether the policies can be used; gives the lists in DNS that they ask.
fn policies(settings: &Settings, report: &mut Report) -> Vec<String> {
    match Policies::load(&settings.policies) {
        Ok(policies) => {
            report.add(match policies.warnings().len() {
                0 => Finding::ok("policies", format!("{} rules are in force", policies.rules().len())),
                _ => Finding::warn(
                    "policies",
                    format!("they can be used: {}", tally(policies.warnings())),
                    "see them with `gatepost check`",
                ),
            });
            policies.zones().map(str::to_owned).collect()
        }
        Err(found) => {
            let message = format!("they cannot be used: {}", tally(&found));
            report.add(Finding::fail("policies", message, "see them with `gatepost check`"));
            Vec::new()
        }
    }
}

/// What was found so far. For people it is shown as it comes: some looks take a while.
struct Report {
    found: Vec<Finding>,
    format: Format,
    screen: Screen,
}

impl Report {
    fn add(&mut self, finding: Finding) {
        if self.format == Format::Text {
            self.screen.say(&finding.text());
        }
        self.found.push(finding);
    }

    fn extend(&mut self, found: Vec<Finding>) {
        found.into_iter().for_each(|finding| self.add(finding));
    }

    /// Adds what `looking` finds within the time that it has.
    async fn look(&mut self, check: &'static str, looking: impl Future<Output = Vec<Finding>>) {
        match timeout(PATIENCE, looking).await {
            Ok(found) => self.extend(found),
            Err(_) => {
                let message = format!("no answer within {} seconds", PATIENCE.as_secs());
                self.add(Finding::warn(check, message, "ask again; if it stays so, look at the network"));
            }
        }
    }

    fn configuration(&mut self, path: &Path, warnings: usize) {
        let good = format!("{} is good", path.display());
        self.add(match warnings {
            0 => Finding::ok("configuration", good),
            _ => Finding::warn("configuration", good + ", with warnings", "see them with `gatepost check`"),
        });
    }

    fn conclude(self) -> Result<(), Failure> {
        let worst = self.found.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
        if self.format == Format::Json {
            let found: Vec<_> = self.found.iter().map(Finding::json).collect();
            self.screen.say_json(&format!("{:#}", json!({ "level": worst.name(), "findings": found })));
        }
        match worst {
            Level::Ok => Ok(()),
            Level::Warn => Err(Failure::Answered(1)),
            Level::Fail => Err(Failure::Answered(2)),
        }
    }
}
