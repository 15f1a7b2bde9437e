//! The yardstick for webhooks: the same HTTP server as the hub's, which checks Twilio's signature, answers 200, and forgets.
//! It runs in a process of its own, as the hub does.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::web::{Bytes, Data, PayloadConfig, post};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};

use crate::twilio::{decode_form, signature};

const MAX_BODY_BYTES: usize = 64 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// What the server is started with.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// The base that signatures are made for.
    #[arg(long)]
    pub public_url: String,
    /// The auth token that signs.
    #[arg(long)]
    pub auth_token: String,
    /// Serving threads; as many as the machine has cores if absent.
    #[arg(long)]
    pub workers: Option<usize>,
}

struct Checker {
    public_url: String,
    auth_token: String,
}

/// Serves until the process is told to stop.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve(options: Options) -> std::io::Result<()> {
    let checker = Data::new(Checker { public_url: options.public_url, auth_token: options.auth_token });
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(Data::clone(&checker))
            .app_data(PayloadConfig::new(MAX_BODY_BYTES))
            .route("/webhooks/twilio/{channel_id}", post().to(check))
    })
    .keep_alive(KEEP_ALIVE);
    if let Some(workers) = options.workers {
        server = server.workers(workers);
    }
    server.bind(options.listen)?.run().await
}

async fn check(request: HttpRequest, body: Bytes, checker: Data<Checker>) -> HttpResponse {
    let given = request.headers().get("X-Twilio-Signature").and_then(|value| value.to_str().ok());
    let url = format!("{}{}", checker.public_url, request.uri());
    let expected = signature(&checker.auth_token, &url, &decode_form(&body));
    if given == Some(expected.as_str()) {
        HttpResponse::Ok().content_type("text/xml").body("<Response/>")
    } else {
        HttpResponse::Forbidden().finish()
    }
}
