//! Names that no other test has, on the server that all tests share.

use adapter_elasticsearch::{ElasticsearchIndex, ElasticsearchMetrics, ElasticsearchOptions};
use elasticsearch::{
    Elasticsearch,
    http::{Method, headers::HeaderMap, transport::Transport},
};
use ports::SearchIndex as _;
use serde_json::{Value, json};

/// No test makes more.
const GENERATIONS_MAX: u32 = 12;

/// An index, and the server's own view of it.
pub(crate) struct Fresh {
    pub(crate) index: ElasticsearchIndex,
    pub(crate) options: ElasticsearchOptions,
    pub(crate) alias: String,
    pub(crate) stream: String,
    pub(crate) metrics: ElasticsearchMetrics,
    /// Their stream.
    pub(crate) metric_stream: String,
    client: Elasticsearch,
}

impl Fresh {
    /// Nothing is there yet.
    pub(crate) fn unprepared() -> Self {
        let url = testkit::servers::elasticsearch();
        let client = Elasticsearch::new(Transport::single_node(&url).unwrap());
        let index_prefix = format!("{}-", testkit::servers::unique("test"));
        let alias = format!("{index_prefix}orders");
        let stream = format!("{index_prefix}order-transitions");
        let metric_stream = format!("{index_prefix}order-ledger-metrics");
        let options = ElasticsearchOptions { url, index_prefix, ..ElasticsearchOptions::default() };
        let index = ElasticsearchIndex::new(options.clone()).unwrap();
        let metrics = ElasticsearchMetrics::new(options.clone()).unwrap();
        Self { index, options, alias, stream, metrics, metric_stream, client }
    }

    pub(crate) async fn prepared() -> Self {
        let fresh = Self::unprepared();
        fresh.index.prepare().await.unwrap();
        fresh
    }

    /// Asks the server directly; `{}` in the path stands for the alias.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let path = path.replace("{}", &self.alias);
        let body = body.map(|body| body.to_string());
        let headers = HeaderMap::new();
        let sent = self.client.send(method, &path, headers, None::<&()>, body, None).await;
        sent.unwrap().json().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ask(Method::Get, path, None).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) {
        let answer = self.ask(Method::Put, path, Some(body)).await;
        assert_eq!(answer["acknowledged"], true, "{path}: {answer}");
    }

    /// Every index of this test that has an alias, with its aliases.
    pub(crate) async fn aliases(&self) -> Value {
        let mut found = self.get("_alias/{}*").await;
        let indices = found.as_object_mut().unwrap().iter_mut();
        indices.map(|(index, found)| (index.clone(), found["aliases"].take())).collect()
    }

    /// The same, if one index has both.
    pub(crate) fn both_on(&self, index: &str) -> Value {
        let write = format!("{}-write", self.alias);
        json!({ index: { self.alias.as_str(): {}, write: { "is_write_index": true } } })
    }

    /// Takes everything of this test off the server; what a failed test leaves helps to find out why.
    pub(crate) async fn remove(self) {
        for n in 1..=GENERATIONS_MAX {
            self.ask(Method::Delete, &format!("{{}}-g{n}?ignore_unavailable=true"), None).await;
        }
        // Not every test has a stream.
        for stream in [&self.stream, &self.metric_stream] {
            for name in [
                "_data_stream/*",
                "_index_template/*",
                "_component_template/*-settings",
                "_component_template/*-mappings",
                "_component_template/*@custom",
            ] {
                self.ask(Method::Delete, &name.replace('*', stream), None).await;
            }
        }
        for path in [
            "_index_template/{}",
            "_component_template/{}-settings",
            "_component_template/{}-mappings",
            "_component_template/{}@custom",
        ] {
            // Not every test made all of them.
            self.ask(Method::Delete, path, None).await;
        }
    }
}
