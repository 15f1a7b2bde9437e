//! Which servers hold the tables, and how to reach them.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use schemas::channel::Secret;

use crate::tables::TablesError;

/// The longest name of a keyspace.
const KEYSPACE_NAME_BYTES: usize = 48;

/// Where the tables stand, and how much patience to have with the servers.
#[derive(Clone, Debug)]
pub struct CqlOptions {
    /// Some of the cluster's nodes as `host:port`; the others are found through them. The port may be left out: 9042.
    pub nodes: Vec<String>,
    /// The keyspace; made if it is not there. Default `saler`.
    pub keyspace: String,
    /// How many nodes hold each row when the keyspace is made. An existing keyspace keeps what it has. Default 3.
    pub replication: usize,
    /// The datacenter whose nodes are asked, and in which a quorum counts. All processes of a hub name the same one.
    /// `None` takes the datacenter of the node that answers first: right when there is one only.
    pub datacenter: Option<String>,
    /// Who to sign in as; `None` for servers that ask nobody.
    pub credentials: Option<CqlCredentials>,
    /// Set to speak TLS with every node.
    pub tls: Option<CqlTls>,
    /// After this, a request has failed, whatever was tried again within it. Default 5 s.
    pub request_timeout: Duration,
    /// How long opening waits for a server. Default 15 s.
    pub connect_timeout: Duration,
    /// A read that takes longer is asked of a second node beside; zero never does. Default 200 ms.
    pub speculative_read_after: Duration,
    /// Whether opening makes and changes tables. Where the hub's user may not, run `saler migrate` as one who may, and set
    /// this to `false`: opening then only checks. Default `true`.
    pub migrate: bool,
}

/// A user of the servers.
#[derive(Clone, Debug)]
pub struct CqlCredentials {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// How to speak TLS. The certificate of a node must hold its IP address, since nodes are found by address.
#[derive(Clone, Debug)]
pub struct CqlTls {
    /// The authorities that a node's certificate must come from, in PEM; no others are trusted.
    pub ca_file: PathBuf,
    /// The certificate and the key that this side shows, both in PEM, where the servers want one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl CqlOptions {
    /// The defaults, with these nodes.
    pub fn new(nodes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            nodes: nodes.into_iter().map(Into::into).collect(),
            keyspace: "saler".to_owned(),
            replication: 3,
            datacenter: None,
            credentials: None,
            tls: None,
            request_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(15),
            speculative_read_after: Duration::from_millis(200),
            migrate: true,
        }
    }

    /// Whether they make sense, before any server is asked.
    pub(super) fn check(&self) -> Result<(), TablesError> {
        if self.nodes.is_empty() {
            return Err(invalid("nodes: name at least one server, such as \"10.0.0.1:9042\""));
        }
        let mut letters = self.keyspace.chars();
        let is_name = letters.next().is_some_and(|first| first.is_ascii_lowercase())
            && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && self.keyspace.len() <= KEYSPACE_NAME_BYTES;
        if !is_name {
            return Err(invalid(format!(
                "keyspace: {:?} is no name for one: take up to {KEYSPACE_NAME_BYTES} letters a to z, digits and _, a letter first",
                self.keyspace
            )));
        }
        if self.replication == 0 {
            return Err(invalid("replication: at least one node must hold each row; three is usual"));
        }
        if self.datacenter.as_ref().is_some_and(|name| name.is_empty() || name.contains(['\'', '"'])) {
            return Err(invalid("datacenter: name it as `nodetool status` does, or leave it out"));
        }
        Ok(())
    }

    /// The nodes as text, for messages.
    pub(super) fn nodes_text(&self) -> String {
        self.nodes.join(", ")
    }

    pub(super) fn tls_config(&self) -> Result<Option<Arc<rustls::ClientConfig>>, TablesError> {
        self.tls.as_ref().map(CqlTls::config).transpose()
    }
}

impl CqlTls {
    fn config(&self) -> Result<Arc<rustls::ClientConfig>, TablesError> {
        let fault = |field: &str, path: &PathBuf, error: &dyn Display| {
            invalid(format!("tls.{field}: {} cannot be used: {error}", path.display()))
        };
        let mut roots = rustls::RootCertStore::empty();
        let authorities =
            CertificateDer::pem_file_iter(&self.ca_file).map_err(|error| fault("ca_file", &self.ca_file, &error))?;
        for certificate in authorities {
            let certificate = certificate.map_err(|error| fault("ca_file", &self.ca_file, &error))?;
            roots.add(certificate).map_err(|error| fault("ca_file", &self.ca_file, &error))?;
        }
        if roots.is_empty() {
            return Err(fault("ca_file", &self.ca_file, &"it holds no certificate"));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid(format!("tls: {error}")))?
            .with_root_certificates(roots);
        let Some((certificate_file, key_file)) = &self.identity else {
            return Ok(Arc::new(builder.with_no_client_auth()));
        };
        let chain = CertificateDer::pem_file_iter(certificate_file)
            .and_then(Iterator::collect)
            .map_err(|error| fault("certificate_file", certificate_file, &error))?;
        let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| fault("key_file", key_file, &error))?;
        let config = builder.with_client_auth_cert(chain, key).map_err(|error| fault("key_file", key_file, &error))?;
        Ok(Arc::new(config))
    }
}

fn invalid(reason: impl Into<String>) -> TablesError {
    TablesError::Invalid { reason: format!("tables: {}", reason.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_make_no_sense_are_refused_by_field() {
        let with = |change: fn(&mut CqlOptions)| {
            let mut options = CqlOptions::new(["127.0.0.1:9042"]);
            change(&mut options);
            options.check().map_err(|error| error.to_string())
        };
        assert_eq!(with(|_| ()), Ok(()));
        for (change, field) in [
            ((|options| options.nodes.clear()) as fn(&mut CqlOptions), "nodes"),
            (|options| options.keyspace = "Saler; DROP".to_owned(), "keyspace"),
            (|options| options.keyspace = "a".repeat(49), "keyspace"),
            (|options| options.replication = 0, "replication"),
            (|options| options.datacenter = Some("eu'".to_owned()), "datacenter"),
        ] {
            let error = with(change).unwrap_err();
            assert!(error.contains(field), "{error}");
        }
    }

    #[test]
    fn a_file_of_authorities_that_is_not_there_is_named() {
        let mut options = CqlOptions::new(["127.0.0.1:9042"]);
        options.tls = Some(CqlTls { ca_file: "/nowhere/ca.pem".into(), identity: None });
        let error = options.tls_config().unwrap_err().to_string();
        assert!(error.contains("ca_file") && error.contains("/nowhere/ca.pem"), "{error}");
    }

    #[test]
    fn a_password_is_not_shown() {
        let mut options = CqlOptions::new(["127.0.0.1:9042"]);
        options.credentials =
            Some(CqlCredentials { username: "saler".to_owned(), password: Secret::new("open sesame") });
        assert!(!format!("{options:?}").contains("sesame"));
    }
}
