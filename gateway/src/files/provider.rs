//! Files that stand at a provider and may want the channel's credentials.
//!
//! Addresses come from webhooks that were believed, and yet only the provider's own host is asked, and only redirections to
//! hosts that the provider is known to keep files at are followed, without the credentials.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::LOCATION;
use schemas::channel::Credentials;
use url::Url;

/// How long a provider may take for a file.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Redirections that are followed.
const REDIRECTIONS: usize = 3;
/// The ends of the hosts to which Twilio sends those who ask for a file.
const KEEPERS: &[&str] = &[".twilio.com", ".twiliocdn.com", ".amazonaws.com"];

/// Why a file of a provider is not there.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is not at the channel's provider.
    #[error("the file is not at the provider of its channel")]
    Elsewhere,
    /// The provider does not have it any more.
    #[error("the provider has no such file")]
    Gone,
    /// It is larger than what is shown.
    #[error("the file is larger than {0} bytes")]
    TooLarge(usize),
    /// The provider did not give it.
    #[error("the provider did not give the file: status {0}")]
    Status(u16),
    /// The provider could not be asked.
    #[error("the provider cannot be asked for the file")]
    Unreachable(#[from] reqwest::Error),
}

/// A client for providers' files.
///
/// # Errors
/// If the TLS library cannot be set up.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(TIMEOUT).build()
}

/// Fetches a file of a channel.
///
/// # Errors
/// [`FetchError`].
pub async fn fetch(
    client: &reqwest::Client,
    credentials: &Credentials,
    url: &str,
    max_bytes: usize,
) -> Result<Bytes, FetchError> {
    let Credentials::Twilio { account_sid, auth_tokens, api_base, .. } = credentials else {
        return Err(FetchError::Elsewhere);
    };
    let (Ok(mut url), Ok(base)) = (Url::parse(url), Url::parse(api_base)) else { return Err(FetchError::Elsewhere) };
    if url.origin() != base.origin() {
        return Err(FetchError::Elsewhere);
    }
    let token = auth_tokens.first().map(|token| token.expose().to_owned());
    for _ in 0..=REDIRECTIONS {
        let mut request = client.get(url.clone());
        if url.origin() == base.origin() {
            request = request.basic_auth(account_sid, token.as_deref());
        }
        let answer = request.send().await?;
        let status = answer.status();
        if status.is_redirection() {
            let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            url = to.and_then(|to| url.join(to).ok()).ok_or(FetchError::Status(status.as_u16()))?;
            if url.origin() != base.origin() && !is_keeper(&url) {
                return Err(FetchError::Elsewhere);
            }
            continue;
        }
        return match status.as_u16() {
            200 => read(answer, max_bytes).await,
            404 | 410 => Err(FetchError::Gone),
            other => Err(FetchError::Status(other)),
        };
    }
    Err(FetchError::Elsewhere)
}

fn is_keeper(url: &Url) -> bool {
    url.scheme() == "https" && url.host_str().is_some_and(|host| KEEPERS.iter().any(|end| host.ends_with(end)))
}

async fn read(mut answer: reqwest::Response, max_bytes: usize) -> Result<Bytes, FetchError> {
    let mut content = BytesMut::new();
    while let Some(chunk) = answer.chunk().await? {
        if content.len() + chunk.len() > max_bytes {
            return Err(FetchError::TooLarge(max_bytes));
        }
        content.extend_from_slice(&chunk);
    }
    Ok(content.freeze())
}
