//! What `prepare` makes of what it finds.

use adapter_elasticsearch::{ElasticsearchIndex, ElasticsearchOptions};
use futures::future::join_all;
use ports::{IndexOutcome, OrderDocument, SearchError, SearchGenerations as _, SearchIndex as _};
use serde_json::{Value, json};
use testkit::sample::{folded, order_id, placed};

use crate::fresh::Fresh;

fn document() -> OrderDocument {
    OrderDocument::from(&folded(&[placed(order_id(1))]))
}

fn embedded_mappings() -> Value {
    let file = include_str!("../../../../../infra/elasticsearch/orders-mappings.json");
    serde_json::from_str::<Value>(file).unwrap()["template"]["mappings"].take()
}

async fn unfit(fresh: &Fresh) -> String {
    match fresh.index.prepare().await {
        Err(SearchError::Unfit(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn many_processes_may_prepare_a_server_that_has_nothing() {
    let fresh = Fresh::unprepared();
    for prepared in join_all((0..6).map(|_| fresh.index.prepare())).await {
        prepared.unwrap();
    }
    let index = format!("{}-g1", fresh.alias);
    assert_eq!(fresh.aliases().await, fresh.both_on(&index));
    let mapped = fresh.get("{}/_mapping").await;
    assert_eq!(mapped[&index]["mappings"]["_meta"], json!({ "version": 4 }));
    assert_eq!(mapped[&index]["mappings"]["dynamic"], "strict");
    let mapped = &mapped[&index]["mappings"]["properties"];
    assert_eq!(*mapped, embedded_mappings()["properties"]);
    fresh.remove().await;
}

#[tokio::test]
async fn an_operators_own_settings_are_kept() {
    let fresh = Fresh::unprepared();
    let custom = json!({ "template": { "settings": { "index": { "number_of_shards": 2 } } } });
    fresh.put("_component_template/{}@custom", custom).await;
    fresh.index.prepare().await.unwrap();
    let settings = fresh.get("{}/_settings").await;
    let index = &settings[format!("{}-g1", fresh.alias)]["settings"]["index"];
    assert_eq!(index["number_of_shards"], "2");
    fresh.remove().await;
}

#[tokio::test]
async fn templates_of_a_newer_program_stay() {
    let fresh = Fresh::prepared().await;
    let newer = json!({ "version": 99, "index_patterns": [format!("{}-g*", fresh.alias)] });
    fresh.put("_index_template/{}", newer).await;
    fresh.index.prepare().await.unwrap();
    let found = fresh.get("_index_template/{}").await;
    assert_eq!(found["index_templates"][0]["index_template"]["version"], 99);
    fresh.remove().await;
}

#[tokio::test]
async fn templates_of_an_older_program_are_replaced() {
    let fresh = Fresh::unprepared();
    let older = json!({ "index_patterns": [format!("{}-g*", fresh.alias)], "priority": 500 });
    fresh.put("_index_template/{}", older).await;
    fresh.index.prepare().await.unwrap();
    let found = fresh.get("_index_template/{}").await;
    assert_eq!(found["index_templates"][0]["index_template"]["version"], 4);
    fresh.remove().await;
}

#[tokio::test]
async fn an_older_index_gets_the_fields_it_lacks() {
    let fresh = Fresh::unprepared();
    let mut mappings = embedded_mappings();
    mappings["_meta"]["version"] = json!(0);
    let properties = mappings["properties"].as_object_mut().unwrap();
    properties.remove("parcel");
    properties["lines"]["properties"].as_object_mut().unwrap().remove("sku");
    create(&fresh, mappings).await;
    fresh.index.prepare().await.unwrap();
    assert_eq!(fresh.index.upsert(&[document()]).await.unwrap(), [IndexOutcome::Indexed]);
    fresh.remove().await;
}

#[tokio::test]
async fn an_index_that_would_guess_or_has_other_types_is_unfit() {
    let fresh = Fresh::unprepared();
    create(&fresh, json!({ "properties": { "state": { "type": "keyword" } } })).await;
    let why = unfit(&fresh).await;
    assert!(why.contains("not strict"), "{why}");
    fresh.remove().await;

    let fresh = Fresh::unprepared();
    let mut mappings = embedded_mappings();
    mappings["properties"]["state"] = json!({ "type": "text" });
    create(&fresh, mappings).await;
    let why = unfit(&fresh).await;
    assert!(why.contains("state is text, must be keyword"), "{why}");
    fresh.remove().await;
}

/// It was prepared when there was one alias only.
#[tokio::test]
async fn an_index_of_one_alias_gets_the_other() {
    let fresh = Fresh::unprepared();
    create(&fresh, embedded_mappings()).await;
    for prepared in join_all((0..4).map(|_| fresh.index.prepare())).await {
        prepared.unwrap();
    }
    let index = format!("{}-g1", fresh.alias);
    let aliases = &fresh.aliases().await[&index];
    assert_eq!(aliases[format!("{}-write", fresh.alias)], json!({ "is_write_index": true }));
    assert_eq!(fresh.index.upsert(&[document()]).await.unwrap(), [IndexOutcome::Indexed]);
    assert_eq!(fresh.index.versions(&[order_id(1)]).await.unwrap(), [(order_id(1), 1)].into());
    // And gives way like any other.
    let new = fresh.index.create().await.unwrap();
    new.take_writes().await.unwrap();
    new.take_reads().await.unwrap();
    assert_eq!(fresh.aliases().await, fresh.both_on(&format!("{}-g2", fresh.alias)));
    fresh.remove().await;
}

#[tokio::test]
async fn an_index_without_its_aliases_is_unfit() {
    let fresh = Fresh::unprepared();
    fresh.put("{}-g1", json!({ "mappings": embedded_mappings() })).await;
    let why = unfit(&fresh).await;
    assert!(why.contains("without its aliases"), "{why}");
    let aliases = json!({ format!("{}-write", fresh.alias): {} });
    fresh.put("{}-g2", json!({ "mappings": embedded_mappings(), "aliases": aliases })).await;
    let why = unfit(&fresh).await;
    assert!(why.contains("none has alias"), "{why}");
    let aliases = json!({ fresh.alias.as_str(): {} });
    for index in ["{}-g3", "{}-g4"] {
        fresh.put(index, json!({ "mappings": embedded_mappings(), "aliases": aliases })).await;
    }
    let why = unfit(&fresh).await;
    assert!(why.contains("more than one index"), "{why}");
    fresh.remove().await;
}

/// By a program that is newer than all that has prepared it.
#[tokio::test]
async fn a_new_index_has_the_mapping_of_its_program() {
    let fresh = Fresh::unprepared();
    let older = json!({ "index_patterns": [format!("{}-g*", fresh.alias)], "priority": 500 });
    fresh.put("_index_template/{}", older).await;
    fresh.put("{}-g1", json!({ "aliases": { fresh.alias.as_str(): {} } })).await;
    let new = fresh.index.create().await.unwrap();
    assert_eq!(new.upsert(&[document()]).await.unwrap(), [IndexOutcome::Indexed]);
    new.take_reads().await.unwrap();
    let mapped = fresh.get("{}/_mapping").await;
    let mapped = &mapped[format!("{}-g2", fresh.alias)]["mappings"];
    assert_eq!(mapped["properties"], embedded_mappings()["properties"]);
    fresh.remove().await;
}

/// Nothing of the former's number comes up under its name, not even by a writer who has not heard.
#[tokio::test]
async fn an_index_that_gave_way_stays_away() {
    let fresh = Fresh::prepared().await;
    let first = fresh.index.create().await.unwrap();
    let second = fresh.index.create().await.unwrap();
    let late = first.upsert(&[document()]).await;
    assert!(matches!(late, Err(SearchError::Unfit(_))), "{late:?}");
    first.take_writes().await.unwrap_err();
    second.take_reads().await.unwrap();
    assert_eq!(fresh.aliases().await, fresh.both_on(&format!("{}-g3", fresh.alias)));
    assert_eq!(fresh.get("{}-g2").await["status"], 404);
    assert_eq!(fresh.get("{}-g1").await["status"], 404);
    fresh.remove().await;
}

#[tokio::test]
async fn a_server_that_is_away_is_not_available() {
    let url = "http://ana:s3cret@127.0.0.1:1".to_owned();
    let options = ElasticsearchOptions { url, ..ElasticsearchOptions::default() };
    let index = ElasticsearchIndex::new(options).unwrap();
    for failed in [index.prepare().await, index.ping().await] {
        let Err(SearchError::Unavailable(why)) = failed else { panic!("{failed:?}") };
        assert!(why.contains("refused") && !why.contains("s3cret"), "{why}");
    }
}

async fn create(fresh: &Fresh, mappings: Value) {
    let aliases = json!({ fresh.alias.as_str(): { "is_write_index": true } });
    fresh.put("{}-g1", json!({ "mappings": mappings, "aliases": aliases })).await;
}
