//! What Grafana, Prometheus and Compose read at their start fits together.

use std::path::{Path, PathBuf};

use gatepost::config::load_text;
use serde_json::{Value, json};

use crate::{path, read, text, yaml};

/// The services that the composition shows.
const SERVICES: [&str; 4] = ["gatepost", "grafana", "postfix", "prometheus"];

#[test]
fn grafana_finds_prometheus_and_the_dashboards() {
    let sources = yaml("provisioning/datasources/prometheus.yml");
    assert_eq!(sources["apiVersion"], 1);
    assert_eq!(text(&sources["datasources"][0], "type"), "prometheus");
    assert_eq!(text(&sources["datasources"][0], "url"), "http://prometheus:9090");
    let providers = yaml("provisioning/dashboards/gatepost.yml");
    let folder = text(&providers["providers"][0]["options"], "path");
    assert!(
        mounts("grafana").contains(&("dashboards".to_owned(), folder.to_owned())),
        "{folder} is not mounted"
    );
}

#[test]
fn prometheus_scrapes_gatepost_and_reads_the_alerts() {
    let prometheus = yaml("prometheus.yml");
    assert_eq!(prometheus["scrape_configs"][0]["static_configs"][0]["targets"][0], "gatepost:9925");
    assert_eq!(text(&prometheus["scrape_configs"][0], "job_name"), "gatepost");
    let rules = prometheus["rule_files"][0].as_str().unwrap().to_owned();
    assert!(mounts("prometheus").contains(&("alerts.yml".to_owned(), rules)));
}

#[test]
fn the_composition_has_its_services_and_their_files() {
    let compose = yaml("docker-compose.yml");
    let services: Vec<_> = compose["services"].as_object().unwrap().keys().map(String::as_str).collect();
    let mut sorted = services.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, SERVICES);
    for name in services {
        let service = &compose["services"][name];
        assert!(service["image"].is_string() || service["build"].is_object(), "{name} has no image");
        for needed in service["depends_on"].as_array().into_iter().flatten() {
            assert!(SERVICES.contains(&needed.as_str().unwrap()), "{name}: {needed}");
        }
        for (from, _) in mounts(name) {
            let named = compose["volumes"].get(&from).is_some();
            assert!(named || path(&from).exists(), "{name}: grafana/{from} is not there");
        }
    }
}

/// What Compose takes of a service, of all that its specification has (a key with a slip in it is refused there, and unseen here); and that what
/// is published is published on this machine only.
#[test]
fn compose_knows_every_key_and_every_name() {
    const KEYS: [&str; 8] =
        ["build", "depends_on", "environment", "image", "networks", "ports", "restart", "volumes"];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let compose = yaml("docker-compose.yml");
    assert_eq!(keys(&compose), ["name", "networks", "services", "volumes"]);
    for (name, service) in compose["services"].as_object().unwrap() {
        let strange: Vec<_> = keys(service).into_iter().filter(|key| !KEYS.contains(&&**key)).collect();
        assert!(strange.iter().all(|key| key == "stop_grace_period"), "{name}: {strange:?}");
        for key in service["build"].as_object().iter().flat_map(|build| build.keys()) {
            assert!(["context", "dockerfile", "dockerfile_inline"].contains(&&**key), "{name}: {key}");
        }
        for network in keys(&service["networks"]) {
            assert!(keys(&compose["networks"]).contains(&network), "{name}: the network {network}");
        }
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name}: {port}");
        }
        if let Some(image) = service["image"].as_str() {
            let (_, tag) = image.split_once(':').unwrap();
            assert_ne!(tag, "latest", "{name}");
        }
    }
}

#[test]
fn the_gatepost_of_the_composition_has_a_configuration_that_loads() {
    // There the policies lie beside the file; here they lie beside the folder of this one.
    let file = path("../config/compose.yaml");
    if let Err(said) = load_text(&file, &read("compose/gatepost.yaml"), &|_| None) {
        let said: Vec<_> = said.iter().map(|diagnostic| diagnostic.render(false)).collect();
        panic!("{}", said.join("\n"));
    }
}

/// What is compiled in has to be in the image's build.
#[test]
fn the_image_is_built_from_all_that_the_sources_name() {
    let (root, kept) = (path("..").canonicalize().unwrap(), read("compose/Dockerfile.dockerignore"));
    let kept: Vec<_> = kept.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let dockerfile = read("compose/Dockerfile");
    let (build, _) = dockerfile.split_once("cargo build").unwrap();
    for name in &kept {
        assert!(build.contains(name), "{name} is kept and not copied");
    }
    for named in included(&root.join("src")) {
        let named = named.strip_prefix(&root).unwrap();
        assert!(kept.iter().any(|kept| named.starts_with(kept)), "{} is not copied", named.display());
    }
}

/// The files that sources below a folder include.
fn included(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if file.is_dir() {
            files.extend(included(&file));
        } else if file.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&file).unwrap();
            for including in ["include_str!(\"", "include_bytes!(\""] {
                let named = text.split(including).skip(1).filter_map(|rest| rest.split('"').next());
                files.extend(named.map(|named| folder.join(named).canonicalize().unwrap()));
            }
        }
    }
    files
}

/// For a Grafana whose Prometheus evaluates no rules: the alerts as Grafana's own.
#[test]
fn grafanas_own_alerts_are_those_of_prometheus() {
    let name = "provisioning/alerting/gatepost.yml";
    let page = alerting(&yaml("alerts.yml"));
    if std::env::var_os("GATEPOST_BLESS").is_some() {
        std::fs::write(path(name), &page).unwrap();
    }
    assert!(read(name) == page, "grafana/{name}: run `GATEPOST_BLESS=1 cargo test --test grafana`");
}

fn alerting(alerts: &Value) -> String {
    let groups = alerts["groups"].as_array().unwrap().iter().map(|group| {
        let rules: Vec<_> = group["rules"].as_array().unwrap().iter().map(alert).collect();
        json!({ "orgId": 1, "name": group["name"], "folder": "Gatepost", "interval": "1m", "rules": rules })
    });
    let file = json!({ "apiVersion": 1, "groups": groups.collect::<Vec<_>>() });
    format!(
        "# The alerts of alerts.yml as Grafana's own, for where Prometheus evaluates no rules: in place of those, not beside them.\n\
         # Made from that file (`GATEPOST_BLESS=1 cargo test --test grafana`). GATEPOST_PROMETHEUS_UID in Grafana's environment is\n\
         # the uid of the data source.\n{}\n",
        serde_json::to_string_pretty(&file).unwrap()
    )
}

/// A rule fires for each series that its expression gives, whatever its value.
fn alert(rule: &Value) -> Value {
    let (name, severity) = (text(rule, "alert"), text(&rule["labels"], "severity"));
    let annotations = rule["annotations"].as_object().unwrap().iter();
    let annotations = annotations.map(|(key, value)| (key.clone(), in_grafana(value.as_str().unwrap())));
    json!({
        "uid": format!("{}-{severity}", name.to_lowercase()),
        "title": format!("{name} ({severity})"),
        "condition": "B",
        "data": [
            {
                "refId": "A",
                "datasourceUid": "$GATEPOST_PROMETHEUS_UID",
                "relativeTimeRange": { "from": 600, "to": 0 },
                "model": { "refId": "A", "expr": text(rule, "expr"), "instant": true }
            },
            {
                "refId": "B",
                "datasourceUid": "__expr__",
                "model": { "refId": "B", "type": "math", "expression": "is_number($$A)" }
            }
        ],
        "for": rule.get("for").cloned().unwrap_or_else(|| json!("0s")),
        "noDataState": "OK",
        "execErrState": "Error",
        "labels": rule["labels"],
        "annotations": annotations.collect::<serde_json::Map<_, _>>(),
    })
}

/// Grafana replaces variables of its environment in these files, so that a dollar stands twice; and it has a value for each query.
fn in_grafana(template: &str) -> Value {
    template.replace("$value", "$values.A.Value").replace('$', "$$").into()
}

/// The volumes of a service: what lies below `grafana/`, or the name of a volume, and where it is seen.
fn mounts(service: &str) -> Vec<(String, String)> {
    let compose = yaml("docker-compose.yml");
    let volumes = compose["services"][service]["volumes"].as_array().cloned().unwrap_or_default();
    let parse = |volume: &Value| {
        let mut parts = volume.as_str().unwrap().split(':');
        let from = parts.next().unwrap();
        let from = from.strip_prefix("./").unwrap_or(from).to_owned();
        (from, parts.next().unwrap().to_owned())
    };
    volumes.iter().map(parse).collect()
}
