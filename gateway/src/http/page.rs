//! The pages: the web console, or the built-in page where the binary was built without one.
//!
//! The console is one page for all its addresses, so every address that no other route has is the console's if a browser asks
//! for a page there. The page itself is never kept, as it holds a nonce; files with a hash in their name are kept for a year.

use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use console::{Asset, Console};

use super::error::ApiError;
use super::not_found;

/// For files whose name changes with their content.
const KEPT_LONG: &str = "public, max-age=31536000, immutable";
/// For other files: five minutes.
const KEPT_SHORTLY: &str = "public, max-age=300";
/// What the console has no use for.
const PERMISSIONS: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=()";

/// Adds the pages.
pub fn configure(service: &mut web::ServiceConfig) {
    if let Some(console) = console::console() {
        serve(service, console);
    } else {
        service
            .route("/", web::get().to(index))
            .route("/page.js", web::get().to(script))
            .route("/page.css", web::get().to(style));
    }
}

fn serve(service: &mut web::ServiceConfig, console: &'static Console) {
    service
        .route("/", web::get().to(move || async move { page_of(console) }))
        .route("/{file:assets/.+|icon\\.svg}", web::get().to(move |request, path| file(console, request, path)));
}

/// Every address without a route of its own.
pub async fn anything_else(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let wants_page = request.method() == Method::GET && accepts(&request, header::ACCEPT, "text/html");
    match console::console() {
        Some(console) if wants_page => Ok(page_of(console)),
        _ => not_found().await,
    }
}

fn page_of(console: &Console) -> HttpResponse {
    let nonce = STANDARD.encode(rand::random::<[u8; 16]>());
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, console.policy(&nonce)))
        .insert_header((header::HeaderName::from_static("permissions-policy"), PERMISSIONS))
        .body(console.page(&nonce))
}

async fn file(
    console: &'static Console,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    match console.asset(&path) {
        Some(asset) => Ok(answer(asset, &request, path.starts_with("assets/"))),
        None => not_found().await,
    }
}

/// A file in the form that the browser takes, or that it has it already.
pub(super) fn answer(asset: &Asset, request: &HttpRequest, kept_long: bool) -> HttpResponse {
    let (encoding, content) = choose(asset, request);
    // Each form is another content to a cache.
    let etag = format!("\"{}-{}\"", asset.etag, encoding.unwrap_or("plain"));
    let known = request.headers().get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::CACHE_CONTROL, if kept_long { KEPT_LONG } else { KEPT_SHORTLY }))
        .insert_header((header::ETAG, etag))
        .insert_header((header::VARY, "Accept-Encoding"));
    if known {
        return response.finish();
    }
    if let Some(encoding) = encoding {
        response.insert_header((header::CONTENT_ENCODING, encoding));
    }
    response.content_type(asset.media_type).body(content)
}

/// The smallest form that the browser takes.
fn choose(asset: &Asset, request: &HttpRequest) -> (Option<&'static str>, Bytes) {
    let forms = [("br", &asset.br), ("gzip", &asset.gzip)];
    let form = forms.into_iter().find_map(|(encoding, content)| {
        let content = content.as_ref().filter(|_| accepts(request, header::ACCEPT_ENCODING, encoding))?;
        Some((Some(encoding), content.clone()))
    });
    form.unwrap_or((None, asset.plain.clone()))
}

/// Whether a header of alternatives names this one, and not with a weight of nothing.
fn accepts(request: &HttpRequest, header: header::HeaderName, wanted: &str) -> bool {
    let values = request.headers().get_all(header).filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|alternative| {
        let mut parts = alternative.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
        let refused = parts.any(|part| {
            part.strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok()).is_some_and(|weight| weight <= 0.0)
        });
        named && !refused
    })
}

async fn index() -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(include_str!("../page/index.html"))
}

async fn script() -> HttpResponse {
    HttpResponse::Ok().content_type("text/javascript; charset=utf-8").body(include_str!("../page/page.js"))
}

async fn style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(include_str!("../page/page.css"))
}

#[cfg(test)]
mod tests {
    use actix_web::http::{StatusCode, header};
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, web};
    use bytes::Bytes;
    use console::Asset;

    use super::{accepts, answer, anything_else};

    fn asset() -> Asset {
        Asset {
            plain: Bytes::from_static(b"plain"),
            br: Some(Bytes::from_static(b"br")),
            gzip: Some(Bytes::from_static(b"gzip")),
            etag: "tag".to_owned(),
            media_type: "text/javascript; charset=utf-8",
        }
    }

    #[actix_web::test]
    async fn a_file_comes_in_the_smallest_form_that_is_taken_and_not_twice() {
        let cases = [("gzip, deflate, br", Some("br")), ("gzip, br;q=0", Some("gzip")), ("identity", None), ("", None)];
        for (accepted, encoding) in cases {
            let request = TestRequest::default().insert_header((header::ACCEPT_ENCODING, accepted)).to_http_request();
            let response = answer(&asset(), &request, true);
            assert_eq!(response.status(), StatusCode::OK);
            let found =
                response.headers().get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(found.as_deref(), encoding, "{accepted}");
            assert_eq!(response.headers().get(header::CACHE_CONTROL).unwrap(), super::KEPT_LONG);
            let known = response.headers().get(header::ETAG).unwrap().clone();
            let again = TestRequest::default()
                .insert_header((header::ACCEPT_ENCODING, accepted))
                .insert_header((header::IF_NONE_MATCH, known))
                .to_http_request();
            assert_eq!(answer(&asset(), &again, true).status(), StatusCode::NOT_MODIFIED);
        }
    }

    #[actix_web::test]
    async fn only_a_browser_that_wants_a_page_gets_one_elsewhere() {
        let app = init_service(App::new().default_service(web::to(anything_else))).await;
        let ask = |accept: &'static str| TestRequest::get().uri("/inbox/1").insert_header((header::ACCEPT, accept));
        let program = call_service(&app, ask("application/json").to_request()).await;
        assert_eq!(program.status(), StatusCode::NOT_FOUND);
        let browser = call_service(&app, ask("text/html,*/*;q=0.8").to_request()).await;
        if console::console().is_none() {
            assert_eq!(browser.status(), StatusCode::NOT_FOUND);
            return;
        }
        assert_eq!(browser.status(), StatusCode::OK);
        let policy = browser.headers().get(header::CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap().to_owned();
        let page = String::from_utf8(read_body(browser).await.to_vec()).unwrap();
        let nonce = page.split_once("nonce=\"").unwrap().1.split_once('"').unwrap().0;
        assert!(policy.contains(&format!("'nonce-{nonce}'")), "{policy}");
        assert!(page.contains("/assets/"), "the page refers to its script");
    }

    #[test]
    fn a_weight_of_nothing_is_a_refusal() {
        let request = TestRequest::default().insert_header((header::ACCEPT, "a/b;q=0.0, c/d;q=0.5")).to_http_request();
        assert!(!accepts(&request, header::ACCEPT, "a/b"));
        assert!(accepts(&request, header::ACCEPT, "C/D"));
    }
}
