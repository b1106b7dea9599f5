//! State changes in, delivery rows out.

use std::sync::Arc;

use async_trait::async_trait;
use consumer::{Alarm, Changed, Error, Reaction, Refusal};
use ports::{Clock, DeliveryStore, NewDelivery};

use crate::notice::delivery_key;

pub(crate) struct Intake {
    pub(crate) deliveries: Arc<dyn DeliveryStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) alarm: Alarm,
}

#[async_trait]
impl Reaction for Intake {
    fn name(&self) -> &'static str {
        "store mails to be sent"
    }

    async fn react(&self, batch: &[Changed]) -> Result<Vec<Refusal>, Error> {
        let due_at = self.clock.now();
        // Every change, not the newest alone: a customer hears of each state.
        let deliveries: Vec<_> = batch
            .iter()
            .filter_map(|Changed { record, change, traceparent }| {
                let key = delivery_key(change)?;
                let (state_change, traceparent) = (record.value.clone()?, *traceparent);
                Some(NewDelivery { key, state_change, due_at, traceparent })
            })
            .collect();
        if !deliveries.is_empty() {
            self.deliveries.add(&deliveries).await?;
            self.alarm.ring();
        }
        Ok(Vec::new())
    }
}
