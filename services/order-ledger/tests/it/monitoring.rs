//! `infra/prometheus`, `infra/grafana`, `infra/otel` and `infra/compose.yaml` fit each other, the metrics and the app. None of
//! them is run here.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::{
    metrics::{described, root},
    promql,
};

/// A file of `infra`.
fn text(file: &str) -> String {
    fs::read_to_string(root().join("infra").join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn yaml(file: &str) -> Value {
    serde_yaml_ng::from_str(&text(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn items(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is a list"))
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is a text"))
}

/// What stands between double braces.
fn templates(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.trim()))
}

#[test]
fn alerts_ask_what_the_metrics_can_answer() {
    let known = described();
    let alerts = yaml("prometheus/alerts.yml");
    let rules: Vec<_> =
        items(&alerts["groups"]).iter().flat_map(|group| items(&group["rules"])).collect();
    let mut names = BTreeSet::new();
    let mut metrics = BTreeSet::new();
    for rule in rules {
        let name = string(&rule["alert"]);
        assert!(names.insert(name), "{name} is there twice");
        let query = promql::read(string(&rule["expr"]), &known);
        let query = query.unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        let severity = string(&rule["labels"]["severity"]);
        assert!(matches!(severity, "critical" | "warning"), "{name}: {severity}");
        let annotations = rule["annotations"].as_object().unwrap();
        assert!(annotations.contains_key("summary"), "{name}");
        for template in annotations.values().flat_map(|text| templates(string(text))) {
            match template.strip_prefix("$labels.") {
                Some(label) => assert!(query.labels.contains(label), "{name} has no {label}"),
                None => assert!(template.starts_with("$value"), "{name}: {template}"),
            }
        }
        metrics.extend(query.metrics);
    }
    for must in [
        "order_ledger_unaccounted_records",
        "order_ledger_unaudited_records",
        "order_ledger_dead_letters_open",
        "order_ledger_projector_lag_records",
        "order_ledger_mails_total",
        "order_ledger_role_ready",
        "order_ledger_rpc_requests_total",
        "order_ledger_log_queue_records",
        "order_ledger_data_available_bytes",
    ] {
        assert!(metrics.contains(must), "nothing alarms on {must}");
    }
    let manual = fs::read_to_string(root().join("docs/operating.md")).unwrap();
    for name in names {
        assert!(manual.contains(&format!("`{name}`")), "operating.md says nothing about {name}");
    }
}

#[test]
fn the_dashboard_shows_what_the_metrics_can_answer() {
    let known = described();
    let dashboard: Value =
        serde_json::from_str(&text("grafana/dashboards/order-ledger.json")).unwrap();
    let sources = yaml("grafana/provisioning/datasources/prometheus.yml");
    let source = &items(&sources["datasources"])[0]["uid"];
    let mut ids = BTreeSet::new();
    let mut rows = BTreeSet::new();
    for panel in items(&dashboard["panels"]) {
        let title = string(&panel["title"]);
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title} has another's id");
        if panel["type"] == "row" {
            rows.insert(title);
            continue;
        }
        assert_eq!(&panel["datasource"]["uid"], source, "{title}");
        for target in items(&panel["targets"]) {
            let query = promql::read(string(&target["expr"]), &known);
            let query = query.unwrap_or_else(|wrong| panic!("{title}: {wrong}"));
            for label in templates(string(&target["legendFormat"])) {
                assert!(query.labels.contains(label), "{title}: nothing has {label}");
            }
        }
    }
    for row in ["Order path", "Pipeline lag", "Projector", "Mail", "Timers", "Stores and processes"]
    {
        assert!(rows.contains(row), "{row}");
    }
}

/// The ports of a service inside, each published on this machine's own address alone.
fn ports(service: &Value) -> BTreeSet<String> {
    let ports = service["ports"].as_array().into_iter().flatten().map(|port| {
        let parts: Vec<_> = string(port).split(':').collect();
        assert_eq!(parts[0], "127.0.0.1", "{port}");
        parts[2].to_owned()
    });
    ports.collect()
}

#[test]
fn prometheus_and_grafana_find_what_compose_starts() {
    let compose = yaml("compose.yaml");
    let services = &compose["services"];
    let is_served = |address: &str| {
        let (host, port) = address.split_once(':').unwrap();
        assert!(ports(&services[host]).contains(port), "{host} does not listen on {port}");
    };
    let prometheus = yaml("prometheus/prometheus.yml");
    let jobs = items(&prometheus["scrape_configs"]);
    assert_eq!(jobs[0]["job_name"], "order-ledger", "the alerts name it");
    for target in jobs.iter().flat_map(|job| items(&job["static_configs"])) {
        items(&target["targets"]).iter().for_each(|target| is_served(string(target)));
    }
    // The app must listen where it is scraped, and not on its own loopback alone.
    assert!(text("Dockerfile").contains("ORDER_LEDGER_HTTP_ADDR=0.0.0.0:9464"));

    let mounted = |service: &str, path: &str| {
        let mounts = items(&services[service]["volumes"]).iter();
        let at = |mount: &Value| string(mount).split(':').nth(1).map(str::to_owned);
        assert!(mounts.filter_map(at).any(|at| path.starts_with(&at)), "{service} lacks {path}");
    };
    mounted("prometheus", "/etc/prometheus/prometheus.yml");
    for file in items(&prometheus["rule_files"]) {
        mounted("prometheus", string(file));
    }
    let sources = yaml("grafana/provisioning/datasources/prometheus.yml");
    is_served(string(&items(&sources["datasources"])[0]["url"]).strip_prefix("http://").unwrap());
    let providers = yaml("grafana/provisioning/dashboards/order-ledger.yml");
    let folder = string(&items(&providers["providers"])[0]["options"]["path"]);
    mounted("grafana", folder);
    mounted("grafana", "/etc/grafana/provisioning");
    let home =
        string(&services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]);
    let home = home.strip_prefix(folder).unwrap().trim_start_matches('/');
    assert!(root().join("infra/grafana/dashboards").join(home).is_file(), "{home}");
}

#[test]
fn compose_gives_kibana_what_the_binary_would_import() {
    let compose = yaml("compose.yaml");
    let services = &compose["services"];
    let assets = &services["kibana-assets"];
    let mount = string(&items(&assets["volumes"])[0]);
    let (from, at) = mount.strip_suffix(":ro").unwrap().split_once(':').unwrap();
    // The crate's tests compare this file with what `order-ledger kibana export` prints.
    assert_eq!(from, "./kibana/order-ledger.ndjson");
    let command = string(&items(&assets["command"])[0]);
    assert!(command.contains(&format!("--form file=@{at}")), "{command}");
    assert!(command.contains("kbn-xsrf") && command.contains("\"success\":true"), "{command}");
    let url = command.split('\'').find(|word| word.starts_with("http://")).unwrap();
    let url = reqwest::Url::parse(url).unwrap();
    let (host, port) = (url.host_str().unwrap(), url.port().unwrap().to_string());
    assert!(ports(&services[host]).contains(&port), "{host} does not listen on {port}");
    assert_eq!(url.path(), "/api/saved_objects/_import");
    assert_eq!(url.query(), Some("overwrite=true"));
    assert_eq!(assets["depends_on"][host]["condition"], "service_healthy");
}

#[test]
fn spans_get_from_the_app_to_where_they_are_shown() {
    let compose = yaml("compose.yaml");
    let services = &compose["services"];
    // Within the network what is exposed is as good as what is published.
    let listens = |service: &str, port: &str| {
        let exposed = services[service]["expose"].as_array().into_iter().flatten();
        let exposed = exposed.map(string).any(|exposed| exposed == port);
        assert!(exposed || ports(&services[service]).contains(port), "{service} lacks {port}");
    };
    let collector = yaml("otel/collector.yaml");
    let endpoint = string(&services["order-ledger"]["environment"]["ORDER_LEDGER_OTLP_ENDPOINT"]);
    let (host, port) = endpoint.strip_prefix("http://").unwrap().split_once(':').unwrap();
    assert_eq!(host, "otel-collector");
    listens(host, port);
    let takes = string(&collector["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]);
    assert_eq!(takes, format!("0.0.0.0:{port}"));
    let to = string(&collector["exporters"]["otlp/jaeger"]["endpoint"]);
    let (shows, port) = to.split_once(':').unwrap();
    listens(shows, port);
    listens(shows, "16686");

    // Whatever a pipeline names is there, and nothing is there that no one names.
    let service = &collector["service"];
    let traces = &service["pipelines"]["traces"];
    for (kind, names) in [
        ("extensions", &service["extensions"]),
        ("receivers", &traces["receivers"]),
        ("processors", &traces["processors"]),
        ("exporters", &traces["exporters"]),
    ] {
        let named: BTreeSet<_> = items(names).iter().map(string).collect();
        let there = collector[kind].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(named, there, "{kind}");
    }

    // The image reads the file that is mounted, and asks where the collector answers.
    let dockerfile = text("otel/Dockerfile");
    let mount = string(&items(&services["otel-collector"]["volumes"])[0]);
    let file = mount.split(':').nth(1).unwrap();
    assert!(dockerfile.contains(&format!("CMD [\"--config\", \"{file}\"]")), "{file}");
    let health = string(&collector["extensions"]["health_check"]["endpoint"]);
    let port = health.strip_prefix("0.0.0.0:").unwrap();
    assert!(dockerfile.contains(&format!("http://127.0.0.1:{port}/")), "{health}");
}
