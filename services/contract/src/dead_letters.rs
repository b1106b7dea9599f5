//! Cases for [`ports::DeadLetters`], and for dead letters that are committed with their offset.

use bytes::Bytes;
use events::{Digest, OrderId};
use ports::{
    Commit, CommitError, Consumer, DeadLetter, DeadLetterReason, DeadLetters, Epoch,
    HistoryOutcome, LetterFilter, LetterKey, LetterStatus, LogRecord, Offset, OrderStore,
    Partition, PartitionCommit, Place, Position, Progress, Refold,
};
use testkit::sample::{at, captured, order_id, placed, preparation_started};

use crate::order_store::{batch, batch_after, in_epoch, place};

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
                an_order_is_parked_until_someone_decides,
                letters_are_listed_in_pages,
                what_is_wanted_is_written_down,
                others_letters_are_settled,
                a_refold_takes_the_place_of_what_was_parked,
                what_was_read_before_a_refold_is_not_committed_after_it,
                what_a_refold_took_back_is_announced_by_no_one_who_did_not_see_it,
            ]
        );
    };
}

/// A dead letter of a record of the first partition, still to be decided on.
#[must_use]
pub fn letter(consumer: Consumer, offset: i64) -> DeadLetter {
    DeadLetter {
        consumer,
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
        parks: None,
        status: LetterStatus::Open,
    }
}

pub(crate) fn commit(expected: i64, next: i64, dead_letters: Vec<DeadLetter>) -> Commit {
    Commit {
        partitions: vec![PartitionCommit {
            partition: Partition(0),
            expected: place(expected),
            next: Offset(next),
            announced: Offset::START,
            digest: Digest::ZERO,
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
    let mut unsettled = store.unsettled().await.unwrap();
    unsettled.sort_unstable_by_key(|(consumer, _)| consumer.name());
    assert_eq!(unsettled, [(Consumer::Mailer, 1), (Consumer::Search, 3)]);
    store.decide(letter(Consumer::Mailer, 3).key(), LetterStatus::Discarded).await.unwrap();
    assert_eq!(store.unsettled().await.unwrap(), [(Consumer::Search, 3)]);
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
    store.keep(&[elsewhere, letter(Consumer::Search, 4)]).await.unwrap();
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

fn parking(offset: i64, order: OrderId) -> DeadLetter {
    DeadLetter { parks: Some(order), ..letter(Consumer::Projector, offset) }
}

async fn parked(store: &dyn DeadLetters) -> Vec<OrderId> {
    let mut parked = store.parked(&[1, 2, 3].map(order_id)).await.unwrap();
    parked.sort_unstable();
    parked
}

/// By any of its letters; what is wanted changes nothing before it is done.
pub async fn an_order_is_parked_until_someone_decides(store: &dyn DeadLetters) {
    assert_eq!(parked(store).await, []);
    let (first, second) = (parking(1, order_id(1)), parking(2, order_id(1)));
    let letters = [first.clone(), second.clone(), parking(3, order_id(2)), parking(4, order_id(9))];
    store.keep(&letters).await.unwrap();
    assert_eq!(parked(store).await, [order_id(1), order_id(2)]);
    store.decide(first.key(), LetterStatus::Discarded).await.unwrap();
    store.decide(second.key(), LetterStatus::Retry).await.unwrap();
    assert_eq!(parked(store).await, [order_id(1), order_id(2)]);
    store.decide(second.key(), LetterStatus::Discarded).await.unwrap();
    assert_eq!(parked(store).await, [order_id(2)]);
    assert_eq!(store.parked(&[]).await.unwrap(), []);
}

/// In one order, by what is asked for.
pub async fn letters_are_listed_in_pages(store: &dyn DeadLetters) {
    let letters = [
        letter(Consumer::Mailer, 5),
        parking(2, order_id(1)),
        parking(10, order_id(2)),
        letter(Consumer::Search, 1),
    ];
    store.keep(&letters).await.unwrap();
    store.decide(letters[2].key(), LetterStatus::Discard).await.unwrap();
    let all = LetterFilter::default();
    let first = store.letters(&all, None, 3).await.unwrap();
    let wanted = DeadLetter { status: LetterStatus::Discard, ..letters[2].clone() };
    assert_eq!(first, [letters[0].clone(), letters[1].clone(), wanted.clone()]);
    let rest = store.letters(&all, Some(first[2].key()), 3).await.unwrap();
    assert_eq!(rest, [letters[3].clone()]);

    let found = async |filter: LetterFilter| store.letters(&filter, None, 9).await.unwrap();
    let of_mailer = LetterFilter { consumer: Some(Consumer::Mailer), ..all.clone() };
    assert_eq!(found(of_mailer).await, [letters[0].clone()]);
    let of_order = LetterFilter { order: Some(order_id(1)), ..all.clone() };
    assert_eq!(found(of_order).await, [letters[1].clone()]);
    let statuses = vec![LetterStatus::Discard, LetterStatus::Retry];
    assert_eq!(found(LetterFilter { statuses, ..all }).await, [wanted]);
}

/// Until it is done; what is discarded stays so.
pub async fn what_is_wanted_is_written_down(store: &dyn DeadLetters) {
    let kept = parking(1, order_id(1));
    store.keep(std::slice::from_ref(&kept)).await.unwrap();
    let decide = async |wanted| store.decide(kept.key(), wanted).await.unwrap();
    assert_eq!(decide(LetterStatus::Retry).await, Some(LetterStatus::Retry));
    let reason = DeadLetterReason::UnknownType;
    store.unreadable(kept.key(), reason, "still not").await.unwrap();
    let found = store.letters(&LetterFilter::default(), None, 2).await.unwrap();
    assert_eq!(found, [DeadLetter { reason, detail: "still not".to_owned(), ..kept.clone() }]);
    assert_eq!(decide(LetterStatus::Discard).await, Some(LetterStatus::Discard));
    assert_eq!(decide(LetterStatus::Open).await, Some(LetterStatus::Open));
    assert_eq!(decide(LetterStatus::Discarded).await, Some(LetterStatus::Discarded));
    assert_eq!(decide(LetterStatus::Retry).await, Some(LetterStatus::Discarded));
    let position = Position { partition: Partition(0), offset: Offset(9) };
    let unknown = LetterKey { consumer: Consumer::Projector, position };
    assert_eq!(store.decide(unknown, LetterStatus::Retry).await.unwrap(), None);
}

/// The projector's are the account of their records: they stay.
pub async fn others_letters_are_settled(store: &dyn DeadLetters) {
    let letters = [letter(Consumer::Search, 1), letter(Consumer::Projector, 1)];
    store.keep(&letters).await.unwrap();
    for letter in &letters {
        store.settled(letter.key()).await.unwrap();
    }
    assert_eq!(store.letters(&LetterFilter::default(), None, 9).await.unwrap(), letters[1..]);
}

/// With what its letter became, and with the changes to announce anew, or not at all.
pub async fn a_refold_takes_the_place_of_what_was_parked<S: OrderStore + DeadLetters>(store: &S) {
    store.bind_partitions(1).await.unwrap();
    let order = order_id(1);
    let before = [placed(order)];
    store.commit(&batch(0, 0, &before)).await.unwrap();
    let mut waiting = commit(1, 3, vec![parking(1, order)]);
    let good = batch_after(&before, 0, 2, &[captured(order)]);
    let outcome = HistoryOutcome::Parked { state: Some(events::State::Placed) };
    waiting.history = good.history.clone();
    waiting.history[0].outcome = outcome;
    waiting.history[0].version = 1;
    waiting.partitions[0].announced = Offset(3);
    store.commit(&waiting).await.unwrap();
    assert_eq!(store.history(order).await.unwrap()[1].outcome, outcome);

    let (letter, history) = (parking(1, order).record.position, good.history.clone());
    let refolds = vec![Refold { letter, readable: false, history }];
    let refold = Commit { snapshots: good.snapshots.clone(), refolds, ..commit(3, 3, Vec::new()) };
    let late = Commit { partitions: commit(2, 2, Vec::new()).partitions, ..refold.clone() };
    assert!(matches!(store.commit(&late).await, Err(CommitError::Fenced { .. })));
    assert_eq!(store.history(order).await.unwrap()[1].outcome, outcome);

    store.commit(&refold).await.unwrap();
    assert_eq!(store.history(order).await.unwrap()[1..], good.history);
    assert_eq!(store.load(&[order]).await.unwrap()[0].bytes, good.snapshots[0].bytes);
    assert_eq!(parked(store).await, []);
    let progress = store.progress(&[]).await.unwrap()[0];
    assert_eq!((progress.next, progress.announced), (Offset(3), Offset(1)));
    let kept = store.letters(&LetterFilter::default(), None, 9).await.unwrap();
    assert_eq!(kept[0].status, LetterStatus::Discarded);

    // Of one that can be read by now, the row is the account.
    let refolds = vec![Refold { letter, readable: true, history: Vec::new() }];
    store.commit(&in_epoch(1, Commit { refolds, ..commit(3, 3, Vec::new()) })).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 0);
}

/// An order of which the second record can't be read, and the third waits; and the refold of a decision to go on without.
async fn parked_order<S: OrderStore + DeadLetters>(store: &S, order: OrderId) -> Commit {
    store.bind_partitions(1).await.unwrap();
    let before = [placed(order)];
    store.commit(&batch(0, 0, &before)).await.unwrap();
    let mut waiting = commit(1, 3, vec![parking(1, order)]);
    let good = batch_after(&before, 0, 2, &[captured(order)]);
    waiting.history = good.history.clone();
    waiting.history[0].outcome = HistoryOutcome::Parked { state: Some(events::State::Placed) };
    waiting.partitions[0].announced = Offset(3);
    store.commit(&waiting).await.unwrap();
    let letter = parking(1, order).record.position;
    let refolds = vec![Refold { letter, readable: false, history: good.history }];
    Commit { snapshots: good.snapshots, refolds, ..commit(3, 3, Vec::new()) }
}

/// The offset is the same before and after: neither a batch nor another refold may undo what was decided (promises 4, 10).
pub async fn what_was_read_before_a_refold_is_not_committed_after_it<S>(store: &S)
where
    S: OrderStore + DeadLetters,
{
    let order = order_id(1);
    let refold = parked_order(store, order).await;
    let history = [placed(order), captured(order)];
    let next = batch_after(&history, 0, 3, &[preparation_started(order)]);
    let mut parked = next.clone();
    parked.snapshots.clear();
    parked.history[0].outcome = HistoryOutcome::Parked { state: Some(events::State::Placed) };
    store.commit(&refold).await.unwrap();
    let stands = store.progress(&[]).await.unwrap()[0];
    assert_eq!(stands.place(), Place { next: Offset(3), epoch: Epoch::FIRST.next() });

    let rows = store.history(order).await.unwrap();
    for late in [&parked, &next, &refold] {
        match store.commit(late).await {
            Err(CommitError::Fenced { partition, expected, found }) => {
                assert_eq!((partition, expected), (Partition(0), place(3)));
                assert_eq!(found, stands.place());
            }
            other => panic!("was read before the refold, and must be fenced, not {other:?}"),
        }
    }
    assert_eq!(store.history(order).await.unwrap(), rows);
    assert_eq!(store.progress(&[]).await.unwrap(), [stands]);
    store.commit(&in_epoch(1, next)).await.unwrap();
    assert_eq!(store.history(order).await.unwrap().len(), 3);
}

/// A crash in between would lose what the refold has to tell (promise 5).
pub async fn what_a_refold_took_back_is_announced_by_no_one_who_did_not_see_it<S>(store: &S)
where
    S: OrderStore + DeadLetters,
{
    let refold = parked_order(store, order_id(1)).await;
    let before = store.progress(&[]).await.unwrap()[0];
    store.commit(&refold).await.unwrap();
    let late = store.announced(Progress { announced: Offset(3), ..before }).await;
    assert!(matches!(late, Err(CommitError::Fenced { .. })), "{late:?}");
    let mut late = commit(3, 4, Vec::new());
    late.partitions[0].announced = Offset(3);
    assert!(matches!(store.commit(&late).await, Err(CommitError::Fenced { .. })));
    let stands = store.progress(&[]).await.unwrap()[0];
    assert_eq!((stands.next, stands.announced), (Offset(3), Offset(1)));

    store.announced(Progress { announced: Offset(2), ..stands }).await.unwrap();
    assert_eq!(store.progress(&[]).await.unwrap()[0].announced, Offset(2));
}
