//! The dashboards: well formed, alike, and of what there is.

use std::collections::BTreeSet;

use gatepost::metrics::{PREFIX, descriptions};
use serde_json::{Value, json};

use crate::alerts::promtool;
use crate::metrics::family;
use crate::promql::{faults, selectors};
use crate::{path, read, text};

/// A dashboard with its file's name.
struct Dashboard {
    file: String,
    model: Value,
}

impl Dashboard {
    fn panels(&self) -> impl Iterator<Item = &Value> {
        self.model["panels"].as_array().unwrap().iter()
    }

    /// The expressions of panels, annotations and variables.
    fn expressions(&self) -> Vec<&str> {
        let targets = self.panels().filter_map(|panel| panel["targets"].as_array()).flatten();
        let annotations = self.model["annotations"]["list"].as_array().unwrap();
        let expressions = targets.chain(annotations).map(|query| text(query, "expr"));
        let variables = self.model["templating"]["list"].as_array().unwrap().iter();
        expressions.chain(variables.filter_map(|variable| variable["query"]["query"].as_str())).collect()
    }
}

fn all() -> Vec<Dashboard> {
    let files = std::fs::read_dir(path("dashboards")).unwrap();
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let read = |file: String| {
        let model = serde_json::from_str(&read(&format!("dashboards/{file}")));
        Dashboard { model: model.unwrap_or_else(|error| panic!("{file}: {error}")), file }
    };
    files.into_iter().map(read).collect()
}

#[test]
fn there_is_one_of_each_kind() {
    let files: Vec<_> = all().into_iter().map(|dashboard| dashboard.file).collect();
    assert_eq!(
        files,
        ["authentication.json", "internals.json", "overview.json", "rejections.json", "upstream.json"]
    );
}

#[test]
fn they_ask_for_what_there_is() {
    for dashboard in all() {
        for expression in dashboard.expressions() {
            let faults = faults(expression);
            assert!(faults.is_empty(), "{}: {faults:?} in {expression}", dashboard.file);
        }
    }
}

/// Not our own reading but Prometheus': each expression as a rule, with the variables filled in as Grafana does.
#[test]
fn prometheus_can_read_every_expression() {
    let filled = |expression: &str| {
        let expression = expression.replace("$__rate_interval", "1m").replace("$__range", "1h");
        ["$job", "$instance", "$listener", "$upstream"]
            .iter()
            .fold(expression, |expression, variable| expression.replace(variable, ".*"))
    };
    let dashboards = all();
    let expressions = dashboards.iter().flat_map(Dashboard::expressions);
    let expressions = expressions.filter(|expression| !expression.starts_with("label_values("));
    let rules = expressions.enumerate().map(|(number, expression)| {
        let expression = filled(expression);
        assert!(!expression.contains('$'), "{expression}");
        json!({ "record": format!("expression:{number}"), "expr": expression })
    });
    let rules = json!({ "groups": [{ "name": "dashboards", "rules": rules.collect::<Vec<_>>() }] });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rules.to_string()).unwrap();
    promtool(["check", "rules"], file.path());
}

#[test]
fn every_metric_is_on_one() {
    let dashboards = all();
    let mut shown = BTreeSet::new();
    for dashboard in &dashboards {
        let targets = dashboard.panels().filter_map(|panel| panel["targets"].as_array()).flatten();
        let selectors = targets.flat_map(|target| selectors(text(target, "expr")));
        shown.extend(selectors.filter_map(|selector| family(selector.name)).map(|family| family.name));
    }
    for description in descriptions() {
        assert!(shown.contains(description.name), "{PREFIX}{} is on no panel", description.name);
    }
}

#[test]
fn they_are_alike() {
    let dashboards = all();
    let [first, others @ ..] = &*dashboards else { panic!("none") };
    for other in others {
        for part in ["templating", "annotations", "links", "tags", "schemaVersion", "refresh", "time"] {
            assert_eq!(first.model[part], other.model[part], "{part} of {}", other.file);
        }
    }
    let names: Vec<_> =
        first.model["templating"]["list"].as_array().unwrap().iter().map(|one| text(one, "name")).collect();
    assert_eq!(names, ["datasource", "job", "instance", "listener", "upstream"]);
}

#[test]
fn every_panel_says_what_it_shows_and_lies_where_no_other_does() {
    for dashboard in all() {
        let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
        for panel in dashboard.panels() {
            let place = format!("{}: {}", dashboard.file, text(panel, "title"));
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{place}: an id twice");
            let grid = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            for x in grid("x")..grid("x") + grid("w") {
                assert!(x < 24, "{place}: too far right");
                for y in grid("y")..grid("y") + grid("h") {
                    assert!(cells.insert((x, y)), "{place}: over another one");
                }
            }
            if text(panel, "type") != "row" {
                assert!(text(panel, "description").ends_with('.'), "{place}: no sentence");
                assert!(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "{place}: no unit");
            }
        }
    }
}

#[test]
fn links_lead_to_dashboards_that_there_are() {
    let dashboards = all();
    let known: BTreeSet<_> = dashboards.iter().map(|dashboard| text(&dashboard.model, "uid")).collect();
    for dashboard in &dashboards {
        for link in dashboard.panels().filter_map(|panel| panel["links"].as_array()).flatten() {
            let uid = text(link, "url").strip_prefix("/d/").unwrap().split('?').next().unwrap();
            assert!(known.contains(uid), "{}: {link}", dashboard.file);
        }
        assert_eq!(dashboard.model["uid"], format!("gatepost-{}", dashboard.file.trim_end_matches(".json")));
    }
}
