//! Sends every message back, over the same frames and queues as the sockets: for conformance suites such as Autobahn's.
//!
//! No part of the hub's routes; `examples/echo.rs` serves it.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use futures::StreamExt;
use schemas::socket::MAX_CLIENT_MESSAGE_BYTES;
use tokio::time::Instant;

use super::connection::{Class, Connection};
use super::handler::handshake;
use super::os::SocketDescriptor;
use super::session::finish;
use super::wire::{Decoder, Incoming, Opcode};

/// A handler that upgrades and echoes.
pub async fn echo(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let connection = Connection::of_this_worker(0);
    let response = match handshake(&request, &connection) {
        Ok(response) => response,
        Err(refused) => return refused.response(),
    };
    let descriptor = request.conn_data::<SocketDescriptor>().copied();
    actix_web::rt::spawn(serve(connection, payload, descriptor));
    response
}

async fn serve(connection: Arc<Connection>, mut payload: web::Payload, descriptor: Option<SocketDescriptor>) {
    let mut decoder = Decoder::new(MAX_CLIENT_MESSAGE_BYTES);
    while connection.is_open() {
        tokio::select! {
            () = connection.ended() => break,
            chunk = payload.next() => match chunk {
                Some(Ok(bytes)) => {
                    connection.write_directly(descriptor);
                    decoder.feed(bytes);
                }
                Some(Err(_)) | None => break,
            },
        }
        while connection.is_open() {
            let push = |opcode, bytes| connection.push_as(opcode, &bytes, Class::Control, Instant::now());
            match decoder.next() {
                Ok(None) => break,
                Ok(Some(Incoming::Text(text))) => push(Opcode::Text, text),
                Ok(Some(Incoming::Binary(bytes))) => push(Opcode::Binary, bytes),
                Ok(Some(Incoming::Ping(bytes))) => push(Opcode::Pong, bytes),
                Ok(Some(Incoming::Pong)) => {}
                Ok(Some(Incoming::Close(code))) => connection.answer_close(code),
                Err(code) => connection.close(code),
            }
        }
    }
    finish(&connection, descriptor).await;
}
