//! Which parts of the hub a process runs.

use std::collections::BTreeSet;
use std::fmt;

/// A part of the hub that can run in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// REST, webhooks, sockets, the page.
    Gateway,
    /// The conversation engine and the senders, each on the partitions that are given to this process.
    Ingest,
    /// Facts, KPIs and SQL, over all partitions.
    Analytics,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Gateway, Self::Ingest, Self::Analytics];

    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Ingest => "ingest",
            Self::Analytics => "analytics",
        }
    }
}

/// The roles of a process; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles(BTreeSet<Role>);

/// A list of roles that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no role {given:?}; write all, or a list of gateway, ingest, analytics")]
pub struct UnknownRole {
    given: String,
}

impl Roles {
    /// All roles in one process.
    pub fn all() -> Self {
        Self(Role::ALL.into())
    }

    /// The roles with these names; `all` stands for each.
    ///
    /// # Errors
    /// [`UnknownRole`] for a name that is none, or if there are no names.
    pub fn parse(names: &[impl AsRef<str>]) -> Result<Self, UnknownRole> {
        let mut roles = BTreeSet::new();
        for name in names {
            let name = name.as_ref().trim();
            if name == "all" {
                roles.extend(Role::ALL);
            } else {
                let found = Role::ALL.into_iter().find(|role| role.as_str() == name);
                roles.insert(found.ok_or_else(|| UnknownRole { given: name.to_owned() })?);
            }
        }
        if roles.is_empty() { Err(UnknownRole { given: String::new() }) } else { Ok(Self(roles)) }
    }

    /// Whether this process has the role.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether it has all of them.
    pub fn are_all(&self) -> bool {
        self.0.len() == Role::ALL.len()
    }

    /// Those that it does not have.
    pub fn missing(&self) -> impl Iterator<Item = Role> + '_ {
        Role::ALL.into_iter().filter(|role| !self.has(*role))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.are_all() {
            return f.write_str("all");
        }
        let names: Vec<_> = self.0.iter().map(|role| role.as_str()).collect();
        f.write_str(&names.join(","))
    }
}
