//! Whether writes are taken now: a failed store, a stalled write, too little room.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::EmbeddedTablesOptions;
use super::opening::Store;
use crate::tables::TablesError;

/// How long the answer of the file system about free room is believed, in microseconds.
const SPACE_CHECK_MICROS: u64 = 100_000;

#[derive(Debug)]
pub(super) struct Health {
    options: EmbeddedTablesOptions,
    /// Times below are microseconds since this instant, plus one; 0 is never.
    base: Instant,
    write_began: AtomicU64,
    space_checked: AtomicU64,
    is_full: AtomicBool,
    is_stall_reported: AtomicBool,
    is_probing: AtomicBool,
    fatal: watch::Sender<Option<String>>,
}

/// Learns of the end of the store.
pub(super) struct Fatal(watch::Receiver<Option<String>>);

impl Fatal {
    /// Returns once the store has failed for good, with the error that every write ends with from then on.
    pub(super) async fn failed(&mut self) -> TablesError {
        match self.0.wait_for(Option::is_some).await {
            Ok(reason) => TablesError::Unavailable { reason: reason.clone().unwrap_or_default() },
            // The tables were dropped while this was awaited.
            Err(error) => TablesError::Unavailable { reason: error.to_string() },
        }
    }
}

impl Health {
    pub(super) fn new(options: EmbeddedTablesOptions) -> Self {
        Self {
            options,
            base: Instant::now(),
            write_began: AtomicU64::new(0),
            space_checked: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            is_stall_reported: AtomicBool::new(false),
            is_probing: AtomicBool::new(false),
            fatal: watch::Sender::new(None),
        }
    }

    pub(super) const fn options(&self) -> &EmbeddedTablesOptions {
        &self.options
    }

    pub(super) const fn stall_limit(&self) -> Duration {
        self.options.write_stall_limit
    }

    pub(super) fn subscribe_fatal(&self) -> Fatal {
        Fatal(self.fatal.subscribe())
    }

    /// Whether a write would be taken.
    pub(super) fn check(&self) -> Result<(), TablesError> {
        if let Some(reason) = self.fatal.borrow().clone() {
            return Err(TablesError::Unavailable { reason });
        }
        if let Some(stalled) = self.stalled_for() {
            return Err(TablesError::Unavailable {
                reason: format!(
                    "a write has taken {} s so far, the limit is {} s: the disk does not keep up",
                    stalled.as_secs(),
                    self.stall_limit().as_secs_f32()
                ),
            });
        }
        self.check_space()
    }

    /// Whether there is room for a write, asking the file system at most every [`SPACE_CHECK_MICROS`].
    pub(super) fn check_space(&self) -> Result<(), TablesError> {
        let now = self.now();
        let checked = self.space_checked.load(Ordering::Relaxed);
        if checked == 0 || now.saturating_sub(checked) >= SPACE_CHECK_MICROS {
            self.space_checked.store(now, Ordering::Relaxed);
            // A folder that is not there yet, or a file system that does not tell, is found out by the write itself.
            if let Ok(volume) = rustix::fs::statvfs(&self.options.dir) {
                let free_bytes = volume.f_bavail.saturating_mul(volume.f_frsize);
                #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; no volume has 2^53 bytes free")]
                metrics::gauge!("saler_tables_free_bytes").set(free_bytes as f64);
                self.is_full.store(free_bytes < self.options.minimum_free_bytes, Ordering::Relaxed);
            }
        }
        if self.is_full.load(Ordering::Relaxed) {
            return Err(TablesError::DiskFull { path: self.options.dir.display().to_string() });
        }
        Ok(())
    }

    pub(super) fn write_begins(&self) {
        self.write_began.store(self.now(), Ordering::Release);
    }

    pub(super) fn write_ended(&self) {
        self.write_began.store(0, Ordering::Release);
        if self.is_stall_reported.swap(false, Ordering::AcqRel) {
            metrics::gauge!("saler_tables_stalled").set(0.0);
            tracing::warn!(dir = %self.options.dir.display(), "the stalled write of the tables has ended");
        }
    }

    /// From now on every write fails with this reason, or with the one given before. Returns it, with what to do.
    pub(super) fn fail(&self, reason: &str) -> String {
        self.fatal.send_if_modified(|fatal| {
            if fatal.is_some() {
                return false;
            }
            tracing::error!(dir = %self.options.dir.display(), reason, "the tables have failed and refuse writes until a restart");
            *fatal = Some(format!("{reason}; restart to recover, nothing acknowledged is lost"));
            true
        });
        self.fatal.borrow().clone().unwrap_or_default()
    }

    /// Called by those who wait long: reports a stall once, and finds out whether the store has failed meanwhile, since a
    /// write that waits for background work that has died would wait for ever.
    pub(super) fn look_into_stall(self: &Arc<Self>, store: &Arc<Store>) {
        if self.stalled_for().is_none() {
            return;
        }
        if !self.is_stall_reported.swap(true, Ordering::AcqRel) {
            metrics::counter!("saler_tables_stalls_total").increment(1);
            metrics::gauge!("saler_tables_stalled").set(1.0);
            tracing::error!(dir = %self.options.dir.display(), limit_ms = self.stall_limit().as_millis(), "a write of the tables is stalled");
        }
        if self.is_probing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (health, store) = (Arc::clone(self), Arc::clone(store));
        let probe = std::thread::Builder::new().name("tables-probe".to_owned()).spawn(move || {
            // Writes nothing, but says whether the store has failed. May block as long as the disk does.
            if let Err(error) = store.database.persist(fjall::PersistMode::Buffer) {
                health.fail(&format!("the store failed in its background work ({error})"));
            }
            health.is_probing.store(false, Ordering::Release);
        });
        if probe.is_err() {
            self.is_probing.store(false, Ordering::Release);
        }
    }

    fn stalled_for(&self) -> Option<Duration> {
        let began = self.write_began.load(Ordering::Acquire);
        if began == 0 {
            return None;
        }
        let taken = Duration::from_micros(self.now().saturating_sub(began));
        (taken > self.stall_limit()).then_some(taken)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_micros()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(minimum_free_bytes: u64, write_stall_limit: Duration) -> Arc<Health> {
        Arc::new(Health::new(EmbeddedTablesOptions {
            minimum_free_bytes,
            write_stall_limit,
            ..EmbeddedTablesOptions::new("/")
        }))
    }

    #[test]
    fn a_write_over_the_limit_is_refused_until_it_ends() {
        let health = health(0, Duration::ZERO);
        assert!(health.check().is_ok());
        health.write_begins();
        while health.stalled_for().is_none() {
            std::hint::spin_loop();
        }
        let error = health.check().unwrap_err();
        assert!(matches!(error, TablesError::Unavailable { .. }));
        assert!(error.to_string().contains("the limit is 0 s"), "{error}");
        health.write_ended();
        assert!(health.check().is_ok());
    }

    #[test]
    fn too_little_room_is_disk_full_with_the_folder() {
        let error = health(u64::MAX, Duration::MAX).check().unwrap_err();
        assert!(matches!(error, TablesError::DiskFull { path } if path == "/"));
    }

    #[test]
    fn a_failure_is_for_good_and_its_first_reason_stays() {
        let health = health(0, Duration::MAX);
        health.fail("the disk is gone");
        health.fail("something else");
        let error = health.check().unwrap_err().to_string();
        assert!(error.contains("the disk is gone; restart"), "{error}");
    }
}
