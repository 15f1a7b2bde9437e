//! A store on loopback that speaks as much of S3 as the lake needs, conditional puts included.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::http::Method;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

/// Keys and what they hold.
type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// The running store, of one bucket; it stops when dropped.
#[derive(Debug)]
pub(crate) struct FakeBucket {
    /// Where it is.
    pub(crate) endpoint: String,
    objects: Objects,
    handle: ServerHandle,
}

impl FakeBucket {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let objects = Objects::default();
        let shared = Arc::clone(&objects);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(Arc::clone(&shared)))
                .app_data(web::PayloadConfig::new(64 << 20))
                .default_service(web::to(serve))
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { endpoint, objects, handle }
    }

    /// What is there.
    pub(crate) fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.objects.lock().unwrap().clone()
    }
}

impl Drop for FakeBucket {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

async fn serve(request: HttpRequest, body: web::Bytes, objects: web::Data<Objects>) -> HttpResponse {
    let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    if !authorization.is_some_and(|value| value.starts_with("AWS4-HMAC-SHA256 Credential=the-id/")) {
        return HttpResponse::Forbidden().body("<Error><Code>AccessDenied</Code></Error>");
    }
    let query = web::Query::<BTreeMap<String, String>>::from_query(request.query_string()).unwrap().into_inner();
    let key = request.match_info().unprocessed().trim_start_matches('/').to_owned();
    let key = url::form_urlencoded::parse(format!("k={}", key.replace('+', "%2B")).as_bytes())
        .next()
        .map(|(_, key)| key.into_owned())
        .unwrap();
    let mut objects = objects.lock().unwrap();
    if query.contains_key("list-type") {
        let prefix = format!("{key}/{}", query["prefix"]);
        let keys = objects.keys().filter_map(|found| Some((found, found.strip_prefix(&prefix)?)));
        let direct = keys.filter(|(_, rest)| !rest.contains('/')).map(|(found, _)| found.split_once('/').unwrap().1);
        let element = |found: &str| format!("<Contents><Key>{found}</Key></Contents>");
        let contents = direct.map(element).collect::<Vec<_>>().concat();
        return HttpResponse::Ok().body(format!("<ListBucketResult>{contents}</ListBucketResult>"));
    }
    let part = |number: &str| format!("{key} part {number:0>5}");
    match *request.method() {
        Method::POST if query.contains_key("uploads") => {
            HttpResponse::Ok().body("<Upload><UploadId>the-upload</UploadId></Upload>")
        }
        Method::POST => {
            let prefix = format!("{key} part ");
            let parts = objects.extract_if(.., |found, _| found.starts_with(&prefix));
            let whole: Vec<u8> = parts.flat_map(|(_, content)| content).collect();
            objects.insert(key, whole);
            HttpResponse::Ok().body("<Done></Done>")
        }
        Method::PUT if query.contains_key("partNumber") => {
            objects.insert(part(&query["partNumber"]), body.to_vec());
            HttpResponse::Ok().insert_header(("etag", "\"x\"")).finish()
        }
        Method::GET => match objects.get(&key) {
            Some(content) => HttpResponse::Ok().body(content.clone()),
            None => HttpResponse::NotFound().body("<Error><Code>NoSuchKey</Code></Error>"),
        },
        Method::PUT if request.headers().contains_key("if-none-match") && objects.contains_key(&key) => {
            HttpResponse::PreconditionFailed().body("<Error><Code>PreconditionFailed</Code></Error>")
        }
        Method::PUT => {
            objects.insert(key, body.to_vec());
            HttpResponse::Ok().insert_header(("etag", "\"x\"")).finish()
        }
        Method::DELETE => {
            objects.remove(&key);
            HttpResponse::NoContent().finish()
        }
        _ => HttpResponse::MethodNotAllowed().finish(),
    }
}
