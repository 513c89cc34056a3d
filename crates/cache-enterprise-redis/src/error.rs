//! Errors of the client and of the server in the words of core.
//!
//! A server quotes arguments in some of its errors ("unknown command, with args beginning with
//! ..."), and arguments are values. So nothing of a reply is passed on but its code and, of a
//! plain `ERR`, the words before the first quotation mark.

use std::io;
use std::sync::Arc;

use cache_enterprise_core::{Error, ErrorKind};
use redis::{RedisError, ServerError};

use crate::link::Redirect;

/// Longest part of a plain `ERR` that is shown.
const WORDS_MAX: usize = 80;

/// The workspace's error for one that the client gave. Whoever knows where it came from adds the
/// server and the operation.
pub(crate) fn from_redis(cause: &RedisError) -> Error {
    if let Some(code) = cause.code() {
        return from_code(code, cause.detail());
    }
    if let Some(cause) = io_cause(cause) {
        return from_io(cause);
    }
    match cause.kind() {
        redis::ErrorKind::AuthenticationFailed => refused_login("AUTH"),
        redis::ErrorKind::RESP3NotSupported => Error::config(
            "the server does not speak RESP3; give it Redis 6.2 or newer, 7.0 is better",
        ),
        redis::ErrorKind::InvalidClientConfig => {
            Error::config("the client refuses its configuration")
        }
        redis::ErrorKind::Parse | redis::ErrorKind::UnexpectedReturnType => {
            unavailable("the answer is not what Redis answers; check what listens at the address")
        }
        _ if cause.is_io_error() => unavailable("the connection was lost"),
        _ => unavailable("the servers cannot be reached").with("client", cause.category()),
    }
}

/// The workspace's error for an error reply.
pub(crate) fn from_server(cause: &ServerError) -> Error {
    from_code(cause.code(), cause.details())
}

fn from_code(code: &str, detail: Option<&str>) -> Error {
    let error = match code {
        "OOM" => Error::new(
            ErrorKind::Overloaded,
            "the server is out of memory; raise its maxmemory, or set a maxmemory-policy that \
             evicts, such as allkeys-lru",
        ),
        "READONLY" => unavailable(
            "the server is a read-only replica; name the primary, or connect through Sentinel, \
             which follows it",
        ),
        "WRONGPASS" | "NOAUTH" => return refused_login(code),
        "NOPERM" => Error::config(
            "the user may not do this; grant the commands and keys that docs/redis.md lists",
        ),
        "MOVED" | "ASK" => {
            let error = unavailable(
                "the key lies at another node of a cluster; connect to it as a cluster",
            );
            match Redirect::read(code, detail) {
                Some(redirect) => error.source_error(redirect),
                None => error,
            }
        }
        "LOADING" => unavailable("the server is still loading its data"),
        "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" => unavailable("the servers are failing over"),
        "BUSY" => unavailable("a script keeps the server busy"),
        "MISCONF" => unavailable("the server takes no writes while it cannot save to its disk"),
        "NOREPLICAS" => unavailable("the server takes no writes without enough replicas"),
        "WRONGTYPE" => Error::new(
            ErrorKind::Conflict,
            "another program keeps something else under this key; give the manager another name \
             or the cache a database of its own",
        ),
        "NOPROTO" => Error::config("the server does not speak RESP3; give it Redis 6.2 or newer"),
        "ERR" if detail.is_some_and(|detail| detail.contains("DB index is out of range")) => {
            Error::config(
                "the server has no database of this number; raise its `databases`, or \
                           write a smaller number",
            )
        }
        // redis-rs gives a plain ERR of DENIED and the like by their own codes.
        "DENIED" => Error::config(
            "the server is in protected mode; give it a password or bind it to this network",
        ),
        _ => unavailable("the server refused the command"),
    };
    let error = error.with("code", code);
    match (code, detail.map(words)) {
        ("ERR", Some(words)) if !words.is_empty() => error.with("reply", words),
        _ => error,
    }
}

/// Whether the server does not know the command at all.
pub(crate) fn is_unknown_command(fault: &Error) -> bool {
    reply(fault).is_some_and(|words| words.starts_with("unknown command"))
}

/// Whether the server does not know the function or script that was called.
pub(crate) fn is_unknown_code(fault: &Error) -> bool {
    fault.context().any(|pair| pair == ("code", "NOSCRIPT"))
        || reply(fault).is_some_and(|words| words.starts_with("Function not found"))
}

/// Whether the server was started without cluster support.
pub(crate) fn is_no_cluster(fault: &Error) -> bool {
    reply(fault).is_some_and(|words| words.starts_with("This instance has cluster support"))
}

/// Whether the server refused to load what it has.
pub(crate) fn is_already_loaded(fault: &Error) -> bool {
    reply(fault).is_some_and(|words| words.starts_with("Library"))
}

fn reply(fault: &Error) -> Option<&str> {
    fault.context().find(|(name, _)| *name == "reply").map(|(_, words)| words)
}

/// The words of a reply that cannot be an argument.
fn words(detail: &str) -> &str {
    let end = detail.find(['\'', '"', '`', ':', ',']).unwrap_or(detail.len());
    let words = &detail[..end];
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " -_/".contains(c);
    match words.char_indices().find(|(index, c)| *index >= WORDS_MAX || !is_plain(*c)) {
        Some((end, _)) => words[..end].trim_end(),
        None => words.trim_end(),
    }
}

fn refused_login(code: &str) -> Error {
    Error::config("the server refuses the login; check user and password").with("code", code)
}

fn unavailable(text: &str) -> Error {
    Error::new(ErrorKind::Unavailable, text)
}

fn io_cause(cause: &RedisError) -> Option<&io::Error> {
    // redis-rs hands out the shared pointer it keeps its cause in.
    let shared = std::error::Error::source(cause)?;
    shared.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>()?.downcast_ref()
}

/// The workspace's error for a socket or a TLS handshake that failed.
pub(crate) fn from_io(cause: &io::Error) -> Error {
    let tls = cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(cause) = tls {
        return from_tls(cause);
    }
    let text = match cause.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            return Error::new(ErrorKind::Timeout, "the server did not answer in time");
        }
        io::ErrorKind::ConnectionRefused => {
            "nothing listens at the address; start the server or correct host and port"
        }
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => "the connection was lost",
        _ => "the server cannot be reached",
    };
    unavailable(text).with("io", cause.kind())
}

fn from_tls(cause: &rustls::Error) -> Error {
    use rustls::{AlertDescription, CertificateError, Error as Tls};
    let text = match cause {
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            "the certificate of the server is for another name; connect by a name that stands in \
             it, or issue one for this name"
        }
        Tls::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the certificate of the server comes from an authority nobody named; give its file \
             with ca_file"
        }
        Tls::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "the certificate of the server has expired; renew it",
        Tls::InvalidCertificate(_) => "the certificate of the server is not valid",
        Tls::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::HandshakeFailure,
        ) => {
            "the server refuses the certificate of the client; give one it knows with \
             client_certificate"
        }
        Tls::InvalidMessage(_) => {
            "the server does not answer with TLS; write redis:// instead of rediss://, or the \
             port that speaks TLS"
        }
        _ => return unavailable("the TLS connection failed"),
    };
    Error::config(text)
}

/// The deadline of an operation has passed.
pub(crate) fn late(text: &'static str) -> Error {
    Error::new(ErrorKind::Timeout, text)
}

/// The backend was closed.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the redis backend is closed")
}

/// The task that made a read was ended, by a panic or with its runtime.
pub(crate) fn lost_read() -> Error {
    unavailable("the read was lost with the task that made it")
}

/// A reply of a shape that the command does not have.
pub(crate) fn strange_reply() -> Error {
    unavailable("the answer is not what Redis answers; check what listens at the address")
}

/// Bytes under one of our keys that we did not write.
pub(crate) fn foreign_record() -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "the bytes under the key are no entry; another program writes under this manager's name",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use redis::{Value, parse_redis_value};

    fn reply(text: &str) -> Error {
        match parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap() {
            Value::ServerError(error) => from_redis(&RedisError::from(error)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_reply_has_its_kind_and_a_fix() {
        let cases = [
            ("OOM command not allowed", ErrorKind::Overloaded, "maxmemory-policy"),
            ("READONLY You can't write", ErrorKind::Unavailable, "Sentinel"),
            ("WRONGPASS invalid pair", ErrorKind::Config, "user and password"),
            ("NOAUTH Authentication required.", ErrorKind::Config, "user and password"),
            ("NOPERM no permissions", ErrorKind::Config, "grant"),
            ("LOADING Redis is loading", ErrorKind::Unavailable, "loading"),
            ("MASTERDOWN Link is down", ErrorKind::Unavailable, "failing over"),
            ("CLUSTERDOWN Hash slot not served", ErrorKind::Unavailable, "failing over"),
            ("MISCONF Errors writing", ErrorKind::Unavailable, "disk"),
            ("WRONGTYPE Operation against", ErrorKind::Conflict, "another name"),
            ("BUSY Redis is busy", ErrorKind::Unavailable, "script"),
            ("SOMETHING new", ErrorKind::Unavailable, "SOMETHING"),
        ];
        for (text, kind, fix) in cases {
            let error = reply(text);
            assert_eq!(error.kind(), kind, "{text}");
            assert!(error.to_string().contains(fix), "{error}");
            let is_transient = !matches!(kind, ErrorKind::Config | ErrorKind::Conflict);
            assert_eq!(error.is_transient(), is_transient, "{text}");
        }
    }

    #[test]
    fn what_the_server_quotes_is_not_shown() {
        for text in [
            "ERR unknown command 'SECRET', with args beginning with: 'canary' ",
            "ERR unknown command `canary`",
            "ERR value canary\u{e9}canary",
            "NOPERM User ada has no permissions to access the 'canary' key",
            "CUSTOM canary",
        ] {
            let error = format!("{:?}", reply(text));
            assert!(!error.contains("'canary'") && !error.contains("canarycanary"), "{error}");
        }
        assert!(reply("ERR max number of clients reached").to_string().contains("max number"));
    }

    #[test]
    fn sockets_and_certificates_have_their_texts() {
        let io = |kind: io::ErrorKind| from_redis(&RedisError::from(io::Error::from(kind)));
        assert_eq!(io(io::ErrorKind::TimedOut).kind(), ErrorKind::Timeout);
        assert_eq!(io(io::ErrorKind::ConnectionRefused).kind(), ErrorKind::Unavailable);
        assert!(io(io::ErrorKind::ConnectionRefused).to_string().contains("nothing listens"));
        assert!(io(io::ErrorKind::ConnectionReset).to_string().contains("lost"));
        let name = rustls::Error::InvalidCertificate(rustls::CertificateError::NotValidForName);
        let error = from_io(&io::Error::new(io::ErrorKind::InvalidData, name));
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Config, false));
        assert!(error.to_string().contains("another name"));
    }
}
