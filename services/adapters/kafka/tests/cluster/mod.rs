//! A log of its own for each test, on the cluster that all share.

use std::panic::{AssertUnwindSafe, resume_unwind};

use adapter_kafka::{KafkaLog, KafkaOptions};
use contract::event_log::SETTINGS;
use futures::FutureExt as _;
use ports::{EventLog as _, Topic};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use testkit::servers;

/// Options that no other test has.
pub(crate) fn options() -> KafkaOptions {
    let topic_prefix = format!("{}.", servers::unique("kafka"));
    KafkaOptions { brokers: servers::kafka(), topic_prefix, ..KafkaOptions::default() }
}

/// Runs a case on a prepared log; its topics go with it, even if it fails.
pub(crate) async fn on_fresh_log(case: impl AsyncFnOnce(&KafkaLog)) {
    on_log(options(), case).await;
}

/// The same with options of one's own.
pub(crate) async fn on_log(options: KafkaOptions, case: impl AsyncFnOnce(&KafkaLog)) {
    let log = KafkaLog::new(options.clone()).unwrap();
    log.prepare(SETTINGS).await.unwrap();
    let result = AssertUnwindSafe(case(&log)).catch_unwind().await;
    drop(log);
    delete_topics(&options).await;
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

async fn delete_topics(options: &KafkaOptions) {
    let names = Topic::ALL.map(|topic| format!("{}{}", options.topic_prefix, topic.name()));
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    admin(options).delete_topics(&names, &AdminOptions::new()).await.unwrap();
}

/// The cluster's back door.
pub(crate) fn admin(options: &KafkaOptions) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &options.brokers).create().unwrap()
}
