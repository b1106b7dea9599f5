//! `order-ledger verify --against`: the log beside a second copy of it.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use adapter_embedded::SqliteLog;
use adapter_kafka::{KafkaLog, KafkaOptions};
use archive::Archive;
use ports::{EventLog, LogError, Offset, Partition, Position, Reader};
use replay::{CompareSettings, Comparison, LogCopy, LogDifference, WholeLog, compare_logs};
use serde_json::json;

use crate::{
    Failure, Misuse, bars,
    cli::{Output, VerifyArgs},
    config::{Config, LogLocation},
    parts::Parts,
    reader_left,
};

/// Compares, and prints the first difference of each order that has one, and what was compared. Writes neither.
pub(crate) async fn run(
    copy: &str,
    args: &VerifyArgs,
    config: &Config,
    parts: &Parts,
) -> Result<ExitCode, Failure> {
    let opened = open(copy, args, config).await?;
    let whole;
    let copy: &dyn LogCopy = match &opened {
        Opened::Log(log) => {
            whole = WholeLog(log.as_ref());
            &whole
        }
        Opened::Archive(archive) => archive,
    };
    let bar = bars::spinner()?;
    let progress = |records| bar.set_position(records);
    let mut broken = None;
    let mut tell = |difference: LogDifference| {
        let line = match args.output {
            Output::Human => difference.to_string(),
            Output::Json => difference_json(&difference).to_string(),
        };
        if let Err(error) = bar.suspend(|| writeln!(io::stdout(), "{line}")) {
            broken.get_or_insert(error);
        }
    };
    let settings = CompareSettings { progress: Some(&progress), ..CompareSettings::default() };
    let log = WholeLog(parts.log.as_ref());
    let compared = compare_logs(&log, copy, settings, &mut tell).await?;
    bar.finish_and_clear();
    let last = match args.output {
        Output::Human => summary(&compared),
        Output::Json => json!({ "compared": compared }).to_string(),
    };
    let told = broken.map_or_else(|| writeln!(io::stdout(), "{last}"), Err);
    match told {
        // The exit code still says whether anything differs.
        Err(error) if reader_left(&error) => {}
        told => told?,
    }
    Ok(if compared.differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A copy, ready to be read.
enum Opened {
    Log(Box<dyn EventLog>),
    Archive(ArchiveCopy),
}

async fn open(copy: &str, args: &VerifyArgs, config: &Config) -> Result<Opened, Failure> {
    match LogLocation::parse(copy) {
        Some(LogLocation::Kafka(brokers)) => {
            let prefix = args.against_topic_prefix.as_ref();
            Ok(Opened::Log(Box::new(KafkaLog::new(KafkaOptions {
                brokers,
                topic_prefix: prefix.unwrap_or(&config.kafka.topic_prefix).clone(),
                properties: config.kafka.properties.clone(),
                ..KafkaOptions::default()
            })?)))
        }
        // Opening one that is not there would make it.
        Some(LogLocation::Sqlite(path)) if path.is_file() => {
            Ok(Opened::Log(Box::new(SqliteLog::open_beside(&path).await?)))
        }
        Some(LogLocation::Sqlite(path)) => Err(format!("there is no {}", path.display()).into()),
        None if copy.contains("://") => {
            let allowed = "kafka://HOST:PORT[,…], sqlite:FILE, or the folder of an archive";
            Err(Misuse(format!("--against is {copy:?}; allowed: {allowed}")).into())
        }
        None => {
            let archive = Archive::open(Path::new(copy))?;
            // What a damaged file says is no difference.
            archive.check()?;
            Ok(Opened::Archive(ArchiveCopy(archive)))
        }
    }
}

/// An archive, as a copy of the log.
struct ArchiveCopy(Archive);

#[async_trait::async_trait]
impl LogCopy for ArchiveCopy {
    async fn end_offsets(&self) -> Result<Vec<Position>, LogError> {
        Ok(self.0.end_offsets())
    }

    async fn read(
        &self,
        partition: Partition,
        _until: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(self.0.read(partition)))
    }

    fn was_taken_off(&self) -> bool {
        true
    }
}

/// One line for people.
fn summary(compared: &Comparison) -> String {
    let Comparison { orders, records, copy_records, strays, copy_strays, .. } = compared;
    let Comparison { strays_compared, newer, differences, .. } = compared;
    let verdict = match differences {
        0 => "each order has the same records in both, byte for byte, in the same order".to_owned(),
        count => format!("{count} differences"),
    };
    let strays_told = if *strays_compared { "compared too" } else { "not compared" };
    format!(
        "{orders} orders, {records} records of orders in the log and {copy_records} in the copy ({strays} and \
         {copy_strays} of no order, {strays_told}; {newer} newer than the copy): {verdict}"
    )
}

fn difference_json(difference: &LogDifference) -> serde_json::Value {
    let LogDifference { order, change, log, copy } = difference;
    let place = |place: &Option<Position>| {
        place.map(|Position { partition, offset }| {
            json!({ "partition": partition.0, "offset": offset.0 })
        })
    };
    json!({ "difference": {
        "order_id": order,
        "change": change.name(),
        "log": place(log),
        "copy": place(copy),
    }})
}
