//! What a process says about itself: which metrics there are, and what is measured beside the roles' own counting.

mod catalogue;
mod lag;
mod measure;
mod process;
mod scrape;

pub(crate) use measure::Measuring;
pub(crate) use scrape::{Scrape, install};
