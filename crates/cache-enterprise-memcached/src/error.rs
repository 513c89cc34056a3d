//! The client's errors in the words of core.
//!
//! Texts of a server or of a broken stream are never passed on: what is read out of step may be a
//! part of somebody's value.

use std::io;

use cache_enterprise_core::{Error, ErrorKind};
use memcache::exp;
use memcache::{CommandError, MemcacheError};

pub(crate) const NO_TOKENS: &str = "the server gives no tokens (option -C), and without them an older value could replace a newer \
     one; start it without";

pub(crate) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Closed, "the backend was closed").operation(operation)
}

pub(crate) fn timeout(server: &str) -> Error {
    at(server, ErrorKind::Timeout, "the server did not answer in time")
}

pub(crate) fn overloaded(server: &str) -> Error {
    at(server, ErrorKind::Overloaded, "too many calls are waiting for the server")
}

/// A reply that does not belong to its request, or that is none.
pub(crate) fn out_of_step(server: &str) -> Error {
    at(server, ErrorKind::Unavailable, "the server's reply does not fit the request")
}

/// A server that was started with option `-C`.
pub(crate) fn no_tokens(server: &str) -> Error {
    at(server, ErrorKind::Config, NO_TOKENS)
}

pub(crate) fn at(server: &str, kind: ErrorKind, text: &str) -> Error {
    Error::new(kind, text).with("server", server)
}

/// A failed socket.
pub(crate) fn from_io(server: &str, cause: io::Error) -> Error {
    match cause.kind() {
        // What a socket's own timeout looks like on a blocking socket is `WouldBlock`.
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => timeout(server),
        _ => at(server, ErrorKind::Unavailable, "cannot reach the server").source_error(cause),
    }
}

/// A failure of the meta client.
pub(crate) fn from_meta(server: &str, cause: exp::Error) -> Error {
    match cause {
        exp::Error::Io(cause) => from_io(server, cause),
        exp::Error::Timeout { .. } => timeout(server),
        exp::Error::Server(text) => from_server_text(server, &text),
        exp::Error::Rejected(text) if text.contains("unauthenticated") => unauthenticated(server),
        exp::Error::Rejected(_) => at(
            server,
            ErrorKind::Unsupported,
            "the server does not take the meta protocol, which came with memcached 1.6; choose \
             another protocol",
        ),
        exp::Error::Usage(_) => {
            at(server, ErrorKind::InvalidInput, "the client refused to send the request")
        }
        _ => out_of_step(server),
    }
}

/// A failure of the classic client.
pub(crate) fn from_classic(server: &str, cause: MemcacheError) -> Error {
    match cause {
        MemcacheError::IOError(cause) => from_io(server, cause),
        MemcacheError::ServerError(memcache::ServerError::Error(text)) => {
            from_server_text(server, &text)
        }
        MemcacheError::CommandError(CommandError::ValueTooLarge) => too_large(server),
        MemcacheError::CommandError(CommandError::AuthenticationRequired) => {
            unauthenticated(server)
        }
        MemcacheError::CommandError(CommandError::Unknown(0x82)) => out_of_memory(server),
        MemcacheError::ClientError(memcache::ClientError::Error(text))
            if text.contains("unauthenticated") || text.contains("authentication failure") =>
        {
            unauthenticated(server)
        }
        MemcacheError::PoolError(_) => {
            at(server, ErrorKind::Unavailable, "no connection to the server could be made")
        }
        _ => out_of_step(server),
    }
}

fn from_server_text(server: &str, text: &str) -> Error {
    if text.contains("too large") {
        too_large(server)
    } else if text.contains("out of memory") {
        out_of_memory(server)
    } else {
        at(server, ErrorKind::Unavailable, "the server answered with a fault of its own")
    }
}

fn too_large(server: &str) -> Error {
    at(server, ErrorKind::TooLarge, "the server takes no item of this size")
}

fn out_of_memory(server: &str) -> Error {
    at(server, ErrorKind::Overloaded, "the server has no memory for the item")
}

fn unauthenticated(server: &str) -> Error {
    at(server, ErrorKind::Config, "the server refuses the user or the password")
}
