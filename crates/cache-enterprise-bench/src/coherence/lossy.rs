//! A proxy before a Redis that loses some of what the server pushes, and nothing that was asked
//! for: what a bus must bear.

use std::error::Error;
use std::io;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use cache_enterprise_testkit::Seed;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::report::progress;

/// Loses that share of the pushes.
const LOST: f64 = 0.3;

/// What chance may make of it. Outside of these bounds something else than pushes was counted, or
/// there were too few for any share.
const LOST_BOUNDS: RangeInclusive<f64> = 0.2..=0.4;

pub(super) struct LossyProxy {
    address: String,
    pushes: Arc<Pushes>,
    /// Carries the connections, and ends them when it is dropped.
    _runtime: Runtime,
}

#[derive(Default)]
struct Pushes {
    passed: AtomicU64,
    lost: AtomicU64,
}

impl LossyProxy {
    pub(super) fn to(server: String) -> Result<Self, Box<dyn Error>> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?.to_string();
        let pushes = Arc::new(Pushes::default());
        runtime.spawn(serve(listener, server, Arc::clone(&pushes)));
        Ok(Self { address, pushes, _runtime: runtime })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Fails when what was lost is not the share that the proxy is there to lose.
    pub(super) fn check_loss(&self) -> Result<(), String> {
        let lost = self.pushes.lost.load(Ordering::Relaxed);
        let all = lost + self.pushes.passed.load(Ordering::Relaxed);
        progress(&format!("{lost} of {all} pushes were lost"));
        check_share(lost, all)
    }
}

fn check_share(lost: u64, all: u64) -> Result<(), String> {
    match LOST_BOUNDS.contains(&(lost as f64 / all as f64)) {
        true => Ok(()),
        false => Err(format!("{lost} of {all} pushes were lost, not {LOST_BOUNDS:?} of them")),
    }
}

async fn serve(listener: TcpListener, server: String, pushes: Arc<Pushes>) {
    for number in 0_u64.. {
        let Ok((client, _)) = listener.accept().await else { return };
        let (server, pushes) = (server.clone(), Arc::clone(&pushes));
        // A connection that breaks is the client's to open again.
        tokio::spawn(async move { carry(client, &server, Seed(number).rng(), &pushes).await });
    }
}

async fn carry(
    mut client: TcpStream,
    server: &str,
    rng: StdRng,
    pushes: &Pushes,
) -> io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, to_client) = client.split();
    let (from_server, mut to_server) = server.split();
    tokio::select! {
        asked = copy(&mut from_client, &mut to_server) => asked.map(drop),
        answered = answers(from_server, to_client, rng, pushes) => answered,
    }
}

/// Passes on what the server says, value by value.
async fn answers(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut rng: StdRng,
    pushes: &Pushes,
) -> io::Result<()> {
    let mut held = BytesMut::new();
    while from.read_buf(&mut held).await? > 0 {
        while let Some(length) = length_of(&held) {
            let value = held.split_to(length);
            if is_push(&value) {
                let is_lost = rng.random_bool(LOST);
                let count = if is_lost { &pushes.lost } else { &pushes.passed };
                count.fetch_add(1, Ordering::Relaxed);
                if is_lost {
                    continue;
                }
            }
            to.write_all(&value).await?;
        }
    }
    Ok(())
}

fn is_push(value: &[u8]) -> bool {
    let head = &value[..value.len().min(24)];
    value.starts_with(b">") && head.windows(9).any(|part| part == b"message\r\n")
}

/// The length of the value that `bytes` begin with, once it is there as a whole.
fn length_of(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|end| end == b"\r\n")?;
    let head = line + 2;
    let number = || std::str::from_utf8(&bytes[1..line]).ok()?.parse::<i64>().ok();
    let parts = match bytes[0] {
        b'$' | b'=' | b'!' => {
            let Ok(length) = usize::try_from(number()?) else { return Some(head) };
            let whole = head + length + 2;
            return (bytes.len() >= whole).then_some(whole);
        }
        b'*' | b'>' | b'~' => number()?,
        b'%' => 2 * number()?,
        // An attribute and the value it belongs to.
        b'|' => 2 * number()? + 1,
        _ => 0,
    };
    (0..parts).try_fold(head, |length, _| Some(length + length_of(&bytes[length..])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_end_where_the_protocol_ends_them() {
        let values = [
            "+OK\r\n",
            ":17\r\n",
            "$-1\r\n",
            "$5\r\na\r\nbc\r\n",
            "*-1\r\n",
            "*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
            "%1\r\n+a\r\n_\r\n",
            "|1\r\n+a\r\n+b\r\n:1\r\n",
            ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n",
        ];
        for value in values {
            let twice = format!("{value}{value}");
            assert_eq!(length_of(twice.as_bytes()), Some(value.len()), "{value:?}");
            for end in 0..value.len() {
                assert_eq!(length_of(&value.as_bytes()[..end]), None, "{value:?} up to {end}");
            }
        }
    }

    #[test]
    fn a_loss_that_is_not_the_told_one_is_an_error() {
        assert_eq!(check_share(30, 100), Ok(()));
        for (lost, all) in [(0, 0), (0, 100), (19, 100), (41, 100)] {
            assert!(check_share(lost, all).is_err(), "{lost} of {all}");
        }
    }

    #[test]
    fn only_messages_are_lost() {
        assert!(is_push(b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"));
        assert!(is_push(b">3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"));
        assert!(!is_push(b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"));
        assert!(!is_push(b"$9\r\nmessage\r\n\r\n"));
    }
}
