//! Cases for [`ports::DeadLetters`], and for dead letters that are committed with their offset.

use bytes::Bytes;
use ports::{
    Commit, CommitError, Consumer, DeadLetter, DeadLetterReason, DeadLetters, LogRecord, Offset,
    OrderStore, Partition, PartitionCommit, Position, Topic,
};
use testkit::sample::at;

/// Makes a test of every case; `$with` hands each a fresh, prepared store that is [`ports::DeadLetters`] and
/// [`ports::OrderStore`].
#[macro_export]
macro_rules! dead_letters {
    ($with:path) => {
        $crate::cases!(
            $with,
            dead_letters,
            [
                letters_are_kept_once,
                every_consumer_and_reason_is_kept,
                what_the_projector_could_not_fold_is_read_in_log_order,
                any_bytes_are_kept,
                a_commit_keeps_its_dead_letters,
                a_fenced_commit_keeps_none,
            ]
        );
    };
}

pub(crate) fn letter(consumer: Consumer, offset: i64) -> DeadLetter {
    DeadLetter {
        consumer,
        topic: Topic::Events,
        record: LogRecord {
            position: Position { partition: Partition(0), offset: Offset(offset) },
            appended_at: Some(at(0)),
            key: Some(Bytes::from_static(b"key")),
            value: Some(Bytes::from_static(b"value")),
            headers: vec![("ce_id".to_owned(), Bytes::from_static(b"1"))],
        },
        reason: DeadLetterReason::Undecodable,
        detail: "is not a valid message".to_owned(),
        at: at(1),
    }
}

pub(crate) fn commit(expected: i64, next: i64, dead_letters: Vec<DeadLetter>) -> Commit {
    Commit {
        partitions: vec![PartitionCommit {
            partition: Partition(0),
            expected: Offset(expected),
            next: Offset(next),
            announced: Offset::START,
        }],
        dead_letters,
        ..Commit::default()
    }
}

/// By consumer and position.
pub async fn letters_are_kept_once(store: &dyn DeadLetters) {
    assert_eq!(store.count().await.unwrap(), 0);
    store.keep(&[]).await.unwrap();
    store.keep(&[letter(Consumer::Search, 1), letter(Consumer::Search, 2)]).await.unwrap();
    let again = DeadLetter { detail: "again".to_owned(), ..letter(Consumer::Search, 2) };
    store.keep(&[again.clone(), letter(Consumer::Search, 3), again]).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 3);
    store.keep(&[letter(Consumer::Mailer, 3)]).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 4);
}

/// No name is too much for the store.
pub async fn every_consumer_and_reason_is_kept(store: &dyn DeadLetters) {
    let consumers = [Consumer::Projector, Consumer::Search, Consumer::Mailer, Consumer::Fulfilment];
    let reasons = [
        DeadLetterReason::NoValue,
        DeadLetterReason::Undecodable,
        DeadLetterReason::UnknownType,
        DeadLetterReason::ForeignKey,
        DeadLetterReason::WrongPartition,
        DeadLetterReason::Refused,
    ];
    for consumer in consumers {
        let letters: Vec<_> = (0..)
            .zip(reasons)
            .map(|(offset, reason)| DeadLetter { reason, ..letter(consumer, offset) })
            .collect();
        store.keep(&letters).await.unwrap();
    }
    assert_eq!(store.count().await.unwrap(), 24);
}

/// Not those of others, nor of other partitions.
pub async fn what_the_projector_could_not_fold_is_read_in_log_order(store: &dyn DeadLetters) {
    let of_projector = |offset| letter(Consumer::Projector, offset);
    let mut elsewhere = of_projector(4);
    elsewhere.record.position.partition = Partition(1);
    let others = [
        elsewhere,
        letter(Consumer::Search, 4),
        DeadLetter { topic: Topic::StateChanged, ..of_projector(4) },
    ];
    store.keep(&others).await.unwrap();
    store
        .keep(&[of_projector(5), of_projector(3), of_projector(9), of_projector(2)])
        .await
        .unwrap();
    let read = async |from, until, limit| {
        store.unfolded(Partition(0), Offset(from), Offset(until), limit).await.unwrap()
    };
    assert_eq!(read(3, 9, 9).await, [of_projector(3), of_projector(5)]);
    assert_eq!(read(0, 10, 2).await, [of_projector(2), of_projector(3)]);
    assert_eq!(read(6, 9, 9).await, []);
}

/// A record that can't be read can hold anything or nothing, and so can the words about it.
pub async fn any_bytes_are_kept(store: &dyn DeadLetters) {
    let mut empty = letter(Consumer::Projector, 1);
    empty.record = LogRecord {
        appended_at: None,
        key: None,
        value: None,
        headers: Vec::new(),
        ..empty.record
    };
    let mut odd = letter(Consumer::Projector, 2);
    odd.record.key = Some(Bytes::new());
    odd.record.value = Some(Bytes::from((0..=u8::MAX).collect::<Vec<_>>()));
    odd.record.headers = vec![
        (String::new(), Bytes::new()),
        ("a\0b".to_owned(), Bytes::from_static(&[0, 255])),
        ("a\0b".to_owned(), Bytes::from_static(b"again")),
    ];
    odd.detail = "unexpected \0 and '🦤'".to_owned();
    let letters = [empty, odd];
    store.keep(&letters).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 2);
    let mut kept = store.unfolded(Partition(0), Offset(1), Offset(3), 9).await.unwrap();
    let details: Vec<_> =
        kept.iter_mut().map(|letter| std::mem::take(&mut letter.detail)).collect();
    let words = ["is not a valid message", "unexpected \u{2400} and '🦤'"];
    // A store whose text can't hold a zero shows it instead.
    assert!(details[0] == words[0] && details[1].replace('\0', "\u{2400}") == words[1]);
    let expected = letters.map(|letter| DeadLetter { detail: String::new(), ..letter });
    assert_eq!(kept, expected, "to the byte");
}

/// In the transaction of their offset (promise 10).
pub async fn a_commit_keeps_its_dead_letters<S: OrderStore + DeadLetters>(store: &S) {
    store.bind_partitions(1).await.unwrap();
    let letters = vec![letter(Consumer::Projector, 0), letter(Consumer::Projector, 1)];
    store.commit(&commit(0, 2, letters.clone())).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 2);
    store.keep(&letters).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 2);
}

/// All or nothing.
pub async fn a_fenced_commit_keeps_none<S: OrderStore + DeadLetters>(store: &S) {
    store.bind_partitions(1).await.unwrap();
    let fenced = store.commit(&commit(1, 2, vec![letter(Consumer::Projector, 1)])).await;
    assert!(matches!(fenced, Err(CommitError::Fenced { .. })), "{fenced:?}");
    assert_eq!(store.count().await.unwrap(), 0);
}
