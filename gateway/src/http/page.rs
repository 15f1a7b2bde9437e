//! The built-in page at `/`: sign-in and conversations arriving live. Three files, built in.

use actix_web::{HttpResponse, web};

/// Adds the page.
pub fn configure(service: &mut web::ServiceConfig) {
    service
        .route("/", web::get().to(index))
        .route("/page.js", web::get().to(script))
        .route("/page.css", web::get().to(style));
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
