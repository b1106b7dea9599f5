//! Questions to the store, gathered: while one query is on its way, the questions that come up meanwhile wait and then
//! go together. Nothing waits on an idle store, and a busy one answers hundreds of callers with one round trip.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use ports::StoreError;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::denial::Denial;

/// Questions that may wait; the rest are answered `RESOURCE_EXHAUSTED`.
const WAITING_MAX: usize = 16_384;
/// Questions in one query.
const QUERY_MAX: usize = 512;
/// Queries on their way at a time: one is answered while the next is asked.
const QUERIES_MAX: usize = 3;

struct Question<K, V> {
    key: K,
    answer: oneshot::Sender<Result<V, Denial>>,
}

/// Where to ask.
pub(crate) struct Gather<K, V> {
    questions: mpsc::Sender<Question<K, V>>,
}

impl<K: Send + 'static, V: Send + 'static> Gather<K, V> {
    /// Starts the task that asks: `query` answers each key, in order. It ends with `tasks` or the last `Gather`.
    pub(crate) fn start<F>(
        tasks: &mut JoinSet<()>,
        query: impl Fn(Vec<K>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<V>, StoreError>> + Send,
    {
        let (sender, mut questions) = mpsc::channel::<Question<K, V>>(WAITING_MAX);
        tasks.spawn(async move {
            let mut waiting = Vec::new();
            let mut asked = FuturesUnordered::new();
            loop {
                tokio::select! {
                    count = questions.recv_many(&mut waiting, QUERY_MAX), if asked.len() < QUERIES_MAX => {
                        if count == 0 {
                            return;
                        }
                        let (keys, answers): (Vec<_>, Vec<_>) = mem::take(&mut waiting)
                            .into_iter()
                            .map(|question: Question<K, V>| (question.key, question.answer))
                            .unzip();
                        let answered = query(keys);
                        asked.push(async move { tell(answered.await, answers) });
                    }
                    Some(()) = asked.next(), if !asked.is_empty() => {}
                }
            }
        });
        Self { questions: sender }
    }

    /// Asks; never blocks.
    pub(crate) fn ask(&self, key: K) -> Answer<V> {
        let (answer, receiver) = oneshot::channel();
        match self.questions.try_send(Question { key, answer }) {
            Ok(()) => Answer(Some(receiver)),
            Err(_) => Answer(None),
        }
    }
}

/// Whoever no longer listens gave up.
fn tell<V>(answered: Result<Vec<V>, StoreError>, answers: Vec<oneshot::Sender<Result<V, Denial>>>) {
    match answered {
        Ok(values) => {
            for (answer, value) in answers.into_iter().zip(values) {
                _ = answer.send(Ok(value));
            }
        }
        Err(error) => {
            let damaged = matches!(Denial::from(error), Denial::Damaged);
            for answer in answers {
                let denial = if damaged { Denial::Damaged } else { Denial::Away("order store") };
                _ = answer.send(Err(denial));
            }
        }
    }
}

/// An answer to come.
pub(crate) struct Answer<V>(Option<oneshot::Receiver<Result<V, Denial>>>);

impl<V> Future for Answer<V> {
    type Output = Result<V, Denial>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(receiver) = &mut self.0 else {
            return Poll::Ready(Err(Denial::Busy("too many questions wait for the order store")));
        };
        // Unanswered, the asking task ended: so does the api.
        Poll::Ready(ready!(Pin::new(receiver).poll(cx)).unwrap_or(Err(Denial::Closing)))
    }
}
