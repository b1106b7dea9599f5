//! `order-ledger kibana` against a server that answers as Kibana documents it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header::LOCATION},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{by_hand::Said, process::binary};

/// A request as it came.
#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    uri: String,
    headers: HeaderMap,
    body: Bytes,
}

type Answers = Arc<dyn Fn(&Asked) -> Response + Send + Sync>;

/// A server in Kibana's place; it remembers what it was asked.
struct Fake {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    serving: JoinHandle<()>,
}

impl Fake {
    async fn new(answers: impl Fn(&Asked) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let state: (Arc<Mutex<Vec<Asked>>>, Answers) = (Arc::clone(&asked), Arc::new(answers));
        let app = Router::new().fallback(Self::answer).with_state(state);
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, asked, serving }
    }

    async fn answer(
        State((asked, answers)): State<(Arc<Mutex<Vec<Asked>>>, Answers)>,
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Response {
        let request = Asked { method, uri: uri.to_string(), headers, body };
        let answer = answers(&request);
        asked.lock().unwrap().push(request);
        answer
    }

    /// A Kibana of this version that takes the file, and says of the objects that it holds what `outcome` makes of them.
    async fn kibana(
        version: &'static str,
        outcome: impl Fn(&[Value]) -> Value + Send + Sync + 'static,
    ) -> Self {
        Self::new(move |asked| {
            if asked.uri.ends_with("/api/status") {
                return status(version);
            }
            if asked.uri.ends_with("/api/spaces/space/shop") {
                return answer(200, &json!({ "id": "shop", "name": "Shop" }));
            }
            match asked.uri.split_once("/api/saved_objects/_import") {
                Some(_) => answer(200, &outcome(&objects(asked))),
                None => answer(404, &json!({ "statusCode": 404, "error": "Not Found" })),
            }
        })
        .await
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Runs `import` against it.
    async fn import(&self, args: &[&str]) -> Said {
        self.import_as(&[], args).await
    }

    async fn import_as(&self, environment: &[(&str, &str)], args: &[&str]) -> Said {
        import_at(&self.url, environment, args).await
    }
}

async fn import_at(url: &str, environment: &[(&str, &str)], args: &[&str]) -> Said {
    let mut command = binary();
    command.args(["kibana", "import", "--url", url]).args(args);
    command.envs(environment.iter().copied());
    command.output().await.unwrap().into()
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn answer(status: u16, body: &Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response()
}

fn status(version: &str) -> Response {
    let overall = json!({ "level": "available" });
    answer(200, &json!({ "version": { "number": version }, "status": { "overall": overall } }))
}

/// The objects of a file that was sent as a form, read by another's reader.
fn objects(asked: &Asked) -> Vec<Value> {
    let kind = asked.headers["content-type"].to_str().unwrap();
    assert!(kind.starts_with("multipart/form-data"), "{kind}");
    let mail = [format!("Content-Type: {kind}\r\n\r\n").as_bytes(), &asked.body].concat();
    let form = mailparse::parse_mail(&mail).unwrap();
    assert_eq!(form.subparts.len(), 1);
    let part = &form.subparts[0];
    let disposition = part.get_content_disposition();
    assert_eq!(disposition.params["name"], "file");
    assert!(disposition.params["filename"].ends_with(".ndjson"), "{disposition:?}");
    let file = String::from_utf8(part.get_body_raw().unwrap()).unwrap();
    file.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn named(object: &Value) -> Value {
    json!({
        "type": object["type"],
        "id": object["id"],
        "meta": { "title": object["attributes"]["title"] },
    })
}

fn all_well(objects: &[Value]) -> Value {
    let results: Vec<_> = objects.iter().map(named).collect();
    json!({ "success": true, "successCount": objects.len(), "warnings": [], "successResults": results })
}

#[tokio::test]
async fn everything_is_sent_and_what_became_of_it_is_told() {
    for version in ["8.19.3", "9.2.0"] {
        let kibana = Fake::kibana(version, all_well).await;
        let told = kibana.import(&["--output", "json"]).await.done();
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["kibana"]["version"], version);
        assert_eq!(told["kibana"]["space"], "default");
        assert_eq!(told["failed"], json!([]));

        let asked = kibana.asked();
        let import = asked.last().unwrap();
        assert_eq!(
            (&import.method, import.uri.as_str()),
            (&Method::POST, "/api/saved_objects/_import?overwrite=true")
        );
        assert!(import.headers.contains_key("kbn-xsrf"));
        assert!(!import.headers.contains_key("authorization"));
        let sent = objects(import);
        let names = |all: &[Value]| -> Vec<_> { all.iter().map(|o| o["id"].clone()).collect() };
        assert_eq!(names(told["imported"].as_array().unwrap()), names(&sent));
        let exported = binary().args(["kibana", "export"]).output().await.unwrap();
        let exported = Said::from(exported).done();
        let exported: Vec<Value> =
            exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(exported, sent);

        let told = kibana.import(&[]).await.done();
        assert!(told.contains(&format!("{0} of {0} imported", sent.len())), "{told}");
        assert!(told.contains(&format!("{}/app/dashboards#/view/", kibana.url)), "{told}");
    }
}

#[tokio::test]
async fn space_prefix_and_credentials_go_where_they_belong() {
    let kibana = Fake::kibana("9.2.0", all_well).await;
    let args = ["--space", "shop", "--elasticsearch-index-prefix", "eu-", "--no-overwrite"];
    kibana.import_as(&[("ORDER_LEDGER_KIBANA_API_KEY", "c2VjcmV0")], &args).await.done();
    let asked = kibana.asked();
    let uris: Vec<_> = asked.iter().map(|asked| asked.uri.as_str()).collect();
    let import = "/s/shop/api/saved_objects/_import?overwrite=false";
    assert_eq!(uris, ["/api/status", "/api/spaces/space/shop", import]);
    assert!(asked.iter().all(|asked| asked.headers["authorization"] == "ApiKey c2VjcmV0"));
    let sent = objects(asked.last().unwrap());
    assert!(sent.iter().all(|object| object["id"].as_str().unwrap().starts_with("eu-")));

    let user = [("ORDER_LEDGER_KIBANA_USER", "ana"), ("ORDER_LEDGER_KIBANA_PASSWORD", "hunter2")];
    kibana.import_as(&user, &[]).await.done();
    let asked = kibana.asked().pop().unwrap();
    assert_eq!(asked.headers["authorization"], "Basic YW5hOmh1bnRlcjI=");

    let half = kibana.import_as(&user[..1], &[]).await;
    assert_eq!(half.code, 2, "{}", half.stderr);
    let said = import_at("http://ana:hunter2@127.0.0.1:1", &[], &[]).await;
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(
        said.stderr.contains("--url is \"http://***@127.0.0.1:1\"; allowed"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn objects_that_were_not_imported_are_named_with_a_next_step() {
    let kibana = Fake::kibana("9.2.0", |objects| {
        let mut reasons = BTreeMap::from([
            ("index-pattern", json!({ "type": "conflict" })),
            (
                "search",
                json!({ "type": "missing_references", "references": [{ "type": "index-pattern", "id": "gone" }] }),
            ),
            ("dashboard", json!({ "type": "unknown", "message": "the disk is full", "statusCode": 500 })),
        ]);
        let mut errors = Vec::new();
        for object in objects {
            if let Some(reason) = reasons.remove(object["type"].as_str().unwrap()) {
                let mut error = named(object);
                error["error"] = reason;
                errors.push(error);
            }
        }
        let count = objects.len() - errors.len();
        json!({ "success": false, "successCount": count, "errors": errors })
    })
    .await;
    let said = kibana.import(&["--no-overwrite"]).await;
    assert_eq!(said.code, 1, "{}", said.stdout);
    for line in [
        "not imported: data view order-ledger-view-orders [Order ledger] Orders: it is there already; leave \
         --no-overwrite out",
        "refers to what is not there: index-pattern gone; see why that was not imported",
        "[Order ledger] Orders: the disk is full; Kibana's log says more",
    ] {
        assert!(said.stderr.contains(line), "{line} is not in\n{}", said.stderr);
    }
    assert_eq!(said.stderr.lines().count(), 3, "{}", said.stderr);

    let said = kibana.import(&["--output", "json"]).await;
    let told: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((said.code, told["failed"].as_array().unwrap().len()), (1, 3));
    assert_eq!(told["failed"][2]["reason"], "unknown");
}

/// A success that does not add up is none.
#[tokio::test]
async fn an_import_is_counted() {
    let kibana = Fake::kibana("9.2.0", |_| json!({ "success": true, "successCount": 1 })).await;
    let said = kibana.import(&[]).await;
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("and counts 1"), "{}", said.stderr);
}

/// Whatever answers instead of the Kibana that was meant: exit code, code for programs, and a word that helps.
#[tokio::test]
async fn who_is_not_the_kibana_that_was_meant_is_told_and_sent_nothing() {
    type Case = (fn(&Asked) -> Response, i32, &'static str, &'static str);
    let cases: [Case; 9] = [
        (|_| status("8.18.9"), 4, "FAILED_PRECONDITION", "8.19 or newer"),
        (|_| status("7.17.0"), 4, "FAILED_PRECONDITION", "7.17.0"),
        (
            |_| answer(200, &json!({ "status": { "overall": { "level": "available" } } })),
            1,
            "UNAUTHENTICATED",
            "ORDER_LEDGER_KIBANA_API_KEY",
        ),
        (|_| answer(401, &json!({})), 1, "UNAUTHENTICATED", "ORDER_LEDGER_KIBANA_USER"),
        (|_| answer(403, &json!({})), 1, "PERMISSION_DENIED", "Saved Objects Management"),
        (|_| answer(503, &json!("Kibana server is not ready yet")), 6, "UNAVAILABLE", "try again"),
        (
            |_| answer(400, &json!({ "error": "no handler found for uri [/api/status]" })),
            1,
            "UNKNOWN",
            "is not Kibana",
        ),
        (|_| "<html>".into_response(), 1, "UNKNOWN", "no JSON"),
        (
            |_| (StatusCode::FOUND, [(LOCATION, "/kibana/app/home")]).into_response(),
            1,
            "UNKNOWN",
            "/kibana/app/home",
        ),
    ];
    for (answers, code, name, word) in cases {
        let fake = Fake::new(answers).await;
        let said = fake.import(&["--output", "json"]).await;
        assert_eq!(said.code, code, "{}", said.stderr);
        let failure = said.failure();
        assert_eq!(failure["code"], name);
        assert!(failure["message"].as_str().unwrap().contains(word), "{failure}");
        let said = fake.import(&[]).await;
        assert_eq!((said.code, said.stderr.lines().count()), (code, 1), "{}", said.stderr);
        assert!(fake.asked().iter().all(|asked| asked.method == Method::GET));
    }
}

#[tokio::test]
async fn a_kibana_that_is_away_is_code_6() {
    let said = import_at("http://127.0.0.1:1", &[], &[]).await;
    assert_eq!(said.code, 6);
    assert!(said.stderr.contains("can't reach Kibana at http://127.0.0.1:1: "), "{}", said.stderr);
}

#[tokio::test]
async fn a_space_that_is_not_there_and_a_file_that_is_refused() {
    let kibana = Fake::new(|asked| match asked.uri.as_str() {
        "/base/api/status" => status("9.2.0"),
        "/base/api/spaces/space/nowhere" => answer(404, &json!({ "message": "Not Found" })),
        uri if uri.starts_with("/base/api/saved_objects/_import") => {
            answer(413, &json!({ "statusCode": 413, "message": "Payload content length greater" }))
        }
        uri => panic!("{uri}"),
    })
    .await;
    let url = format!("{}/base/", kibana.url);
    let said = import_at(&url, &[], &["--space", "nowhere"]).await;
    assert_eq!(said.code, 3, "{}", said.stderr);
    let said = import_at(&url, &[], &[]).await;
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("(413): Payload content length greater"), "{}", said.stderr);
}
