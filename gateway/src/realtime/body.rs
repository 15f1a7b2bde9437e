//! The response body of an upgraded connection: what is queued for the socket, as frames.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;

use super::connection::Connection;

/// Takes frames out of a connection's queue whenever actix has room for more.
#[derive(Debug)]
pub(crate) struct OutgoingBody(Arc<Connection>);

impl OutgoingBody {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self(connection)
    }
}

impl MessageBody for OutgoingBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.0.poll_bytes(context).map(|bytes| bytes.map(Ok))
    }
}

impl Drop for OutgoingBody {
    fn drop(&mut self) {
        self.0.body_dropped();
    }
}
