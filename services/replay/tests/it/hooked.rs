//! Search indices where something happens before or after each call of whoever builds one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use events::OrderId;
use futures::future::{BoxFuture, FutureExt as _, pending};
use ports::{IndexOutcome, NewIndex, OrderDocument, SearchError, SearchGenerations};

/// A call of one of the two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    Unfinished,
    Upsert,
    TakeWrites,
    TakeReads,
    Remove,
}

/// When something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

/// Is told of each call, counted from 1.
pub(crate) type Hook =
    Arc<dyn Fn(usize, Call, When) -> BoxFuture<'static, Result<(), SearchError>> + Send + Sync>;

#[derive(Clone)]
struct Hooked {
    hook: Hook,
    calls: Arc<AtomicUsize>,
    /// An order whose document is refused.
    refused: Option<OrderId>,
}

impl Hooked {
    async fn around<T>(
        &self,
        call: Call,
        inner: impl Future<Output = Result<T, SearchError>>,
    ) -> Result<T, SearchError> {
        let count = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        (self.hook)(count, call, When::Before).await?;
        let answer = inner.await?;
        (self.hook)(count, call, When::After).await?;
        Ok(answer)
    }

    fn index(&self, inner: Box<dyn NewIndex>) -> Box<dyn NewIndex> {
        Box::new(HookedIndex { inner, hooked: self.clone() })
    }
}

pub(crate) struct HookedGenerations {
    inner: Arc<dyn SearchGenerations>,
    hooked: Hooked,
}

impl HookedGenerations {
    pub(crate) fn new(inner: Arc<dyn SearchGenerations>, hook: Hook) -> Arc<Self> {
        let hooked = Hooked { hook, calls: Arc::default(), refused: None };
        Arc::new(Self { inner, hooked })
    }

    pub(crate) fn refusing(inner: Arc<dyn SearchGenerations>, order: OrderId) -> Arc<Self> {
        let hook: Hook = Arc::new(|_, _, _| async { Ok(()) }.boxed());
        let hooked = Hooked { hook, calls: Arc::default(), refused: Some(order) };
        Arc::new(Self { inner, hooked })
    }
}

#[async_trait]
impl SearchGenerations for HookedGenerations {
    async fn create(&self) -> Result<Box<dyn NewIndex>, SearchError> {
        let created = self.hooked.around(Call::Create, self.inner.create()).await?;
        Ok(self.hooked.index(created))
    }

    async fn unfinished(&self) -> Result<Option<Box<dyn NewIndex>>, SearchError> {
        let found = self.hooked.around(Call::Unfinished, self.inner.unfinished()).await?;
        Ok(found.map(|found| self.hooked.index(found)))
    }
}

struct HookedIndex {
    inner: Box<dyn NewIndex>,
    hooked: Hooked,
}

#[async_trait]
impl NewIndex for HookedIndex {
    async fn upsert(&self, documents: &[OrderDocument]) -> Result<Vec<IndexOutcome>, SearchError> {
        let upserted = self.hooked.around(Call::Upsert, self.inner.upsert(documents)).await?;
        let refused = self.hooked.refused.map(|order| order.to_string());
        let outcome = |(document, outcome): (&OrderDocument, IndexOutcome)| {
            if Some(&document.order_id) == refused.as_ref() {
                IndexOutcome::Refused("too odd".to_owned())
            } else {
                outcome
            }
        };
        Ok(documents.iter().zip(upserted).map(outcome).collect())
    }

    async fn take_writes(&self) -> Result<(), SearchError> {
        self.hooked.around(Call::TakeWrites, self.inner.take_writes()).await
    }

    async fn take_reads(&self) -> Result<(), SearchError> {
        self.hooked.around(Call::TakeReads, self.inner.take_reads()).await
    }

    async fn remove(&self) -> Result<(), SearchError> {
        self.hooked.around(Call::Remove, self.inner.remove()).await
    }
}

/// How whoever builds an index ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The index does not answer from then on.
    Fails,
    /// It is killed before the call has done anything.
    KilledBefore,
    /// It is killed when the call is done, before it hears of that.
    KilledAfter,
}

impl End {
    pub(crate) const ALL: [Self; 3] = [Self::Fails, Self::KilledBefore, Self::KilledAfter];
}

/// Ends whoever builds at its n-th call. A killed one waits forever: drop it once `killed` says so.
pub(crate) fn ends_at(n: usize, end: End, killed: Arc<tokio::sync::Notify>) -> Hook {
    Arc::new(move |count, call, when| {
        let killed = Arc::clone(&killed);
        async move {
            match (end, when) {
                (End::Fails, When::Before) if count >= n => {
                    Err(SearchError::Unfit(format!("call {count}, {call:?}, fails")))
                }
                (End::KilledBefore, When::Before) | (End::KilledAfter, When::After)
                    if count == n =>
                {
                    killed.notify_one();
                    pending().await
                }
                (End::Fails | End::KilledBefore | End::KilledAfter, When::Before | When::After) => {
                    Ok(())
                }
            }
        }
        .boxed()
    })
}
