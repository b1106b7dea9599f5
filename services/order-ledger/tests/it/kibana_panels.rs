//! What Kibana's panels and searches show, asked of a real Elasticsearch as Kibana asks, against what is true.
//!
//! On orders that went through the pipeline, against SQL over Postgres. Those over metrics, of which Postgres knows how often but
//! not how long: on measurements that the test wrote, too. A panel or search that is compared with nothing fails.

mod measured;
mod placed;
mod rows;
pub(crate) mod shipped;
mod sql;

use std::collections::BTreeSet;

use kibana::{Names, Panel, View, Window, dashboards, panel_request, search_request, searches};
use serde_json::{Value, json};

use crate::{
    compare::caught_up, installation::Installation, oracle::fold_topic, process::PATIENCE,
};
use rows::Rows;

/// Everything, day by day.
const ALWAYS: Window<'_> = Window { from: "2026-01-01T00:00:00Z", until: "now+1d", interval: "1d" };

/// More hits than there are.
const HITS: usize = 1000;

fn panels_of(is_wanted: impl Fn(View) -> bool) -> Vec<Panel> {
    let dashboards = dashboards();
    let panels = dashboards.iter().flat_map(|dashboard| dashboard.panels());
    panels.filter(|panel| is_wanted(panel.view)).cloned().collect()
}

async fn ask(elasticsearch: &str, index: &str, request: &Value) -> Value {
    let url = format!("{elasticsearch}/{index}/_search");
    let answer = reqwest::Client::new().post(url).json(request).send().await.unwrap();
    let (status, body) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{status}: {body}\nto {request}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn panels_over_orders_show_what_postgres_says() {
    let installation = Installation::new("kibana").await;
    let process = placed::through_the_pipeline(&installation).await;
    let oracle = fold_topic(&installation).await;
    testkit::wait_for("everything is indexed", PATIENCE, async || {
        caught_up(&installation, &oracle).await.then_some(())
    })
    .await;
    let names = Names::new(format!("{}-", installation.name));
    let pool = installation.pool().await;

    let mut compared = BTreeSet::new();
    for panel in panels_of(|view| view != View::Metrics) {
        let index = names.index(panel.view);
        let answer = ask(&installation.elasticsearch, &index, &panel_request(&panel, ALWAYS)).await;
        let shown = Rows::of(&panel, &answer);
        let expected = sql::rows(&pool, &installation.schema(), panel.id).await;
        // So few values are kept one by one, and percentiles are exact.
        shown.must_equal(&expected, 1e-9, &panel);
        assert!(compared.insert(panel.id), "{} is there twice", panel.id);
    }
    assert_eq!(compared.len(), 17);

    for search in searches() {
        let index = names.index(search.view);
        let request = search_request(&search, ALWAYS, HITS);
        let answer = ask(&installation.elasticsearch, &index, &request).await;
        let hits = answer["hits"]["hits"].as_array().unwrap();
        assert_eq!(answer["hits"]["total"]["value"], hits.len(), "{}: not all", search.id);
        let sorted: Vec<_> = hits.iter().map(|hit| hit["sort"][0].as_i64().unwrap()).collect();
        let in_order = sorted.is_sorted_by(|a, b| if search.descending { a >= b } else { a <= b });
        assert!(in_order, "{}: {sorted:?}", search.id);
        let (columns, mut expected) = sql::hits(&pool, &installation.schema(), search.id).await;
        assert!(!expected.is_empty(), "{}: nothing to compare", search.id);
        let mut shown: Vec<_> = hits.iter().map(|hit| rows::cells(hit, &columns)).collect();
        shown.sort_unstable();
        expected.sort_unstable();
        assert_eq!(shown, expected, "{}", search.id);
    }
    one_order_alone(&installation, &names, &pool).await;

    process.stop().await;
    installation.remove().await;
}

/// The story as someone reads it who put an id in the place of the star: each event once, in the order of the versions.
async fn one_order_alone(installation: &Installation, names: &Names, pool: &sqlx::PgPool) {
    let story = searches().into_iter().find(|search| search.id == "story").unwrap();
    let id = placed::longest(installation);
    let mut request = search_request(&story, ALWAYS, HITS);
    let filters = request["query"]["bool"]["filter"].as_array_mut().unwrap();
    filters.push(json!({ "match_phrase": { "order_id": id.to_string() } }));
    let index = names.index(story.view);
    let answer = ask(&installation.elasticsearch, &index, &request).await;
    let columns = ["version", "event.action", "event.outcome", "to"];
    let hits = answer["hits"]["hits"].as_array().unwrap();
    let shown: Vec<_> = hits.iter().map(|hit| rows::cells(hit, &columns)).collect();
    assert!(shown.len() > 5, "{shown:?}");
    assert_eq!(shown, sql::story(pool, &installation.schema(), id).await);
}

#[tokio::test]
async fn panels_over_metrics_show_what_was_measured() {
    let measured = measured::Measured::indexed().await;
    let mut compared = BTreeSet::new();
    for panel in panels_of(|view| view == View::Metrics) {
        let request = panel_request(&panel, measured::WINDOW);
        let answer = ask(&measured.elasticsearch, &measured.index, &request).await;
        let expected = measured.rows(panel.id);
        Rows::of(&panel, &answer).must_equal(&expected, measured::FINENESS, &panel);
        assert!(compared.insert(panel.id), "{} is there twice", panel.id);
    }
    assert_eq!(compared.len(), 14);
    measured.remove().await;
}
