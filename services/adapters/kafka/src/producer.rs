//! The one producer of a process: idempotent, with a bounded queue, replaced when librdkafka gives it up.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ports::{Ack, AppendError, LogError, NewRecord, Partition, Topic};
use rdkafka::{
    ClientConfig,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, Producer as _, ThreadedProducer},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    delivery::{Deliveries, Pending},
    error::{lock, undelivered, unfit_settings},
    options::RECORD_BYTES_MAX,
};

/// A native producer; clones share it.
pub(crate) type Native = ThreadedProducer<Deliveries>;

type Record<'a> = BaseRecord<'a, [u8], [u8], Box<Pending>>;

/// Takes records for all topics.
pub(crate) struct Producer {
    config: ClientConfig,
    /// Appending reads it, so that replacing the producer never overtakes an append in the middle.
    line: RwLock<Line>,
    /// What earlier flushes, if they were given up, did not see the end of.
    flushing: tokio::sync::Mutex<Vec<CancellationToken>>,
    /// Closes the producer that was replaced last.
    closing: Mutex<Option<JoinHandle<()>>>,
}

struct Line {
    native: Native,
    started: Instant,
    /// Held by every record queued since the last flush; `settled` is cancelled when the last of them is settled.
    under_way: Arc<DropGuard>,
    settled: CancellationToken,
}

impl Producer {
    /// A producer that failed for good is not replaced before it had this long: what felled it may fell the next.
    const REPLACED_AFTER: Duration = Duration::from_secs(1);

    /// Starts a producer; brokers need not be there yet.
    pub(crate) fn new(config: ClientConfig) -> Result<Self, LogError> {
        let native = start(&config).map_err(|error| unfit_settings(&error))?;
        let (under_way, settled) = epoch();
        let line = Line { native, started: Instant::now(), under_way, settled };
        Ok(Self {
            config,
            line: RwLock::new(line),
            flushing: tokio::sync::Mutex::default(),
            closing: Mutex::default(),
        })
    }

    /// Queues a record for `topic`, called `name` on this cluster; never blocks. Without a partition the key decides.
    pub(crate) fn append(
        &self,
        topic: Topic,
        name: &str,
        partition: Option<Partition>,
        record: &NewRecord,
    ) -> Result<Ack, AppendError> {
        let size = size(record);
        if size > RECORD_BYTES_MAX {
            return Err(AppendError::TooLarge { size, max: RECORD_BYTES_MAX });
        }
        let line = self.line();
        let (pending, ack) = Pending::new(topic, size, Arc::clone(&line.under_way));
        let mut unsent = BaseRecord::with_opaque_to(name, pending)
            .key(record.key.as_ref())
            .payload(record.value.as_ref());
        unsent.partition = partition.and_then(|partition| i32::try_from(partition.0).ok());
        unsent.headers = headers(record);
        let Err((mut error, unsent)) = line.native.send(unsent) else { return Ok(ack) };
        drop(line);
        if is_fatal(&error) {
            match self.send_on_new(unsent) {
                Ok(()) => return Ok(ack),
                Err(still) => error = still,
            }
        }
        match undelivered(&error, size) {
            refused @ (AppendError::QueueFull | AppendError::TooLarge { .. }) => {
                metrics::counter!("order_ledger_log_append_refusals_total", "topic" => topic.name())
                    .increment(1);
                Err(refused)
            }
            lost => Ok(Box::pin(std::future::ready(Err(lost)))),
        }
    }

    /// Waits until every record queued so far is settled.
    pub(crate) async fn flush(&self) {
        let mut unsettled = self.flushing.lock().await;
        let (under_way, settled) = epoch();
        {
            let mut line = self.line.write().unwrap_or_else(PoisonError::into_inner);
            line.under_way = under_way;
            unsettled.push(std::mem::replace(&mut line.settled, settled));
        }
        for settled in unsettled.iter() {
            settled.cancelled().await;
        }
        unsettled.clear();
    }

    /// The native producer of now, for questions about the cluster.
    pub(crate) fn native(&self) -> Native {
        self.line().native.clone()
    }

    fn line(&self) -> RwLockReadGuard<'_, Line> {
        self.line.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn send_on_new(&self, unsent: Record<'_>) -> KafkaResult<()> {
        self.replace()?;
        self.line().native.send(unsent).map_err(|(error, _)| error)
    }

    /// Replaces a producer that failed for good. What it still held fails with it: each record's caller is told that
    /// the record may or may not be in the log.
    fn replace(&self) -> KafkaResult<()> {
        let mut line = self.line.write().unwrap_or_else(PoisonError::into_inner);
        let Some((code, reason)) = line.native.client().fatal_error() else {
            // Another append was faster.
            return Ok(());
        };
        if line.started.elapsed() < Self::REPLACED_AFTER {
            return Err(KafkaError::MessageProduction(code));
        }
        let fresh = start(&self.config)?;
        let failed = std::mem::replace(&mut line.native, fresh);
        line.started = Instant::now();
        drop(line);
        tracing::error!(%code, reason, "the producer failed for good and was replaced; what it held must be appended again");
        metrics::counter!("order_ledger_log_producers_replaced_total").increment(1);
        // Closing takes a moment, which appending must not wait for.
        match thread::Builder::new().name("kafka-closing".to_owned()).spawn(move || drop(failed)) {
            Ok(closing) => *lock(&self.closing) = Some(closing),
            Err(error) => tracing::error!(%error, "no thread to close the failed producer on"),
        }
        Ok(())
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if let Some(closing) = lock(&self.closing).take() {
            // It only drops; should that have panicked, there is nothing left to close.
            _ = closing.join();
        }
    }
}

fn start(config: &ClientConfig) -> KafkaResult<Native> {
    config.create_with_context(Deliveries::new())
}

fn epoch() -> (Arc<DropGuard>, CancellationToken) {
    let settled = CancellationToken::new();
    (Arc::new(settled.clone().drop_guard()), settled)
}

fn is_fatal(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal)
}

fn size(record: &NewRecord) -> usize {
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    record.key.len() + record.value.len() + headers
}

fn headers(record: &NewRecord) -> Option<OwnedHeaders> {
    if record.headers.is_empty() {
        return None;
    }
    let none = OwnedHeaders::new_with_capacity(record.headers.len());
    Some(record.headers.iter().fold(none, |headers, (name, value)| {
        headers.insert(Header { key: name, value: Some(value.as_ref()) })
    }))
}
