//! Slows guessing: after five failures an account waits 1, 2, 4, … 900 seconds; an address has so many failures a minute.
//!
//! An account is never locked, so nobody can lock others out for good. What is counted is in memory and bounded; a restart
//! forgets it, which costs a guesser more than it gives.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use schemas::Timestamp;

/// Failures of an account that cost nothing.
const FREE_FAILURES: u32 = 5;
/// The longest wait.
const LONGEST_WAIT_S: u64 = 900;
/// The span in which an address's failures are counted.
const WINDOW: Duration = Duration::from_mins(1);
/// Accounts and addresses that are remembered; above, those that wait no longer are forgotten, then all.
const REMEMBERED: usize = 100_000;

#[derive(Clone, Copy, Debug)]
struct Account {
    failures: u32,
    until: Timestamp,
    last: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Address {
    failures: u32,
    since: Timestamp,
}

/// Counts failures.
#[derive(Debug)]
pub struct Throttle {
    accounts: Mutex<HashMap<String, Account>>,
    addresses: Mutex<HashMap<IpAddr, Address>>,
    per_minute: u32,
}

impl Throttle {
    /// With so many failures a minute of one address.
    pub fn new(per_minute: u32) -> Self {
        Self { accounts: Mutex::default(), addresses: Mutex::default(), per_minute }
    }

    /// For how long this attempt must wait; `None` if it may go on.
    pub fn wait(&self, now: Timestamp, email: &str, address: Option<IpAddr>) -> Option<Duration> {
        let account = lock(&self.accounts).get(email).map(|account| account.until.since(now));
        let address = address.and_then(|address| {
            let addresses = lock(&self.addresses);
            let counted = addresses.get(&network(address))?;
            (counted.failures >= self.per_minute).then(|| WINDOW.saturating_sub(now.since(counted.since)))
        });
        account.max(address).filter(|wait| !wait.is_zero())
    }

    /// Counts a failure.
    pub fn failed(&self, now: Timestamp, email: &str, address: Option<IpAddr>) {
        {
            let mut accounts = lock(&self.accounts);
            make_room(&mut accounts, |account| account.until > now);
            let account = accounts.entry(email.to_owned()).or_insert(Account { failures: 0, until: now, last: now });
            if now.since(account.last).as_secs() > LONGEST_WAIT_S * 2 {
                account.failures = 0;
            }
            account.failures += 1;
            account.last = now;
            if let Some(beyond) = account.failures.checked_sub(FREE_FAILURES) {
                let wait = 1_u64.checked_shl(beyond).unwrap_or(u64::MAX).min(LONGEST_WAIT_S);
                account.until = now.after(Duration::from_secs(wait));
            }
        }
        if let Some(address) = address {
            let mut addresses = lock(&self.addresses);
            make_room(&mut addresses, |counted| now.since(counted.since) < WINDOW);
            let counted = addresses.entry(network(address)).or_insert(Address { failures: 0, since: now });
            if now.since(counted.since) >= WINDOW {
                *counted = Address { failures: 0, since: now };
            }
            counted.failures += 1;
        }
    }

    /// Forgets an account's failures: it has signed in.
    pub fn succeeded(&self, email: &str) {
        lock(&self.accounts).remove(email);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn make_room<K: Eq + Hash, V>(map: &mut HashMap<K, V>, still_matters: impl Fn(&V) -> bool) {
    if map.len() >= REMEMBERED {
        map.retain(|_, value| still_matters(value));
        if map.len() >= REMEMBERED {
            map.clear();
        }
    }
}

/// Of `IPv6` the first 64 bits: what one customer of a provider has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_795_000_000 + seconds)
    }

    #[test]
    fn an_account_waits_longer_with_every_failure_and_not_at_all_after_success() {
        let throttle = Throttle::new(1_000);
        for failure in 0..5 {
            assert_eq!(throttle.wait(at(0), "a@b", None), None, "{failure}");
            throttle.failed(at(0), "a@b", None);
        }
        for (failure, wait) in [1, 2, 4, 8].into_iter().enumerate() {
            assert_eq!(throttle.wait(at(0), "a@b", None), Some(Duration::from_secs(wait)), "{failure}");
            throttle.failed(at(0), "a@b", None);
        }
        for _ in 0..40 {
            throttle.failed(at(0), "a@b", None);
        }
        assert_eq!(throttle.wait(at(0), "a@b", None), Some(Duration::from_mins(15)));
        assert_eq!(throttle.wait(at(900), "a@b", None), None);
        throttle.succeeded("a@b");
        assert_eq!(throttle.wait(at(0), "a@b", None), None);
        assert_eq!(throttle.wait(at(0), "other@b", None), None);
    }

    #[test]
    fn an_address_has_so_many_failures_a_minute_whatever_the_account() {
        let throttle = Throttle::new(3);
        let mine: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::ffff:1".parse().unwrap();
        for n in 0..3 {
            throttle.failed(at(0), &format!("{n}@b"), Some(mine));
        }
        assert_eq!(throttle.wait(at(10), "new@b", Some(neighbour)), Some(Duration::from_secs(50)));
        assert_eq!(throttle.wait(at(10), "new@b", "2001:db8:1::1".parse().ok()), None);
        assert_eq!(throttle.wait(at(60), "new@b", Some(mine)), None);
    }
}
