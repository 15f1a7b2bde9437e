//! An echo server over the hub's own WebSocket frames, for conformance suites:
//! `cargo run -p gateway --example echo -- 127.0.0.1:9001`, then point Autobahn's `wstest -m fuzzingclient` at it.
//!
//! `client_disconnect_timeout` is zero here, since the suite expects the TCP connection to end with the close handshake.

use std::time::Duration;

use actix_web::{App, HttpServer, web};
use gateway::realtime::{echo, on_connect};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    HttpServer::new(|| App::new().default_service(web::to(echo)))
        .on_connect(on_connect(64 << 10))
        .client_disconnect_timeout(Duration::ZERO)
        .workers(2)
        .bind(address)?
        .run()
        .await
}
