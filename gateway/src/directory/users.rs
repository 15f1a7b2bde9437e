//! People: one row a person, whatever workspaces they belong to; and the e-mail address that signs them in.

use schemas::api::auth::SecondFactor;
use schemas::channel::Secret;
use schemas::tables::{USER_EMAILS, USERS};
use schemas::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use storage::tables::{Key, Row, TablesError};

use super::{Directory, DirectoryError};

/// A person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserRecord {
    /// Their id.
    pub id: UserId,
    /// By which they sign in, in lower case.
    pub email: String,
    /// The hash of their password as a PHC string; `None` for whoever signs in otherwise.
    #[serde(default)]
    pub password_hash: Option<Secret>,
    /// `true` if they may not sign in anywhere.
    #[serde(default)]
    pub disabled: bool,
    /// Second factors that a sign-in asks for after the password.
    #[serde(default)]
    pub second_factors: Vec<SecondFactorRecord>,
    /// When they were first added.
    pub created_at: Timestamp,
}

/// A second factor as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecondFactorRecord {
    /// What it is.
    pub kind: SecondFactor,
    /// What checks it.
    pub secret: Secret,
    /// Since when it holds.
    pub confirmed_at: Timestamp,
}

/// An e-mail address as people are found by it: trimmed and in lower case.
///
/// # Errors
/// [`DirectoryError::Invalid`] if it cannot be one.
pub fn checked_email(text: &str) -> Result<String, DirectoryError> {
    let email = text.trim().to_lowercase();
    let sound = email.len() <= 254
        && email.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && !domain.is_empty()
                && !domain.contains('@')
                && !domain.starts_with('.')
                && !domain.ends_with('.')
        })
        && !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if sound {
        Ok(email)
    } else {
        Err(DirectoryError::invalid("email", "write an e-mail address, such as rana@shop.example"))
    }
}

impl Directory {
    /// The person whom an e-mail address signs in.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<UserRecord>, TablesError> {
        let Some(row) = self.tables.get(USER_EMAILS, Key::of([email.into()])).await? else {
            return Ok(None);
        };
        match row.uuid("user_id") {
            Some(bytes) => self.user(UserId::from_bytes(bytes)).await,
            None => Ok(None),
        }
    }

    /// A person.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn user(&self, user_id: UserId) -> Result<Option<UserRecord>, TablesError> {
        self.entity(USERS, Key::of([user_id.into()])).await
    }

    /// The people with these ids; those who do not exist are left out.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn users(&self, ids: impl IntoIterator<Item = UserId>) -> Result<Vec<UserRecord>, TablesError> {
        let keys = ids.into_iter().map(|id| (USERS, Key::of([id.into()]))).collect();
        self.tables.get_many(keys).await?.iter().flatten().map(|row| row.body(USERS)).collect()
    }

    /// Makes a person, unless the address signs in somebody already: then that person is returned and nothing changes.
    /// The flag says whether they were made.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`] for the address, [`DirectoryError::Tables`].
    pub async fn find_or_create_user(
        &self,
        email: &str,
        password_hash: Option<Secret>,
    ) -> Result<(UserRecord, bool), DirectoryError> {
        let email = checked_email(email)?;
        if let Some(user) = self.user_by_email(&email).await? {
            return Ok((user, false));
        }
        let at = self.now();
        let user = UserRecord {
            id: UserId::new(at, &rand::random()),
            email: email.clone(),
            password_hash,
            disabled: false,
            second_factors: Vec::new(),
            created_at: at,
        };
        // The person first, the address then: a crash between leaves a row that nobody finds, never an address without one.
        self.put(vec![(USERS, Row::new(Key::of([user.id.into()])).with_body(&user)?)]).await?;
        let claim = Row::new(Key::of([email.as_str().into()])).with("user_id", user.id);
        if self.tables.insert_if_absent(USER_EMAILS, claim).await?.is_some() {
            self.remove(vec![(USERS, Key::of([user.id.into()]))]).await?;
            let winner = self.user_by_email(&email).await?.ok_or(DirectoryError::Conflict)?;
            return Ok((winner, false));
        }
        Ok((user, true))
    }

    /// Stores another hash of a person's password.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Tables`].
    pub async fn set_password_hash(&self, user_id: UserId, hash: Secret) -> Result<(), DirectoryError> {
        let mut user = self.user(user_id).await?.ok_or(DirectoryError::NotFound { what: "person" })?;
        user.password_hash = Some(hash);
        Ok(self.put(vec![(USERS, Row::new(Key::of([user_id.into()])).with_body(&user)?)]).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::checked_email;

    #[test]
    fn addresses_are_found_whatever_their_case_and_nonsense_is_refused() {
        assert_eq!(checked_email("  Rana@Shop.Example ").unwrap(), "rana@shop.example");
        for wrong in ["", "rana", "@shop", "rana@", "a b@c", "a@b@c", "a@.b", "a@b."] {
            assert!(checked_email(wrong).is_err(), "{wrong}");
        }
    }
}
