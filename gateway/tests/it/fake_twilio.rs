//! A provider on loopback that speaks as much of Twilio's Messages resource as a hub needs that all goes well for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::app::{ACCOUNT, AUTH_TOKEN};

/// A file that begins as a picture does.
pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\nand the rest of it";

/// A message that the hub wants sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Post {
    /// The account of the path.
    pub(crate) account: String,
    /// The header `Authorization`.
    pub(crate) authorization: String,
    /// The form.
    pub(crate) form: BTreeMap<String, String>,
    /// The id that the message was given.
    pub(crate) sid: String,
}

type Taken = Arc<watch::Sender<Vec<Post>>>;

/// The running provider; it stops when dropped.
#[derive(Debug)]
pub(crate) struct FakeTwilio {
    /// Where its API is.
    pub(crate) base_url: String,
    taken: watch::Receiver<Vec<Post>>,
    handle: Mutex<Option<ServerHandle>>,
}

impl FakeTwilio {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let (taken, seen) = watch::channel(Vec::new());
        let shared: Taken = Arc::new(taken);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(Arc::clone(&shared)))
                .route("/2010-04-01/Accounts/{account}/Messages.json", web::post().to(take))
                .route("/2010-04-01/Accounts/{account}/Messages.json", web::get().to(list))
                .route("/2010-04-01/Accounts/{account}/Messages/{message}/Media/{media}", web::get().to(media))
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { base_url, taken: seen, handle: Mutex::new(Some(handle)) }
    }

    /// Waits for the `n`th message, 1 being the first.
    pub(crate) async fn message(&self, n: usize) -> Post {
        let mut taken = self.taken.clone();
        let posts = taken.wait_for(|posts| posts.len() >= n);
        let posts = tokio::time::timeout(std::time::Duration::from_mins(1), posts).await;
        posts.expect("the hub sends it").unwrap()[n - 1].clone()
    }

    /// How many messages it was given.
    pub(crate) fn count(&self) -> usize {
        self.taken.borrow().len()
    }
}

impl Drop for FakeTwilio {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.lock().unwrap().take() {
            drop(handle.stop(false));
        }
    }
}

async fn take(
    taken: web::Data<Taken>,
    account: web::Path<String>,
    request: HttpRequest,
    form: web::Form<BTreeMap<String, String>>,
) -> HttpResponse {
    let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let mut post = Post {
        account: account.into_inner(),
        authorization: authorization.unwrap_or_default().to_owned(),
        form: form.into_inner(),
        sid: String::new(),
    };
    taken.send_modify(|posts| {
        post.sid = format!("SM{:032x}", posts.len() + 1);
        posts.push(post.clone());
    });
    HttpResponse::Created().json(resource(&post))
}

/// A picture, for the account of the tests alone.
async fn media(request: HttpRequest) -> HttpResponse {
    let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let expected = format!("Basic {}", STANDARD.encode(format!("{ACCOUNT}:{AUTH_TOKEN}")));
    if authorization != Some(expected.as_str()) {
        return HttpResponse::Unauthorized().finish();
    }
    HttpResponse::Ok().content_type("image/jpeg").body(PNG)
}

async fn list(taken: web::Data<Taken>) -> HttpResponse {
    let messages: Vec<Value> = taken.borrow().iter().rev().map(resource).collect();
    HttpResponse::Ok().json(json!({ "messages": messages, "next_page_uri": null }))
}

fn resource(post: &Post) -> Value {
    json!({
        "sid": post.sid, "status": "queued", "error_code": null, "error_message": null, "direction": "outbound-api",
        "from": post.form.get("From"), "to": post.form.get("To"), "body": post.form.get("Body"), "num_media": "0",
        "date_created": "Thu, 01 Jan 2099 00:00:00 +0000", "messaging_service_sid": null,
    })
}
