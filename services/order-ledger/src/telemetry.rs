//! What a process says about itself: which metrics there are, what is measured beside the roles' own counting, and where
//! spans go.

mod catalogue;
mod lag;
mod measure;
mod process;
mod scrape;
mod seen;
mod ship;
mod spans;
mod traces;

pub(crate) use measure::Measuring;
pub(crate) use scrape::{Scrape, install};
pub(crate) use seen::Seen;
pub(crate) use ship::Shipping;
pub(crate) use traces::{TraceError, Traces};
