//! Cases for [`ports::AuditStore`].

use ports::{Audit, AuditStore, Commit, Offset, OrderStore, Partition};
use testkit::sample::{captured, order_id, placed};

use crate::{
    dead_letters::{commit, letter},
    order_store::batch,
};

/// Makes a test of every case; `$with` hands each a fresh, prepared store that is [`ports::AuditStore`] and
/// [`ports::OrderStore`].
#[macro_export]
macro_rules! audits {
    ($with:path) => {
        $crate::cases!(
            $with,
            audits,
            [every_partition_is_audited_from_its_start, rows_and_dead_letters_account_for_records]
        );
    };
}

fn audit(partition: u32, next: i64, unaccounted: u64) -> Audit {
    Audit { partition: Partition(partition), next: Offset(next), unaccounted }
}

/// Of two who audit the same, one is counted.
pub async fn every_partition_is_audited_from_its_start<S: OrderStore + AuditStore>(store: &S) {
    assert_eq!(store.audits().await.unwrap(), []);
    store.bind_partitions(2).await.unwrap();
    assert_eq!(store.audits().await.unwrap(), [audit(0, 0, 0), audit(1, 0, 0)]);
    assert!(!store.audited(Offset(5), audit(1, 6, 0)).await.unwrap());
    assert!(store.audited(Offset(0), audit(1, 7, 2)).await.unwrap());
    assert!(!store.audited(Offset(0), audit(1, 9, 3)).await.unwrap());
    assert!(store.audited(Offset(7), audit(1, 8, 3)).await.unwrap());
    assert_eq!(store.audits().await.unwrap(), [audit(0, 0, 0), audit(1, 8, 3)]);
}

/// Each once, whatever else is stored of it.
pub async fn rows_and_dead_letters_account_for_records<S: OrderStore + AuditStore>(store: &S) {
    store.bind_partitions(2).await.unwrap();
    let events = [placed(order_id(1)), placed(order_id(2)), captured(order_id(1))];
    store.commit(&batch(0, 0, &events)).await.unwrap();
    let letters =
        vec![letter(ports::Consumer::Projector, 2), letter(ports::Consumer::Projector, 4)];
    let skips_one = Commit { ..commit(3, 6, letters) };
    store.commit(&skips_one).await.unwrap();
    store.commit(&commit(6, 7, vec![letter(ports::Consumer::Search, 6)])).await.unwrap();
    let accounted = async |partition, from, until| {
        store.accounted(Partition(partition), Offset(from), Offset(until)).await.unwrap()
    };
    assert_eq!(accounted(0, 0, 7).await, 4, "0, 1, 2 twice, 4");
    assert_eq!(accounted(0, 1, 4).await, 2);
    assert_eq!(accounted(0, 5, 7).await, 0, "another consumer's is none");
    assert_eq!(accounted(1, 0, 7).await, 0);
}
