//! The one place that reads the machine's clock and makes ids; everyone else is given them.

use chrono::{DateTime, SubsecRound as _, Utc};
use ports::{Clock, IdSource};
use uuid::Uuid;

/// The machine's clock, cut to the microsecond.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the injected source itself")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}

/// UUID v7 from the machine's clock and random numbers.
pub(crate) struct SystemIds;

impl IdSource for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "the injected source itself")]
    fn fresh(&self) -> Uuid {
        Uuid::now_v7()
    }
}
