//! Behind a proxy, what is counted is counted for whom the proxy names, and for nobody whom the client only claims to be.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::app::TestApp;

/// A sign-in that fails, through a proxy that sends these header lines; each by another person, so that only the address
/// counts.
async fn fails(app: &TestApp, person: u32, forwarded: &[&str]) -> StatusCode {
    let body = json!({ "email": format!("nobody{person}@x.test"), "password": "wrong" });
    let mut request = app.client.request(Method::POST, format!("{}/api/v1/auth/sign-in", app.base)).json(&body);
    for line in forwarded {
        request = request.header("X-Forwarded-For", *line);
    }
    request.send().await.unwrap().status()
}

const LIMIT: (&str, &str) = ("SALER_AUTH__FAILURES_PER_MINUTE", "2");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_proxy_names_the_client_with_the_last_address() {
    let app = TestApp::start_with(&[LIMIT, ("SALER_HTTP__TRUSTED_PROXIES", r#"["127.0.0.1"]"#)]).await;
    let (waits, refused) = (StatusCode::TOO_MANY_REQUESTS, StatusCode::UNAUTHORIZED);
    assert_eq!(fails(&app, 1, &["198.51.100.7"]).await, refused);
    assert_eq!(fails(&app, 2, &["203.0.113.1, 198.51.100.7"]).await, refused);
    for lies in [&["198.51.100.8, 198.51.100.7"][..], &["198.51.100.8", "198.51.100.7"], &["::ffff:198.51.100.7"]] {
        assert_eq!(fails(&app, 3, lies).await, waits, "{lies:?}");
    }
    // Others do not wait for it: another client, and whoever the proxy does not name.
    for other in [&["198.51.100.7, 198.51.100.8"][..], &["not an address"], &[]] {
        assert_eq!(fails(&app, 4, other).await, refused, "{other:?}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_believed_who_is_not_a_trusted_proxy() {
    let app = TestApp::start_with(&[LIMIT]).await;
    assert_eq!(fails(&app, 1, &["198.51.100.7"]).await, StatusCode::UNAUTHORIZED);
    assert_eq!(fails(&app, 2, &["198.51.100.8"]).await, StatusCode::UNAUTHORIZED);
    assert_eq!(fails(&app, 3, &["198.51.100.9"]).await, StatusCode::TOO_MANY_REQUESTS);
    app.stop().await;
}
