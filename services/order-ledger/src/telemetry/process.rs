//! The process as the operating system sees it.

use std::{fmt::Write as _, fs, path::Path};

/// Room on a disk, in bytes.
pub(super) struct Disk {
    pub(super) available: u64,
    pub(super) size: u64,
}

/// The disk that a folder is on; `None` if it can't be asked.
pub(super) fn disk(folder: &Path) -> Option<Disk> {
    let found = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Disk { available: bytes(found.f_bavail), size: bytes(found.f_blocks) })
}

/// Adds the process's metrics in Prometheus' text format. Written here and not recorded, because a recorded counter holds
/// whole numbers alone. Where there is no `/proc` nothing is added.
pub(super) fn render(text: &mut String) {
    let mut sample = |name: &str, value: Option<f64>| {
        let Some(value) = value else { return };
        let Some(metric) = super::catalogue::METRICS.iter().find(|metric| metric.name == name)
        else {
            return;
        };
        let (help, kind) = (metric.help, metric.kind.name());
        // Writing to a String cannot fail.
        _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
    };
    sample("process_cpu_seconds_total", cpu_seconds());
    sample("process_resident_memory_bytes", resident_bytes());
    sample("process_open_fds", open_files());
}

fn cpu_seconds() -> Option<f64> {
    ticks(&fs::read_to_string("/proc/self/stat").ok()?)
        .map(|ticks| ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Of user and system time together. The name, in brackets, may hold anything: what counts begins after it.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    // The 14th and 15th field of the line; the state, right after the name, is the 3rd.
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()?.saturating_add(times.next()?.ok()?))
}

fn resident_bytes() -> Option<f64> {
    let pages: u64 =
        fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages as f64 * rustix::param::page_size() as f64)
}

fn open_files() -> Option<f64> {
    u32::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok().map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_brackets_and_blanks() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 100 1000 200";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("no process"), None);
    }

    #[test]
    fn a_disk_has_no_more_room_than_size() {
        let disk = disk(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(disk.available <= disk.size && disk.size > 0);
    }
}
