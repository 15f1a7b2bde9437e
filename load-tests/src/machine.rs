//! What the machine itself can do, measured beside every workload, and what a process uses, read from `/proc`.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;

use crate::generator::latency::{Latencies, Summary};

const FSYNC_SAMPLES: usize = 400;
const FSYNC_BYTES: usize = 512;
const LOOPBACK_WRITES: u32 = 50_000;
const LOOPBACK_SOCKETS: usize = 100;
const LOOPBACK_BYTES: usize = 300;
/// Above this share of time in which some task waited for a core, absolute times mean little.
const NOISY_PRESSURE_PERCENT: f64 = 20.0;
const PAGE_BYTES: u64 = 4_096;
/// The unit of times in `/proc`: `USER_HZ`, 100 on every Linux of today.
const TICKS_PER_SECOND: u64 = 100;

/// The machine's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MachineLimits {
    /// Cores.
    pub cores: usize,
    /// An append of 512 bytes with fdatasync, on the hub's disk.
    pub fdatasync: Summary,
    /// Writes of 300 bytes a second on loopback sockets, by one thread that another one reads.
    pub loopback_writes_per_second: f64,
    /// The share of the last ten seconds in which some task waited for a core, in percent; 0 where the kernel does not
    /// tell. Taken before the run.
    pub cpu_pressure_percent: f64,
}

impl MachineLimits {
    /// Measures them; takes about a second and blocks.
    ///
    /// # Errors
    /// Those of files in `dir` and of sockets.
    pub fn measure(dir: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            cpu_pressure_percent: cpu_pressure_percent(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            fdatasync: fdatasync(dir)?,
            loopback_writes_per_second: loopback_writes_per_second()?,
        })
    }

    /// A note if the machine was busy with something else.
    pub fn noise(&self) -> Option<String> {
        (self.cpu_pressure_percent > NOISY_PRESSURE_PERCENT).then(|| {
            format!(
                "the machine was busy before the run (cpu pressure {:.0} %): compare ratios, not absolute times",
                self.cpu_pressure_percent
            )
        })
    }
}

/// Appends with fdatasync, one after the other.
fn fdatasync(dir: &Path) -> anyhow::Result<Summary> {
    let path = dir.join("fdatasync.probe");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let mut latencies = Latencies::default();
    for _ in 0..FSYNC_SAMPLES {
        let start = Instant::now();
        file.write_all(&[b'x'; FSYNC_BYTES])?;
        file.sync_data()?;
        latencies.record(start.elapsed());
    }
    std::fs::remove_file(&path)?;
    Ok(latencies.summary())
}

/// Writes to many sockets in turn while a thread reads them.
fn loopback_writes_per_second() -> anyhow::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut writers = Vec::with_capacity(LOOPBACK_SOCKETS);
    let mut readers = Vec::with_capacity(LOOPBACK_SOCKETS);
    for _ in 0..LOOPBACK_SOCKETS {
        let writer = TcpStream::connect(address)?;
        writer.set_nodelay(true)?;
        writers.push(writer);
        readers.push(listener.accept()?.0);
    }
    let per_socket = LOOPBACK_WRITES as usize / LOOPBACK_SOCKETS;
    let reading = std::thread::spawn(move || -> std::io::Result<()> {
        let mut buffer = vec![0; LOOPBACK_BYTES];
        for _ in 0..per_socket {
            for reader in &mut readers {
                reader.read_exact(&mut buffer)?;
            }
        }
        Ok(())
    });
    let start = Instant::now();
    for _ in 0..per_socket {
        for writer in &mut writers {
            writer.write_all(&[b'x'; LOOPBACK_BYTES])?;
        }
    }
    let elapsed = start.elapsed();
    reading.join().map_err(|_panic| anyhow::anyhow!("the reading thread failed"))??;
    Ok(f64::from(LOOPBACK_WRITES) / elapsed.as_secs_f64())
}

/// The share of the last ten seconds in which some task waited for a core, in percent.
pub fn cpu_pressure_percent() -> f64 {
    let text = std::fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("some avg10="))
        .and_then(|rest| rest.split(' ').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0.0)
}

/// What a process uses at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Resident memory.
    pub resident_bytes: u64,
    /// Time on the cores since its start, user and system, in milliseconds.
    pub cpu_millis: u64,
}

/// What the process uses now.
///
/// # Errors
/// If there is no such process.
pub fn usage(process: u32) -> anyhow::Result<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).context("the hub's process is gone")?;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).context("the hub's process is gone")?;
    Ok(Usage {
        resident_bytes: kilobytes_after(&status, "VmRSS:").saturating_mul(1_024),
        cpu_millis: cpu_millis(&stat),
    })
}

fn kilobytes_after(text: &str, key: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// From `/proc/<pid>/stat`: fields 14 and 15, counted behind the name, which may hold anything.
fn cpu_millis(stat: &str) -> u64 {
    let Some((_name, fields)) = stat.rsplit_once(')') else { return 0 };
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks.saturating_mul(1_000) / TICKS_PER_SECOND
}

/// The kernel's memory in buffers of TCP sockets, of the whole machine.
pub fn kernel_socket_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    pages_of_tcp(&text).saturating_mul(PAGE_BYTES)
}

fn pages_of_tcp(text: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix("TCP:"))
        .and_then(|rest| rest.split_once(" mem "))
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// The kernel's memory in objects (sockets themselves among them), of the whole machine.
pub fn kernel_slab_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    kilobytes_after(&text, "Slab:").saturating_mul(1_024)
}

/// A duration in milliseconds with fractions.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernel_s_tables() {
        let stat = "42 (a (strange) name) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 100 1000 10";
        assert_eq!(cpu_millis(stat), 3_000);
        assert_eq!(pages_of_tcp("sockets: used 9\nTCP: inuse 5 orphan 0 tw 3 alloc 7 mem 12\nUDP: inuse 1 mem 9"), 12);
        assert_eq!(kilobytes_after("VmPeak: 1 kB\nVmRSS:\t  5120 kB\n", "VmRSS:"), 5_120);
        assert!(usage(std::process::id()).unwrap().resident_bytes > 0);
    }

    #[test]
    fn measures_this_machine() {
        let dir = tempfile::tempdir().unwrap();
        let limits = MachineLimits::measure(dir.path()).unwrap();
        assert_eq!(limits.fdatasync.count, FSYNC_SAMPLES as u64);
        assert!(limits.loopback_writes_per_second > 0.0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
