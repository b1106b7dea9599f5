use super::*;

fn resolve(
    flags: &[(&str, &str)],
    environment: &[(&str, &str)],
    file: &str,
) -> Result<Resolved, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.toml");
    fs::write(&path, file).unwrap();
    let find = |pairs: &[(&str, &str)], name: &str| {
        pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    };
    Resolved::new(Some(&path), |key| find(flags, key.name), |name| find(environment, name))
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let file = "grpc_addr = '1.1.1.1:1'\nhttp_addr = '1.1.1.1:1'\nroles = ['api', 'mailer']\n";
    let environment =
        [("ORDER_LEDGER_GRPC_ADDR", "2.2.2.2:2"), ("ORDER_LEDGER_HTTP_ADDR", "2.2.2.2:2")];
    let config =
        resolve(&[("grpc_addr", "3.3.3.3:3")], &environment, file).unwrap().config().unwrap();
    assert_eq!(config.grpc_addr, "3.3.3.3:3".parse().unwrap());
    assert_eq!(config.http_addr, "2.2.2.2:2".parse().unwrap());
    assert_eq!(config.roles, [Role::Api, Role::Mailer]);
    assert_eq!(config.data, Path::new("data"));
    assert_eq!(config.log, LogLocation::Sqlite("data/log.db".into()));
}

#[test]
fn a_wrong_value_says_which_key_what_was_given_and_what_is_allowed() {
    let cases: [(&str, &str, &str); 8] = [
        (
            "log",
            "kafka://broker",
            "--log is \"kafka://broker\"; allowed: sqlite:FILE or kafka://HOST:PORT[,HOST:PORT…]",
        ),
        (
            "roles",
            "api,cook",
            "--roles is \"api,cook\"; allowed: all, or some of api,projector,search,mailer,fulfilment",
        ),
        ("grpc_addr", "localhost", "--grpc-addr is \"localhost\"; allowed: IP:PORT"),
        (
            "state",
            "mysql://u:secret@h/d",
            "--state is \"mysql://u:***@h/d\"; allowed: sqlite:FILE or postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE",
        ),
        ("seed_currency", "pesos", "--seed-currency is \"pesos\"; allowed: an ISO 4217 code"),
        (
            "fulfilment.pay_after",
            "soon",
            "--fulfilment-pay-after is \"soon\"; allowed: a duration such as 500ms, 90s, 15m, 12h or 30d, or off",
        ),
        (
            "metrics_interval",
            "5ms",
            "--metrics-interval is \"5ms\"; allowed: a duration of 100ms to 1h, or off",
        ),
        ("log_partitions", "0", "--log-partitions is \"0\"; allowed: auto, or 1 to 1000"),
    ];
    for (key, given, expected) in cases {
        let error = resolve(&[(key, given)], &[], "").unwrap().config().unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn an_unknown_key_in_the_file_is_named() {
    let error = resolve(&[], &[], "[kafka]\ntopic_prefx = 'x'\n").unwrap_err().to_string();
    assert!(error.contains("unknown key kafka.topic_prefx"), "{error}");
}

#[test]
fn what_is_shown_is_toml_again_and_keeps_secrets() {
    let flags = [
        ("state", "postgres://u:pa@ss@db:5432/orders"),
        ("kafka.properties", "sasl.password=hush"),
        ("mail", "smtps://me:hush@mail:465"),
    ];
    let shown = resolve(&flags, &[], "").unwrap().to_string();
    assert!(shown.contains("state = \"postgres://u:***@db:5432/orders\""), "{shown}");
    assert!(!shown.contains("hush") && !shown.contains("pa@ss"), "{shown}");
    let parsed: toml::Table = shown.parse().unwrap();
    assert_eq!(parsed["kafka"]["properties"].as_str(), Some("***"));
}

#[test]
fn durations_have_units() {
    assert_eq!(after("off"), Some(None));
    assert_eq!(after("250ms"), Some(Some(Duration::from_millis(250))));
    assert_eq!(after("14d"), Some(Some(Duration::from_hours(14 * 24))));
    for wrong in ["", "5", "s", "-1s", "5 s", "99999999999999999999s", "1000d"] {
        assert_eq!(after(wrong), None, "{wrong}");
    }
}

#[test]
fn a_key_is_asked_for_if_customers_are_hashed_alone() {
    let customers = |pairs: &[(&str, &str)]| {
        resolve(pairs, &[], "").unwrap().config().map(|config| config.search_customers)
    };
    assert_eq!(customers(&[]).unwrap(), Customers::Plain);
    assert_eq!(customers(&[("search_customer", "masked")]).unwrap(), Customers::Masked);
    let hashed = ("search_customer", "hashed");
    let key = ("search_customer_key", "sixteen letters!");
    let expected = Customers::Hashed(CustomerKey::new("sixteen letters!"));
    assert_eq!(customers(&[hashed, key]).unwrap(), expected);
    let error = customers(&[hashed, ("search_customer_key", "s3cret")]).unwrap_err().to_string();
    assert!(error.contains("16 characters or more") && !error.contains("s3cret"), "{error}");
    customers(&[hashed]).unwrap_err();
}

#[test]
fn spans_go_nowhere_unless_someone_says_where() {
    let traces = |pairs: &[(&str, &str)]| {
        resolve(pairs, &[], "").unwrap().config().map(|config| config.traces)
    };
    assert_eq!(traces(&[]).unwrap(), Traces { otlp_endpoint: None, sample_ratio: 0.01 });
    let endpoint = ("otlp_endpoint", "http://collector:4317");
    let said = traces(&[endpoint, ("trace_sample_ratio", "1")]).unwrap();
    let otlp_endpoint = Some("http://collector:4317".to_owned());
    assert_eq!(said, Traces { otlp_endpoint, sample_ratio: 1.0 });
    for wrong in [("otlp_endpoint", "collector:4317"), ("trace_sample_ratio", "1.1")] {
        traces(&[wrong]).unwrap_err();
    }
    for wrong in ["-0.1", "NaN", "half", ""] {
        traces(&[("trace_sample_ratio", wrong)]).unwrap_err();
    }
}
