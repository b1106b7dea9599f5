//! What a process says about itself: which metrics there are, and what is measured beside the roles' own counting.

mod catalogue;
mod lag;
mod measure;
mod process;
mod scrape;
mod seen;
mod ship;

pub(crate) use measure::Measuring;
pub(crate) use scrape::{Scrape, install};
pub(crate) use seen::Seen;
pub(crate) use ship::Shipping;
