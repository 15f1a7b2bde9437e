//! Where and how long the lake keeps rows.

use std::collections::BTreeMap;
use std::time::Duration;

use ::analytics::lake::LakeOptions;
use ::analytics::schema;
use serde::{Deserialize, Serialize};

use super::{Secret, list_of};
use crate::bucket::BucketOptions;

/// Section `[lake]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LakeConfig {
    /// Whether there are Delta logs.
    pub publish: bool,
    /// Minutes.
    pub keep_replaced_minutes: u64,
    /// Days, of all tables; 0: for ever.
    pub retention_days: u64,
    /// Days, of single tables: `messages:365,deliveries:90`.
    pub retention_days_of: String,
    /// A bucket that holds a copy for readers elsewhere, `s3://bucket/prefix`; empty: none.
    pub url: String,
    /// The store's address; empty: Amazon's of the region.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// Who asks.
    pub access_key_id: String,
    /// The secret of it.
    pub secret_access_key: Secret,
    /// A file that holds it instead.
    pub secret_access_key_file: String,
}

impl LakeConfig {
    /// How the lake is kept.
    ///
    /// # Errors
    /// What is wrong with `retention_days_of`, in one sentence.
    pub fn options(&self) -> Result<LakeOptions, String> {
        let aging = schema::STORED.iter().filter(|table| table.time_column().is_some());
        let mut days: BTreeMap<&'static str, u64> = aging.map(|table| (table.name, self.retention_days)).collect();
        for entry in list_of(&self.retention_days_of) {
            let parsed =
                entry.split_once(':').and_then(|(table, days)| Some((table.trim(), days.trim().parse().ok()?)));
            let Some((table, of_table)) = parsed else {
                return Err(format!(
                    "lake.retention_days_of: {entry:?} is no table and days: write such as messages:365"
                ));
            };
            let known = days.keys().copied().collect::<Vec<_>>().join(", ");
            let Some(kept) = days.get_mut(table) else {
                return Err(format!(
                    "lake.retention_days_of: {table:?} keeps no rows that age; those that do are {known}"
                ));
            };
            *kept = of_table;
        }
        let kept = days.into_iter().filter(|(_, days)| *days > 0);
        Ok(LakeOptions {
            publish: self.publish,
            keep_replaced: Duration::from_secs(self.keep_replaced_minutes.saturating_mul(60)),
            retention: kept.map(|(table, days)| (table, Duration::from_secs(days.saturating_mul(86_400)))).collect(),
            remote: None,
        })
    }

    /// The bucket that holds a copy of the lake, if there is one.
    ///
    /// # Errors
    /// What is wrong, in one sentence.
    pub fn bucket(&self) -> Result<Option<BucketOptions>, String> {
        if self.url.is_empty() {
            return Ok(None);
        }
        let wrong = || format!("lake.url: {:?} is no bucket: write such as s3://bucket/prefix", self.url);
        let place = self.url.strip_prefix("s3://").ok_or_else(wrong)?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() {
            return Err(wrong());
        }
        if !self.publish {
            return Err(
                "lake.url is set, but lake.publish is false: set it, so that there is something to copy".to_owned()
            );
        }
        let endpoint = if self.endpoint.is_empty() {
            format!("https://s3.{}.amazonaws.com", self.region)
        } else {
            self.endpoint.clone()
        };
        let is_address = url::Url::parse(&endpoint).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && matches!(url.path(), "" | "/")
        });
        if !is_address {
            return Err(format!("lake.endpoint: {endpoint:?} is no address: write http:// or https:// and the host"));
        }
        let secret = match (self.secret_access_key.expose(), self.secret_access_key_file.as_str()) {
            (Some(secret), "") => secret.to_owned(),
            (None, file) if !file.is_empty() => std::fs::read_to_string(file)
                .map_err(|error| format!("lake.secret_access_key_file: {file} cannot be read: {error}"))?
                .trim()
                .to_owned(),
            _ => return Err("lake.url wants one of lake.secret_access_key and lake.secret_access_key_file".to_owned()),
        };
        if self.access_key_id.is_empty() || secret.is_empty() || self.region.is_empty() {
            return Err("lake.url wants lake.access_key_id, its secret, and lake.region".to_owned());
        }
        Ok(Some(BucketOptions {
            endpoint,
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            region: self.region.clone(),
            access_key_id: self.access_key_id.clone(),
            secret_access_key: secret,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> LakeConfig {
        let defaults: toml::Table = crate::config::DEFAULTS.parse().unwrap();
        defaults["lake"].clone().try_into().unwrap()
    }

    fn config(retention_days: u64, of: &str) -> LakeConfig {
        LakeConfig { retention_days, retention_days_of: of.to_owned(), ..defaults() }
    }

    #[test]
    fn tables_have_an_age_of_their_own_or_that_of_all() {
        assert!(config(0, "").options().unwrap().retention.is_empty());
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let kept = config(730, "messages: 365, kpi_minute:0").options().unwrap().retention;
        assert_eq!(kept.get("messages"), Some(&days(365)));
        assert_eq!(kept.get("deliveries"), Some(&days(730)));
        assert_eq!((kept.get("kpi_minute"), kept.get("contacts")), (None, None));
        assert_eq!(config(0, "messages:7").options().unwrap().retention.len(), 1);
        let unknown = config(0, "contacts:7").options().unwrap_err();
        assert!(unknown.contains("\"contacts\" keeps no rows that age") && unknown.contains("messages"), "{unknown}");
        assert!(config(0, "messages").options().unwrap_err().contains("messages:365"));
    }

    #[test]
    fn a_bucket_has_a_name_an_address_and_a_secret() {
        assert!(defaults().bucket().unwrap().is_none());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "the secret\n").unwrap();
        let config = LakeConfig {
            url: "s3://lake/of/ours/".to_owned(),
            region: "eu-central-1".to_owned(),
            access_key_id: "id".to_owned(),
            secret_access_key_file: file.display().to_string(),
            ..defaults()
        };
        let bucket = config.bucket().unwrap().unwrap();
        assert_eq!((bucket.bucket.as_str(), bucket.prefix.as_str()), ("lake", "of/ours"));
        assert_eq!(bucket.endpoint, "https://s3.eu-central-1.amazonaws.com");
        assert_eq!(bucket.secret_access_key, "the secret");
        let wrong = |config: LakeConfig| config.bucket().unwrap_err();
        assert!(wrong(LakeConfig { url: "gs://lake".to_owned(), ..config.clone() }).contains("lake.url"));
        assert!(wrong(LakeConfig { endpoint: "minio".to_owned(), ..config.clone() }).contains("lake.endpoint"));
        assert!(wrong(LakeConfig { secret_access_key_file: String::new(), ..config.clone() }).contains("wants one of"));
        assert!(wrong(LakeConfig { access_key_id: String::new(), ..config.clone() }).contains("lake.access_key_id"));
        assert!(wrong(LakeConfig { publish: false, ..config }).contains("lake.publish"));
    }
}
