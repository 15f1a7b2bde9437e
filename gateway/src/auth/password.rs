//! Passwords: Argon2id with 19 MiB, two passes, one lane (OWASP's minimum), on few threads with a short queue.
//!
//! The memory of all hashing at once is 19 MiB times the machine's cores; whoever comes when the queue is full is told to
//! come again. An unknown person costs the same time as a wrong password.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use schemas::channel::Secret;
use tokio::sync::Semaphore;

use crate::directory::DirectoryError;

/// Memory of one hash, in KiB.
const MEMORY_KIB: u32 = 19_456;
/// Passes over it.
const PASSES: u32 = 2;
/// Lanes.
const LANES: u32 = 1;
/// How many hashings may wait for a thread.
const QUEUE: usize = 64;
/// Characters of a password.
const MIN_CHARS: usize = 12;
const MAX_CHARS: usize = 128;
/// What people choose when they must choose twelve characters.
const COMMON: &[&str] = &[
    "123456789012",
    "1234567890123",
    "password1234",
    "password12345",
    "passwordpassword",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwerty123456",
    "administrator",
    "letmeinletmein",
    "iloveyou1234",
    "changemechangeme",
    "abcdefghijkl",
    "welcome12345",
];

/// Why a password could not be hashed or checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The queue is full.
    #[error("too many sign-ins at once: try again in a moment")]
    Busy,
    /// The library or a thread failed.
    #[error("the password cannot be hashed")]
    Failed,
}

/// Hashes and checks passwords. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    threads: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// The hash of a password that nobody has.
    nobody: Arc<str>,
}

impl Passwords {
    /// With `threads` hashings at once.
    ///
    /// # Errors
    /// [`PasswordError::Failed`] if the library cannot hash at all.
    pub fn new(threads: usize) -> Result<Self, PasswordError> {
        let secret: [u8; 32] = rand::random();
        Ok(Self {
            threads: Arc::new(Semaphore::new(threads.max(1))),
            places: Arc::new(Semaphore::new(threads.max(1) + QUEUE)),
            nobody: hash(&secret)?.into(),
        })
    }

    /// The hash of a password, as a PHC string.
    ///
    /// # Errors
    /// See [`PasswordError`].
    pub async fn hash(&self, password: &Secret) -> Result<Secret, PasswordError> {
        let password = password.clone();
        self.run(move || hash(password.expose().as_bytes()).map(Secret::new)).await
    }

    /// Whether `password` gives `stored`. Without a stored hash the answer is no, in the same time.
    ///
    /// # Errors
    /// See [`PasswordError`].
    pub async fn verify(&self, password: &Secret, stored: Option<&Secret>) -> Result<bool, PasswordError> {
        let password = password.clone();
        let (known, stored) = match stored {
            Some(stored) => (true, stored.expose().to_owned()),
            None => (false, self.nobody.to_string()),
        };
        let matches = self
            .run(move || {
                let parsed = PasswordHash::new(&stored).map_err(|_not_phc| PasswordError::Failed)?;
                Ok(argon2()?.verify_password(password.expose().as_bytes(), &parsed).is_ok())
            })
            .await?;
        Ok(known && matches)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _place = self.places.try_acquire().map_err(|_full| PasswordError::Busy)?;
        let thread = Arc::clone(&self.threads).acquire_owned().await.map_err(|_closed| PasswordError::Failed)?;
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(thread);
            result
        })
        .await
        .map_err(|_panicked| PasswordError::Failed)?
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_params| PasswordError::Failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &[u8]) -> Result<String, PasswordError> {
    let hash = argon2()?.hash_password(password).map_err(|_failed| PasswordError::Failed)?;
    Ok(hash.to_string())
}

/// Whether a new password may be chosen.
///
/// # Errors
/// [`DirectoryError::Invalid`], which says why not.
pub fn check_choice(field: &'static str, password: &Secret, email: &str) -> Result<(), DirectoryError> {
    let text = password.expose();
    let length = text.chars().count();
    if !(MIN_CHARS..=MAX_CHARS).contains(&length) {
        let reason = format!("it has {length} characters: choose {MIN_CHARS} to {MAX_CHARS}");
        return Err(DirectoryError::invalid(field, reason));
    }
    let lower = text.to_lowercase();
    let mut characters = lower.chars();
    let first = characters.next();
    let local_part = email.split('@').next().unwrap_or(email);
    if characters.all(|c| Some(c) == first) || COMMON.contains(&lower.as_str()) || lower == email || lower == local_part
    {
        return Err(DirectoryError::invalid(field, "it is among the first that anybody would guess: choose another"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_gives_its_own_hash_and_no_other_and_an_unknown_person_never_matches() {
        let passwords = Passwords::new(1).unwrap();
        let right = Secret::new("correct horse battery");
        let stored = passwords.hash(&right).await.unwrap();
        assert!(stored.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", stored.expose());
        assert!(passwords.verify(&right, Some(&stored)).await.unwrap());
        assert!(!passwords.verify(&Secret::new("correct horse batterz"), Some(&stored)).await.unwrap());
        assert!(!passwords.verify(&right, None).await.unwrap());
    }

    #[tokio::test]
    async fn a_full_queue_is_refused_and_not_kept_waiting() {
        let passwords = Passwords::new(1).unwrap();
        let _all = passwords.places.try_acquire_many(u32::try_from(QUEUE + 1).unwrap()).unwrap();
        assert_eq!(passwords.verify(&Secret::new("x"), None).await, Err(PasswordError::Busy));
    }

    #[test]
    fn short_and_guessable_passwords_are_refused_and_long_ones_taken() {
        let check = |password: &str| check_choice("password", &Secret::new(password), "rana.haddad@shop.example");
        for wrong in ["", "elevenchars", "aaaaaaaaaaaaaa", "Password1234", "rana.haddad@shop.example"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert!(
            check("كلمة سر طويلة جدا").is_ok() && check(&"ab".repeat(64)).is_ok() && check(&"ab".repeat(65)).is_err()
        );
    }
}
