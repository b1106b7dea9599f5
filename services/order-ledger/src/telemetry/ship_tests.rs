use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ports::Partition;
use serde_json::Value;
use testkit::sample::at;

use super::{
    super::{lag::Lag, seen::Waiting},
    *,
};

/// How a stream behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Works,
    IsAway,
    CanNot,
    HangsAfterTaking,
}

/// A stream in memory. Like a real one it keeps one document an id.
#[derive(Debug)]
struct Kept {
    mood: Mutex<Mood>,
    documents: Mutex<Vec<MetricDocument>>,
}

impl Kept {
    fn new(mood: Mood) -> Arc<Self> {
        Arc::new(Self { mood: Mutex::new(mood), documents: Mutex::default() })
    }

    fn becomes(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn documents(&self) -> Vec<MetricDocument> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many placings are told of.
    fn placed(&self) -> u64 {
        let count = |document: &MetricDocument| match document.of {
            MetricOf::Latency { count, .. } => count,
            _ => 0,
        };
        self.documents().iter().map(count).sum()
    }
}

#[async_trait]
impl MetricStream for Kept {
    async fn prepare(&self) -> Result<(), SearchError> {
        match *self.mood.lock().unwrap() {
            Mood::Works | Mood::HangsAfterTaking => Ok(()),
            Mood::IsAway => Err(SearchError::Unavailable("away".to_owned())),
            Mood::CanNot => Err(SearchError::Unfit("no histograms".to_owned())),
        }
    }

    async fn append(&self, documents: &[MetricDocument]) -> Result<Vec<IndexOutcome>, SearchError> {
        self.prepare().await?;
        let outcomes = {
            let mut kept = self.documents.lock().unwrap();
            let mut append = |document: &MetricDocument| {
                if kept.iter().any(|other| other.id() == document.id()) {
                    return IndexOutcome::Stale;
                }
                kept.push(document.clone());
                IndexOutcome::Indexed
            };
            documents.iter().map(&mut append).collect()
        };
        if *self.mood.lock().unwrap() == Mood::HangsAfterTaking {
            std::future::pending::<()>().await;
        }
        Ok(outcomes)
    }

    async fn kept(&self, _: &str) -> Result<Vec<Value>, SearchError> {
        Ok(self.documents().iter().map(|document| serde_json::json!(document)).collect())
    }
}

/// Goes with the test's time.
struct Ticking(Instant);

impl Clock for Ticking {
    fn now(&self) -> DateTime<Utc> {
        at(0) + TimeDelta::from_std(self.0.elapsed()).unwrap()
    }
}

const EVERY: Duration = Duration::from_secs(10);

struct Running {
    measures: Measures,
    seen: Seen,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn start(stream: &Arc<Kept>) -> Running {
    let (measures, seen, stop) = (Measures::on(), Seen::default(), CancellationToken::new());
    let clock = Arc::new(Ticking(Instant::now()));
    let stream: Arc<dyn MetricStream> = stream.clone();
    let shipping = Shipping::new(stream, clock, measures.clone(), seen.clone(), EVERY);
    let task = tokio::spawn(shipping.run(stop.clone()));
    Running { measures, seen, stop, task }
}

impl Running {
    fn place(&self) {
        self.measures.placing(None).ends(&Ok::<_, ()>(()));
    }

    /// Lets that many intervals pass, a moment after each.
    async fn intervals(&self, count: u32) {
        sleep(EVERY * count + Duration::from_millis(1)).await;
    }

    async fn ends(self) -> Duration {
        let began = Instant::now();
        self.stop.cancel();
        self.task.await.unwrap();
        began.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn each_interval_is_shipped_and_the_last_one_too() {
    let stream = Kept::new(Mood::Works);
    let running = start(&stream);
    running.place();
    running.place();
    running.intervals(1).await;
    assert_eq!(stream.placed(), 2);
    running.place();
    running.intervals(1).await;
    assert_eq!((stream.placed(), stream.documents().len()), (3, 2));
    running.intervals(5).await;
    assert_eq!(stream.documents().len(), 2, "nothing happened, nothing is told");
    running.place();
    running.ends().await;
    assert_eq!(stream.placed(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_the_stores_is_told_once_and_no_mail_is_lost() {
    let stream = Kept::new(Mood::Works);
    let running = start(&stream);
    running.measures.mail(ports::Measured::Success);
    // Nobody has looked into the store yet: the mail waits for that.
    running.intervals(1).await;
    assert!(stream.documents().is_empty());
    running.measures.mail(ports::Measured::Success);
    running.measures.mail(ports::Measured::Failure);
    let waiting = Waiting { dead_letters_open: 3, mails_pending: Some(7) };
    running.seen.waiting(Consumer::Mailer, waiting);
    running.seen.lag(Partition(2), Lag { records: 40, seconds: 1.5 });
    running.intervals(1).await;
    let mut told: Vec<_> = stream.documents().into_iter().map(|document| document.of).collect();
    told.sort_by_key(|of| matches!(of, MetricOf::Waiting { .. }));
    let mails = MailFields { mails_pending: 7, mails_failed: 1, mails_sent: 2 };
    let expected = [
        MetricOf::Lag { partition: 2, lag_records: 40, lag_seconds: 1.5 },
        MetricOf::Waiting { consumer: "mailer", dead_letters_open: 3, mails: Some(mails) },
    ];
    assert_eq!(told, expected);
    running.intervals(1).await;
    assert_eq!(stream.documents().len(), 2);
    running.measures.mail(ports::Measured::Success);
    running.ends().await;
    let mails = MailFields { mails_pending: 7, mails_failed: 0, mails_sent: 1 };
    let of = MetricOf::Waiting { consumer: "mailer", dead_letters_open: 3, mails: Some(mails) };
    assert_eq!(stream.documents().last().unwrap().of, of);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_away_gets_the_last_few_intervals() {
    let stream = Kept::new(Mood::IsAway);
    let running = start(&stream);
    for _ in 0..20 {
        running.place();
        running.intervals(1).await;
    }
    assert_eq!(stream.placed(), 0);
    stream.becomes(Mood::Works);
    running.place();
    running.intervals(1).await;
    assert_eq!(stream.placed(), u64::try_from(WAITING_MAX).unwrap());
    assert!(running.measures.is_on());
    running.ends().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_without_an_answer_is_there_once() {
    let stream = Kept::new(Mood::HangsAfterTaking);
    let running = start(&stream);
    running.place();
    running.intervals(1).await;
    assert_eq!(stream.placed(), 1);
    stream.becomes(Mood::Works);
    running.place();
    running.intervals(3).await;
    assert_eq!((stream.placed(), stream.documents().len()), (2, 2));
    running.ends().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_can_not_take_metrics_turns_them_off() {
    let stream = Kept::new(Mood::CanNot);
    let running = start(&stream);
    running.place();
    running.intervals(1).await;
    assert!(!running.measures.is_on());
    assert_eq!(running.ends().await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_a_stream_that_does_not_answer_for_a_moment_only() {
    let stream = Kept::new(Mood::HangsAfterTaking);
    let running = start(&stream);
    running.place();
    running.intervals(1).await;
    running.place();
    // The round under way, and the last.
    assert!(running.ends().await <= 2 * LAST_MAX);
}

/// It is made again by the next start of any process, but this one must not stop measuring.
#[tokio::test(start_paused = true)]
async fn a_stream_that_was_removed_is_prepared_again() {
    let stream = Kept::new(Mood::Works);
    let running = start(&stream);
    running.place();
    running.intervals(1).await;
    // Refused once while it writes, and then when it prepares: that is final.
    stream.becomes(Mood::CanNot);
    running.place();
    running.intervals(1).await;
    assert!(running.measures.is_on());
    stream.becomes(Mood::Works);
    running.intervals(1).await;
    assert_eq!(stream.placed(), 2);
    running.ends().await;
}
