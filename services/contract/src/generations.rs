//! Cases for [`ports::Generations`].

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use events::{Digest, Event};
use futures::future::join_all;
use ports::{
    Commit, CommitError, Consumer, DeadLetters, GenerationStore, Generations, LetterFilter,
    LetterStatus, NewGeneration, Offset, OrderStore, Partition, PartitionCommit, Progress, Stage,
    StoredSnapshot, Wanted,
};
use testkit::{
    sample::{at, cancelled, captured, order_id, placed},
    wait_for,
};

use crate::{
    dead_letters::letter,
    order_store::{batch, batch_after, in_epoch, place},
};

/// Makes a test of every case; `$with` hands each a fresh, prepared store that is [`ports::Generations`],
/// [`ports::OrderStore`] and [`ports::DeadLetters`].
#[macro_export]
macro_rules! generations {
    ($with:path) => {
        $crate::cases!(
            $with,
            generations,
            [
                the_first_one_is_live,
                one_is_loaded_beside_the_live_one,
                a_cut_puts_the_new_one_in_the_place_of_the_old,
                the_retired_one_comes_back,
                a_cut_below_the_live_one_changes_nothing,
                one_that_has_read_on_may_take_the_place,
                projectors_wait_for_a_cut_and_go_on,
                readers_see_the_one_or_the_other_and_no_error,
                what_was_decided_meanwhile_holds_in_the_new_one,
                one_process_has_the_lease,
                a_replay_reports_and_hears_what_is_wanted,
                what_is_removed_is_gone,
            ]
        );
    };
}

fn new(kept: bool) -> NewGeneration {
    NewGeneration { partitions: 2, kept, created_at: at(1) }
}

/// Two orders; what a replay of the same records makes of them, if it forgets about the second.
fn live_events() -> [Event; 3] {
    [placed(order_id(1)), placed(order_id(2)), captured(order_id(1))]
}

async fn loaded<S: OrderStore + Generations>(
    store: &S,
    rows: Commit,
    next: i64,
) -> (u32, Box<dyn GenerationStore>) {
    let number = store.create(new(false)).await.unwrap();
    let beside = store.open(number).await.unwrap();
    beside.load_rows(&Commit { partitions: Vec::new(), ..rows }).await.unwrap();
    beside.finish_loading().await.unwrap();
    let partition = Partition(0);
    let (expected, next, announced) = (place(0), Offset(next), Offset::START);
    let digest = Digest::of(b"loaded");
    let step = PartitionCommit { partition, expected, next, announced, digest };
    beside.commit(&Commit { partitions: vec![step], ..Commit::default() }).await.unwrap();
    store.loaded(number).await.unwrap();
    (number, beside)
}

async fn stages<S: Generations>(store: &S) -> Vec<(u32, Stage)> {
    let all = store.generations().await.unwrap();
    all.iter().map(|generation| (generation.number, generation.stage)).collect()
}

async fn everything<S: OrderStore + ?Sized>(store: &S) -> Vec<StoredSnapshot> {
    store.scan(None, 100).await.unwrap()
}

/// Without anyone's doing.
pub async fn the_first_one_is_live<S: OrderStore + Generations>(store: &S) {
    store.bind_partitions(2).await.unwrap();
    let [only] = &store.generations().await.unwrap()[..] else { panic!("there is one") };
    assert_eq!((only.number, only.stage), (1, Stage::Live));
    assert_eq!(only.fold_version, events::FOLD_VERSION);
    assert_eq!((only.kept, &only.live, only.search_pending), (false, &None, false));
}

/// It has what was loaded, as if it had been committed, and the live one knows nothing of it.
pub async fn one_is_loaded_beside_the_live_one<S: OrderStore + Generations>(store: &S) {
    store.bind_partitions(2).await.unwrap();
    let (number, beside) = loaded(store, batch(0, 0, &live_events()), 3).await;
    assert_eq!(number, 2);
    assert_eq!(stages(store).await, [(1, Stage::Live), (2, Stage::Ready)]);
    assert_eq!(everything(store).await, []);

    store.commit(&batch(0, 0, &live_events())).await.unwrap();
    assert_eq!(everything(beside.as_ref()).await, everything(store).await);
    for order in [order_id(1), order_id(2)] {
        assert_eq!(beside.history(order).await.unwrap(), store.history(order).await.unwrap());
    }
    let listed = beside.list(&ports::OrderFilter::default(), None, 10).await.unwrap();
    assert_eq!(listed.len(), 2);

    // It goes on like any store.
    let history = [placed(order_id(1)), captured(order_id(1))];
    let later = batch_after(&history, 0, 3, &[cancelled(order_id(1))]);
    beside.commit(&later).await.unwrap();
    assert_eq!(beside.progress(&[Partition(0)]).await.unwrap()[0].next, Offset(4));
    assert_eq!(store.progress(&[Partition(0)]).await.unwrap()[0].next, Offset(3));
}

/// Snapshots, history, progress and the projector's dead letters; not what was announced, and no one else's letters.
pub async fn a_cut_puts_the_new_one_in_the_place_of_the_old<S>(store: &S)
where
    S: OrderStore + DeadLetters + Generations,
{
    store.bind_partitions(2).await.unwrap();
    let mut live = batch(0, 0, &live_events());
    live.dead_letters = vec![letter(Consumer::Projector, 7), letter(Consumer::Search, 8)];
    live.partitions[0].announced = Offset(2);
    store.commit(&live).await.unwrap();
    let mut rows = batch(0, 0, &live_events()[..1]);
    rows.dead_letters = vec![letter(Consumer::Projector, 9), letter(Consumer::Projector, 10)];
    let (number, beside) = loaded(store, rows, 3).await;
    let (old, new) = (everything(store).await, everything(beside.as_ref()).await);
    drop(beside);

    let cut = store.begin_cut(number).await.unwrap();
    assert_eq!(cut.live().iter().map(|live| live.next.0).collect::<Vec<_>>(), [3, 0]);
    cut.finish(at(9), true).await.unwrap();

    assert_eq!(everything(store).await, new);
    assert_eq!(store.history(order_id(2)).await.unwrap(), []);
    assert_eq!(store.count().await.unwrap(), 3, "two of the projector, one of search");
    let progress = store.progress(&[Partition(0)]).await.unwrap()[0];
    assert_eq!((progress.next, progress.announced), (Offset(3), Offset(2)));
    assert_eq!(stages(store).await, [(1, Stage::Retired), (number, Stage::Live)]);
    let generation = store.generations().await.unwrap().remove(1);
    let (live_at, offsets) = generation.live.unwrap();
    assert_eq!((live_at, offsets.len(), offsets[0].offset), (at(9), 2, Offset(3)));
    assert!(generation.search_pending);
    store.search_followed(number).await.unwrap();
    assert!(!store.generations().await.unwrap()[1].search_pending);

    let retired = store.open(1).await.unwrap();
    assert_eq!(everything(retired.as_ref()).await, old);
    // The store folds on.
    store.commit(&in_epoch(1, batch(0, 3, &[placed(order_id(3))]))).await.unwrap();
    assert_eq!(everything(store).await.len(), 2);
}

/// Brought to where the live one is, and with what it had.
pub async fn the_retired_one_comes_back<S: OrderStore + DeadLetters + Generations>(store: &S) {
    store.bind_partitions(2).await.unwrap();
    store.commit(&batch(0, 0, &live_events())).await.unwrap();
    let old = everything(store).await;
    let (number, _) = loaded(store, batch(0, 0, &live_events()[..1]), 3).await;
    store.begin_cut(number).await.unwrap().finish(at(9), false).await.unwrap();
    store.commit(&in_epoch(1, batch(0, 3, &[placed(order_id(3))]))).await.unwrap();

    let retired = store.open(1).await.unwrap();
    retired.commit(&batch(0, 3, &[placed(order_id(3))])).await.unwrap();
    drop(retired);
    store.begin_cut(1).await.unwrap().finish(at(10), false).await.unwrap();
    assert_eq!(stages(store).await, [(1, Stage::Live), (number, Stage::Retired)]);
    let live = everything(store).await;
    assert_eq!(live.len(), 3);
    assert!(old.iter().all(|snapshot| live.contains(snapshot)));
    // And again, as often as one likes.
    store.begin_cut(number).await.unwrap().finish(at(11), false).await.unwrap();
    assert_eq!(everything(store).await.len(), 2);
}

/// Not before it has been brought there.
pub async fn a_cut_below_the_live_one_changes_nothing<S>(store: &S)
where
    S: OrderStore + DeadLetters + Generations,
{
    store.bind_partitions(2).await.unwrap();
    store.commit(&batch(0, 0, &live_events())).await.unwrap();
    let (number, _) = loaded(store, batch(0, 0, &live_events()[..1]), 1).await;
    let before = everything(store).await;
    store.begin_cut(number).await.unwrap().finish(at(9), false).await.unwrap_err();
    drop(store.begin_cut(number).await.unwrap());
    assert_eq!(everything(store).await, before);
    assert_eq!(stages(store).await, [(1, Stage::Live), (number, Stage::Ready)]);
    store.commit(&batch(0, 3, &[placed(order_id(3))])).await.unwrap();
}

/// A live one that lags, or that folds no further, gives way to one that has read on.
pub async fn one_that_has_read_on_may_take_the_place<S>(store: &S)
where
    S: OrderStore + DeadLetters + Generations,
{
    store.bind_partitions(2).await.unwrap();
    store.commit(&batch(0, 0, &live_events()[..1])).await.unwrap();
    let (number, _) = loaded(store, batch(0, 0, &live_events()), 3).await;
    store.begin_cut(number).await.unwrap().finish(at(9), false).await.unwrap();
    let generation = store.generations().await.unwrap().remove(1);
    assert_eq!(generation.live.unwrap().1[0].offset, Offset(3));
    let lagging = store.commit(&batch(0, 1, &live_events()[1..])).await;
    assert!(matches!(lagging, Err(CommitError::Fenced { .. })), "{lagging:?}");
}

/// Whatever they had read before, in whichever generation, is not committed to another; what they read anew is.
pub async fn projectors_wait_for_a_cut_and_go_on<S>(store: &S)
where
    S: OrderStore + DeadLetters + Generations,
{
    store.bind_partitions(2).await.unwrap();
    store.commit(&batch(0, 0, &live_events())).await.unwrap();
    let (number, _) = loaded(store, batch(0, 0, &live_events()[..1]), 3).await;
    let next = batch(0, 3, &[placed(order_id(3))]);
    let before = store.progress(&[Partition(0)]).await.unwrap()[0];
    let cut = store.begin_cut(number).await.unwrap();
    let (cut, committed) = tokio::join!(cut.finish(at(9), false), store.commit(&next));
    cut.unwrap();
    assert!(matches!(committed, Err(CommitError::Fenced { .. })), "{committed:?}");
    let told = store.announced(Progress { announced: Offset(3), ..before }).await;
    assert!(matches!(told, Err(CommitError::Fenced { .. })), "{told:?}");
    let anew = store.progress(&[Partition(0)]).await.unwrap()[0];
    assert_eq!((anew.next, anew.announced), (Offset(3), Offset(0)));
    store.commit(&in_epoch(anew.epoch.0, next)).await.unwrap();
    assert_eq!(everything(store).await.len(), 2, "of the new one, and of the commit");

    // Nor when the former one comes back.
    let retired = store.open(1).await.unwrap();
    retired.commit(&batch(0, 3, &[placed(order_id(3))])).await.unwrap();
    drop(retired);
    store.begin_cut(1).await.unwrap().finish(at(10), false).await.unwrap();
    for epoch in [0, anew.epoch.0] {
        let late = in_epoch(epoch, batch(0, 4, &[placed(order_id(4))]));
        let late = store.commit(&late).await;
        assert!(matches!(late, Err(CommitError::Fenced { .. })), "{late:?}");
    }
}

/// Across a cut and back: once one has seen the new one it never sees the old one again.
pub async fn readers_see_the_one_or_the_other_and_no_error<S: OrderStore + Generations>(store: &S) {
    store.bind_partitions(2).await.unwrap();
    store.commit(&batch(0, 0, &live_events())).await.unwrap();
    let old = everything(store).await;
    let (number, beside) = loaded(store, batch(0, 0, &live_events()[..1]), 3).await;
    let new = everything(beside.as_ref()).await;
    drop(beside);
    for (cut_to, before, after) in [(number, &old, &new), (1, &new, &old)] {
        let is_through = AtomicBool::new(false);
        let reader = async || {
            let mut has_seen = false;
            loop {
                let last = is_through.load(Ordering::Relaxed);
                let seen = everything(store).await;
                has_seen |= seen == *after;
                assert_eq!(&seen, if has_seen { after } else { before });
                if last {
                    return has_seen;
                }
            }
        };
        let cut = async {
            store.begin_cut(cut_to).await.unwrap().finish(at(9), false).await.unwrap();
            is_through.store(true, Ordering::Relaxed);
        };
        let (readers, ()) = tokio::join!(join_all((0..3).map(|_| reader())), cut);
        assert_eq!(readers, [true; 3]);
    }
}

/// While it was built. What was discarded is to be discarded there, too: by its projector, as ever.
pub async fn what_was_decided_meanwhile_holds_in_the_new_one<S>(store: &S)
where
    S: OrderStore + DeadLetters + Generations,
{
    store.bind_partitions(2).await.unwrap();
    let letters = [7, 8, 9].map(|offset| letter(Consumer::Projector, offset)).to_vec();
    store.keep(&letters).await.unwrap();
    let of_search = letter(Consumer::Search, 7);
    store.keep(std::slice::from_ref(&of_search)).await.unwrap();
    let rows = Commit { dead_letters: letters.clone(), ..Commit::default() };
    let (number, _) = loaded(store, rows, 0).await;
    store.decide(letters[0].key(), LetterStatus::Discarded).await.unwrap();
    store.decide(letters[1].key(), LetterStatus::Retry).await.unwrap();
    store.decide(of_search.key(), LetterStatus::Retry).await.unwrap();
    store.begin_cut(number).await.unwrap().finish(at(9), false).await.unwrap();
    let found = store.letters(&LetterFilter::default(), None, 9).await.unwrap();
    let found: Vec<_> = found.iter().map(|letter| (letter.consumer, letter.status)).collect();
    assert_eq!(
        found,
        [
            (Consumer::Projector, LetterStatus::Discard),
            (Consumer::Projector, LetterStatus::Retry),
            (Consumer::Projector, LetterStatus::Open),
            (Consumer::Search, LetterStatus::Retry),
        ]
    );
    let page = store.letters(&LetterFilter::default(), Some(letters[1].key()), 1).await.unwrap();
    assert_eq!(page, letters[2..]);
    store.decide(letters[0].key(), LetterStatus::Discarded).await.unwrap();
    let mut unsettled = store.unsettled().await.unwrap();
    unsettled.sort_unstable_by_key(|(consumer, _)| consumer.name());
    assert_eq!(unsettled, [(Consumer::Projector, 2), (Consumer::Search, 1)]);
    assert_eq!(store.count().await.unwrap(), 4);
}

/// Until it lets go of it.
pub async fn one_process_has_the_lease<S: Generations>(store: &S) {
    let lease = store.lease().await.unwrap();
    assert!(lease.is_some());
    assert!(store.lease().await.unwrap().is_none());
    drop(lease);
    let free = async || store.lease().await.unwrap();
    wait_for("the lease to end", Duration::from_secs(60), free).await;
}

/// Between two terminals.
pub async fn a_replay_reports_and_hears_what_is_wanted<S: Generations>(store: &S) {
    let number = store.create(new(true)).await.unwrap();
    assert_eq!(store.report(number, "{\"phase\":1}").await.unwrap(), Wanted::Run);
    store.want(number, Wanted::Pause).await.unwrap();
    assert_eq!(store.report(number, "{\"phase\":2}").await.unwrap(), Wanted::Pause);
    let generation = store.generations().await.unwrap().remove(1);
    assert_eq!(generation.report.as_deref(), Some("{\"phase\":2}"));
    assert_eq!((generation.kept, generation.wanted), (true, Wanted::Pause));
    assert_eq!((generation.stage, generation.created_at), (Stage::Loading, at(1)));
    store.remove(number).await.unwrap();
    assert_eq!(store.report(number, "").await.unwrap(), Wanted::Cancel, "nothing is left to build");
}

/// Whatever stage it was in; the live one stays.
pub async fn what_is_removed_is_gone<S>(store: &S)
where
    S: OrderStore + Generations,
{
    store.bind_partitions(2).await.unwrap();
    let number = store.create(new(false)).await.unwrap();
    store.open(number).await.unwrap().load_rows(&batch(0, 0, &live_events())).await.unwrap();
    store.remove(number).await.unwrap();
    store.remove(1).await.unwrap();
    assert_eq!(stages(store).await, [(1, Stage::Live)]);
    assert_eq!(store.create(new(false)).await.unwrap(), number);
    let fresh = store.open(number).await.unwrap();
    assert_eq!(everything(fresh.as_ref()).await, []);
    assert_eq!(fresh.progress(&[]).await.unwrap().len(), 2);
}
