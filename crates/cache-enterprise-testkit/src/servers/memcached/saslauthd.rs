//! The service that memcached asks whether a password is right.
//!
//! Debian builds memcached with SASL and without its own file of passwords. It asks the SASL
//! library, whose database needs a tool of another package. The library can also ask a service
//! over a Unix socket, in a protocol of a few bytes (`saslauthd`), and this is such a service.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::options::Account;

/// A thread that answers on a socket in the server's folder, until it is dropped.
#[derive(Debug)]
pub(super) struct PasswordService {
    socket: PathBuf,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PasswordService {
    /// Writes the configuration of the SASL library into `folder`, and starts to answer.
    pub(super) fn start(folder: &Path, account: Account) -> Self {
        let socket = folder.join("sasl");
        let configuration = format!(
            "mech_list: plain\npwcheck_method: saslauthd\nsaslauthd_path: {}\n",
            socket.display()
        );
        fs::write(folder.join("memcached.conf"), configuration).expect("our folder is writable");
        let listener = UnixListener::bind(&socket)
            .unwrap_or_else(|e| panic!("listening on {}: {e}", socket.display()));
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                if ends.load(Ordering::Acquire) {
                    return;
                }
                // A client that hangs up has no question.
                let _ = client.and_then(|mut client| answer(&mut client, &account));
            }
        });
        PasswordService { socket, is_over, thread: Some(thread) }
    }
}

impl Drop for PasswordService {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // The thread waits for a client; this one has no question.
        let woken = UnixStream::connect(&self.socket).is_ok();
        if let (true, Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

/// Reads user, password, service and realm and answers whether the first two are right; each part
/// stands behind its length in two bytes.
fn answer(client: &mut (impl Read + Write), account: &Account) -> io::Result<()> {
    let (user, password) = (part(client)?, part(client)?);
    let (_service, _realm) = (part(client)?, part(client)?);
    let is_right = user == account.user.as_bytes() && password == account.password.as_bytes();
    client.write_all(if is_right { b"\0\x02OK" } else { b"\0\x02NO" })
}

fn part(client: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    client.read_exact(&mut length)?;
    let mut part = vec![0; usize::from(u16::from_be_bytes(length))];
    client.read_exact(&mut part)?;
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(user: &str, password: &str) -> Vec<u8> {
        let account = Account { user: "app".to_owned(), password: "right".to_owned() };
        let mut question = Vec::new();
        for part in [user, password, "memcached", "host"] {
            let length = u16::try_from(part.len()).expect("is short");
            question.extend(length.to_be_bytes());
            question.extend(part.as_bytes());
        }
        let length = question.len();
        let mut stream = io::Cursor::new(question);
        answer(&mut stream, &account).expect("the question is whole");
        stream.into_inner().split_off(length)
    }

    #[test]
    fn one_user_enters_with_one_password() {
        assert_eq!(asked("app", "right"), b"\0\x02OK");
        assert_eq!(asked("app", "wrong"), b"\0\x02NO");
        assert_eq!(asked("other", "right"), b"\0\x02NO");
    }

    #[test]
    fn the_service_ends_when_it_is_dropped() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let account = Account { user: "app".to_owned(), password: "right".to_owned() };
        let service = PasswordService::start(folder.path(), account);
        let mut client = UnixStream::connect(folder.path().join("sasl")).expect("it listens");
        client.write_all(b"\0\x03app\0\x05right\0\0\0\0").expect("it reads");
        let mut verdict = [0; 4];
        client.read_exact(&mut verdict).expect("it answers");
        assert_eq!(&verdict, b"\0\x02OK");
        drop(service);
    }
}
