//! A bucket of an S3-compatible store as a place for the lake.
//!
//! Commits of the Delta log are put with `If-None-Match: *`, so that of two writers one is refused. That, listing, reading,
//! removing and uploading in parts is all that the lake needs of S3; it is spoken here directly, over the HTTP client and the
//! hashes that the hub has anyway. Addresses are of the form `endpoint/bucket/key`.

mod signature;

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::analytics::lake::{Place, PlaceError};
use bytes::Bytes;
use reqwest::{Client, Method, StatusCode};
use storage::clock::Clock;
use tokio::runtime::Handle;

use self::signature::{Request, Signer, encode, query};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request may take, as a whole.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(2);
/// Files above this size, in bytes, are uploaded in parts of it. S3 wants parts of at least 5 MiB.
const PART_BYTES: usize = 16 << 20;
/// The most parts of a file: what S3 takes.
const MAX_PARTS: usize = 10_000;
/// The most pages of a listing, of a thousand names each.
const MAX_PAGES: usize = 1_000;
/// How much of a refusal is told, in characters.
const REFUSAL_CHARS: usize = 300;

/// Where a bucket is, and who asks for it.
#[derive(Clone, Debug)]
pub struct BucketOptions {
    /// The store: `https://s3.eu-central-1.amazonaws.com`, `http://127.0.0.1:9000`.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with, without slashes at the ends; may be empty.
    pub prefix: String,
    /// The region that requests are signed for.
    pub region: String,
    /// Who asks.
    pub access_key_id: String,
    /// The secret of it.
    pub secret_access_key: String,
}

/// A bucket.
#[derive(Debug)]
pub struct Bucket {
    client: Client,
    endpoint: String,
    host: String,
    /// The bucket and the prefix, encoded, with slashes before each part.
    base: String,
    name: String,
    prefix: String,
    signer: Signer,
    clock: Arc<dyn Clock>,
    runtime: Handle,
}

/// Why a request has failed.
#[derive(Debug, thiserror::Error)]
enum BucketError {
    #[error("the store cannot be reached or broke off")]
    Http(#[from] reqwest::Error),
    #[error("the store answered {status}: {reason}")]
    Refused { status: StatusCode, reason: String },
    #[error("the file cannot be read")]
    File(#[from] std::io::Error),
    #[error("the store's answer lacks {0}")]
    Lacks(&'static str),
    #[error("there are over {0}")]
    TooMany(&'static str),
}

impl Bucket {
    /// A bucket, asked on `runtime`. Nothing is asked yet.
    ///
    /// # Errors
    /// If the endpoint is no address, or no HTTP client can be made.
    pub fn new(options: BucketOptions, clock: Arc<dyn Clock>, runtime: Handle) -> anyhow::Result<Self> {
        let url = url::Url::parse(&options.endpoint)?;
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let parts = std::iter::once(options.bucket.as_str()).chain(segments(&options.prefix));
        Ok(Self {
            client: Client::builder()
                .user_agent(concat!("saler/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(REQUEST_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .build()?,
            base: parts.fold(String::new(), |base, part| base + "/" + &encode(part)),
            endpoint: options.endpoint.trim_end_matches('/').to_owned(),
            host,
            name: options.bucket,
            prefix: options.prefix,
            signer: Signer {
                access_key_id: options.access_key_id,
                secret_access_key: options.secret_access_key,
                region: options.region,
            },
            clock,
            runtime,
        })
    }

    fn path(&self, key: &str) -> String {
        segments(key).fold(self.base.clone(), |path, part| path + "/" + &encode(part))
    }

    /// Sends a request and reads its answer. `only_new`: refused with 412 if there is such a key.
    async fn send(
        &self,
        method: Method,
        path: &str,
        parts: &[(&str, &str)],
        body: Bytes,
        only_new: bool,
    ) -> Result<(StatusCode, Option<String>, Bytes), BucketError> {
        let signed = self.signer.sign(&Request {
            method: method.as_str(),
            host: &self.host,
            path,
            query: parts,
            body: &body,
            at: self.clock.now(),
        });
        let question = if parts.is_empty() { String::new() } else { format!("?{}", query(parts)) };
        let mut request = self
            .client
            .request(method, format!("{}{path}{question}", self.endpoint))
            .header("x-amz-date", signed.date)
            .header("x-amz-content-sha256", signed.content_hash)
            .header("authorization", signed.authorization)
            .body(body);
        if only_new {
            request = request.header("if-none-match", "*");
        }
        let answer = request.send().await?;
        let status = answer.status();
        let etag = answer.headers().get("etag").and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        Ok((status, etag, answer.bytes().await?))
    }

    async fn done(
        &self,
        method: Method,
        path: &str,
        parts: &[(&str, &str)],
        body: Bytes,
    ) -> Result<(Option<String>, Bytes), BucketError> {
        let (status, etag, body) = self.send(method, path, parts, body, false).await?;
        if status.is_success() { Ok((etag, body)) } else { Err(refused(status, &body)) }
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>, BucketError> {
        let prefix = segments(&self.prefix).chain(segments(folder)).fold(String::new(), |path, part| path + part + "/");
        let path = format!("/{}", encode(&self.name));
        let mut names = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut parts = vec![("delimiter", "/"), ("list-type", "2"), ("prefix", prefix.as_str())];
            parts.extend(token.as_deref().map(|token| ("continuation-token", token)));
            let (_, body) = self.done(Method::GET, &path, &parts, Bytes::new()).await?;
            let text = String::from_utf8_lossy(&body);
            let keys = elements(&text, "Contents").filter_map(|contents| elements(contents, "Key").next());
            names.extend(keys.filter_map(|key| unescape(key).strip_prefix(&prefix).map(str::to_owned)));
            token = elements(&text, "NextContinuationToken").next().map(unescape);
            if token.is_none() {
                return Ok(names);
            }
        }
        Err(BucketError::TooMany("a million files in a folder"))
    }

    async fn upload_in_parts(&self, path: &str, mut file: File) -> Result<(), BucketError> {
        let (_, body) = self.done(Method::POST, path, &[("uploads", "")], Bytes::new()).await?;
        let text = String::from_utf8_lossy(&body);
        let upload = elements(&text, "UploadId").next().map(unescape).ok_or(BucketError::Lacks("UploadId"))?;
        let sent = self.send_parts(path, &upload, &mut file).await;
        let completed = match sent {
            Ok(parts) => {
                let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
                let (_, body) = self.done(Method::POST, path, &[("uploadId", &upload)], body.into()).await?;
                // S3 answers 200 before it knows, and tells of a failure in the body.
                let text = String::from_utf8_lossy(&body);
                let failed = elements(&text, "Code").next();
                failed.map_or(Ok(()), |_code| Err(refused(StatusCode::INTERNAL_SERVER_ERROR, &body)))
            }
            Err(error) => Err(error),
        };
        if completed.is_err() {
            // Parts that are not put together would be kept and paid for.
            let _aborted = self.done(Method::DELETE, path, &[("uploadId", &upload)], Bytes::new()).await;
        }
        completed
    }

    async fn send_parts(&self, path: &str, upload: &str, file: &mut File) -> Result<String, BucketError> {
        let mut parts = String::new();
        for number in 1..=MAX_PARTS {
            let part = read_part(file)?;
            if part.is_empty() {
                return Ok(parts);
            }
            let text = number.to_string();
            let parameters = [("partNumber", text.as_str()), ("uploadId", upload)];
            let (etag, _) = self.done(Method::PUT, path, &parameters, part.into()).await?;
            let etag = etag.ok_or(BucketError::Lacks("an ETag"))?;
            // Writing to a String cannot fail.
            let _written = write!(parts, "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
        }
        Err(BucketError::TooMany("ten thousand parts of a file"))
    }
}

impl Place for Bucket {
    fn list(&self, folder: &str) -> Result<Vec<String>, PlaceError> {
        self.runtime.block_on(self.list(folder)).map_err(|source| PlaceError::new("list", folder, source))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, PlaceError> {
        let read = self.runtime.block_on(self.done(Method::GET, &self.path(path), &[], Bytes::new()));
        read.map(|(_, body)| body.to_vec()).map_err(|source| PlaceError::new("read", path, source))
    }

    fn create(&self, path: &str, content: &[u8]) -> Result<bool, PlaceError> {
        let failed = |source| PlaceError::new("write", path, source);
        let body = Bytes::copy_from_slice(content);
        let sent = self.runtime.block_on(self.send(Method::PUT, &self.path(path), &[], body, true));
        match sent.map_err(failed)? {
            (status, ..) if status.is_success() => Ok(true),
            // 409: another writes it at this moment; whether it succeeds is seen when the log is read again.
            (StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT, ..) => Ok(false),
            (status, _, body) => Err(failed(refused(status, &body))),
        }
    }

    fn replace(&self, path: &str, content: &[u8]) -> Result<(), PlaceError> {
        let body = Bytes::copy_from_slice(content);
        let sent = self.runtime.block_on(self.done(Method::PUT, &self.path(path), &[], body));
        sent.map(drop).map_err(|source| PlaceError::new("write", path, source))
    }

    fn remove(&self, path: &str) -> Result<(), PlaceError> {
        let sent = self.runtime.block_on(self.send(Method::DELETE, &self.path(path), &[], Bytes::new(), false));
        let failed = |source| PlaceError::new("remove", path, source);
        match sent.map_err(failed)? {
            (status, ..) if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            (status, _, body) => Err(failed(refused(status, &body))),
        }
    }

    fn bring(&self, path: &str, from: &Path) -> Result<(), PlaceError> {
        let bring = async {
            let mut file = File::open(from)?;
            if file.metadata()?.len() > PART_BYTES as u64 {
                return self.upload_in_parts(&self.path(path), file).await;
            }
            let body = read_part(&mut file)?;
            self.done(Method::PUT, &self.path(path), &[], body.into()).await.map(drop)
        };
        self.runtime.block_on(bring).map_err(|source| PlaceError::new("upload", path, source))
    }
}

fn read_part(file: &mut File) -> Result<Vec<u8>, std::io::Error> {
    let mut part = Vec::new();
    file.take(PART_BYTES as u64).read_to_end(&mut part)?;
    Ok(part)
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

fn refused(status: StatusCode, body: &[u8]) -> BucketError {
    let text = String::from_utf8_lossy(body);
    let told: Vec<_> = ["Code", "Message"].iter().filter_map(|name| elements(&text, name).next()).collect();
    let reason = if told.is_empty() { text.into_owned() } else { told.join(", ") };
    BucketError::Refused { status, reason: reason.chars().take(REFUSAL_CHARS).collect() }
}

/// What stands in each element of this name. S3's answers have no attributes on those that matter, and nest none in itself.
fn elements<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (content, after) = after.split_once(&close)?;
        rest = after;
        Some(content)
    })
}

fn unescape(text: &str) -> String {
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&apos;", "'"), ("&#39;", "'")];
    let plain = named.iter().fold(text.to_owned(), |text, (name, character)| text.replace(name, character));
    plain.replace("&amp;", "&")
}
