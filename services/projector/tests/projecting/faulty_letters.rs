//! Dead letters whose calls go wrong by plan.

use std::sync::Arc;

use async_trait::async_trait;
use events::OrderId;
use ports::{
    Consumer, DeadLetter, DeadLetterReason, DeadLetters, LetterFilter, LetterKey, LetterStatus,
    Offset, Partition, StoreError,
};

use crate::faults::Plan;

pub(crate) struct FaultyLetters {
    pub(crate) inner: Arc<dyn DeadLetters>,
    pub(crate) plan: Arc<Plan>,
}

fn away() -> StoreError {
    StoreError::Unavailable("by plan".to_owned())
}

#[async_trait]
impl DeadLetters for FaultyLetters {
    async fn keep(&self, letters: &[DeadLetter]) -> Result<(), StoreError> {
        self.plan.call(away, self.inner.keep(letters)).await
    }

    async fn unfolded(
        &self,
        partition: Partition,
        from: Offset,
        until: Offset,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        self.plan.call(away, self.inner.unfolded(partition, from, until, limit)).await
    }

    async fn parked(&self, orders: &[OrderId]) -> Result<Vec<OrderId>, StoreError> {
        self.plan.call(away, self.inner.parked(orders)).await
    }

    async fn letters(
        &self,
        filter: &LetterFilter,
        after: Option<LetterKey>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        self.plan.call(away, self.inner.letters(filter, after, limit)).await
    }

    async fn decide(
        &self,
        key: LetterKey,
        wanted: LetterStatus,
    ) -> Result<Option<LetterStatus>, StoreError> {
        self.plan.call(away, self.inner.decide(key, wanted)).await
    }

    async fn unreadable(
        &self,
        key: LetterKey,
        reason: DeadLetterReason,
        detail: &str,
    ) -> Result<(), StoreError> {
        self.plan.call(away, self.inner.unreadable(key, reason, detail)).await
    }

    async fn settled(&self, key: LetterKey) -> Result<(), StoreError> {
        self.plan.call(away, self.inner.settled(key)).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.plan.call(away, self.inner.count()).await
    }

    async fn unsettled(&self) -> Result<Vec<(Consumer, u64)>, StoreError> {
        self.plan.call(away, self.inner.unsettled()).await
    }
}
