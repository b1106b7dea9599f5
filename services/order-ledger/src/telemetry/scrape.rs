//! `/metrics`: what was recorded, what is only known at the moment, and what there is without a value yet.

use std::{collections::HashSet, fmt::Write as _, path::PathBuf, sync::Arc};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use ports::{Connections, Health, Pooled};

use super::{
    catalogue::{METRICS, Metric},
    process,
};

/// Seconds from a millisecond to a minute.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// Batch sizes in powers of four.
const RECORDS: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0];

/// Begins to record metrics, and says what each of them is.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_records".to_owned()), RECORDS)?
        .install_recorder()?;
    METRICS.iter().for_each(Metric::describe);
    let fold = events::FOLD_VERSION.to_string();
    metrics::gauge!(
        "order_ledger_build_info", "version" => env!("CARGO_PKG_VERSION"), "fold" => fold
    )
    .set(1);
    Ok(recorder)
}

/// Answers a scrape.
#[derive(Clone)]
pub(crate) struct Scrape {
    pub(crate) recorded: PrometheusHandle,
    pub(crate) health: Health,
    pub(crate) store: Arc<dyn Pooled>,
    /// The data folder, if anything is kept there.
    pub(crate) data: Option<PathBuf>,
}

impl Scrape {
    /// The answer, in Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        self.look();
        let mut text = self.recorded.render();
        process::render(&mut text);
        describe_the_rest(&mut text);
        text
    }

    /// Takes down what changes by itself: whoever asks wants it as it is now.
    fn look(&self) {
        for (role, why_not) in self.health.roles() {
            let ready = if why_not.is_none() { 1 } else { 0 };
            metrics::gauge!("order_ledger_role_ready", "role" => role).set(ready);
        }
        let Connections { in_use, idle, waiting, max } = self.store.connections();
        metrics::gauge!("order_ledger_store_connections", "state" => "in_use").set(in_use);
        metrics::gauge!("order_ledger_store_connections", "state" => "idle").set(idle);
        metrics::gauge!("order_ledger_store_connections_max").set(max);
        if let Some(waiting) = waiting {
            metrics::gauge!("order_ledger_store_connections_waiting").set(waiting);
        }
        if let Some(disk) = self.data.as_deref().and_then(process::disk) {
            metrics::gauge!("order_ledger_data_available_bytes").set(disk.available as f64);
            metrics::gauge!("order_ledger_data_size_bytes").set(disk.size as f64);
        }
    }
}

/// A metric that nothing was counted of yet is known all the same: a dashboard that names it is right.
fn describe_the_rest(text: &mut String) {
    let with_values: HashSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    for Metric { name, kind, help, .. } in METRICS {
        if !with_values.contains(*name) {
            // Writing to a String cannot fail.
            _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {}\n\n", kind.name());
        }
    }
}
