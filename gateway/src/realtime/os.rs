//! What a socket needs of the operating system: small buffers, short timeouts, and an end that cannot be blocked.
//!
//! A client that does not read would otherwise hide megabytes in the kernel, and its connection would wait for ever in a
//! write. So the send buffer is bounded, the kernel gives up unacknowledged data after a time, and a stalled connection
//! is reset: `shutdown` wakes actix's dispatcher with an error, and `SO_LINGER` of zero lets the kernel drop the unsent.

use std::any::Any;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use socket2::SockRef;

/// After this long without an acknowledgement (or with a closed window) the kernel ends a connection.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// The descriptor of a connection, for [`send_now`] and [`abort`] alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketDescriptor(RawFd);

#[cfg(test)]
impl SocketDescriptor {
    pub(crate) fn of(socket: &impl AsRawFd) -> Self {
        Self(socket.as_raw_fd())
    }
}

/// Sets the options of an accepted connection: no Nagle, a bounded send buffer, `TCP_USER_TIMEOUT`.
pub fn tune_socket(stream: &TcpStream, send_buffer_bytes: usize) {
    let socket = SockRef::from(stream);
    let results = [
        socket.set_tcp_nodelay(true),
        socket.set_send_buffer_size(send_buffer_bytes),
        socket.set_tcp_user_timeout(Some(USER_TIMEOUT)),
    ];
    for error in results.into_iter().filter_map(Result::err) {
        // The connection works without; the client may already be gone.
        tracing::debug!(%error, "a socket option could not be set");
    }
}

/// For `HttpServer::on_connect`: tunes the connection and notes its descriptor, so that a stalled socket can be reset.
pub fn on_connect(send_buffer_bytes: usize) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync + Clone + 'static {
    move |io, extensions| {
        if let Some(stream) = io.downcast_ref::<TcpStream>() {
            tune_socket(stream, send_buffer_bytes);
            extensions.insert(SocketDescriptor(stream.as_raw_fd()));
        }
    }
}

/// Gives bytes to the kernel without waiting; how many it took, 0 if it has no room.
///
/// To be called under the same conditions as [`abort`].
///
/// # Errors
/// If the connection is broken.
#[expect(unsafe_code, reason = "as for abort")]
pub(crate) fn send_now(descriptor: SocketDescriptor, bytes: &[u8]) -> std::io::Result<usize> {
    // SAFETY: as in `abort`.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor.0) };
    match SockRef::from(&borrowed).send(bytes) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        sent => sent,
    }
}

/// Resets a connection whose response body is still alive.
///
/// To be called only on the worker thread of the connection, and only while its body has not been dropped: the
/// dispatcher owns both the body and the TCP stream and lives on that one thread, so the descriptor is then still its.
#[expect(
    unsafe_code,
    reason = "actix gives no handle to a connection; holding a duplicate would double the descriptors"
)]
pub(crate) fn abort(descriptor: SocketDescriptor) {
    // SAFETY: by the contract above the descriptor is open and stays open for the length of this call, because whatever
    // would close it runs on this same thread.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor.0) };
    let socket = SockRef::from(&borrowed);
    let results = [socket.set_linger(Some(Duration::ZERO)), socket.shutdown(std::net::Shutdown::Both)];
    for error in results.into_iter().filter_map(Result::err) {
        tracing::debug!(%error, "a stalled connection could not be reset");
    }
}
