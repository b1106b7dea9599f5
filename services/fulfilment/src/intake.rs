//! State changes in, timers set and cleared.

use std::sync::Arc;

use async_trait::async_trait;
use consumer::{Alarm, Changed, Error, Reaction, Refusal, newest};
use ports::TimerStore;

use crate::{Settings, plan};

pub(crate) struct Intake {
    pub(crate) timers: Arc<dyn TimerStore>,
    pub(crate) alarm: Alarm,
    pub(crate) settings: Settings,
}

#[async_trait]
impl Reaction for Intake {
    fn name(&self) -> &'static str {
        "set timers"
    }

    async fn react(&self, batch: &[Changed]) -> Result<Vec<Refusal>, Error> {
        let orders: Vec<_> = newest(batch)
            .into_iter()
            .map(|changed| {
                let order = &changed.change.order;
                (order.id, order.version, plan::timers(order, &self.settings))
            })
            .collect();
        self.timers.replace(&orders).await?;
        if orders.iter().any(|(_, _, timers)| !timers.is_empty()) {
            self.alarm.ring();
        }
        Ok(Vec::new())
    }
}
