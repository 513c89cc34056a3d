//! Each fault of the proxy, seen from a client, with a server that answers every byte it hears.
#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use cache_enterprise_testkit::proxy::{Fault, TcpProxy};
use cache_enterprise_testkit::wait;

/// A server that says back what it hears, and the proxy before it.
fn echo() -> TcpProxy {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    if stream.write_all(&bytes[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    TcpProxy::to(&address.to_string())
}

fn connect(proxy: &TcpProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    stream
}

fn echoes(client: &mut TcpStream, text: &[u8]) -> bool {
    let mut answer = vec![0; text.len()];
    client.write_all(text).is_ok() && client.read_exact(&mut answer).is_ok() && answer == text
}

/// Whether the client is left without an answer and without an end.
fn hears_nothing(client: &mut TcpStream) -> bool {
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let heard = client.read(&mut [0; 64]);
    client.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    matches!(heard, Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

/// How the connection ended; a panic when it did not.
fn ended(client: &mut TcpStream) -> Result<(), ErrorKind> {
    match client.read(&mut [0; 64]) {
        Ok(0) => Ok(()),
        Ok(count) => panic!("{count} bytes came instead of an end"),
        Err(e) => Err(e.kind()),
    }
}

#[test]
fn without_a_fault_everything_passes() {
    let proxy = echo();
    let mut client = connect(&proxy);
    let long: Vec<u8> = (0..1_000_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let mut writer = client.try_clone().unwrap();
    let sent = long.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    writing.join().unwrap();
    assert!(answer == long, "{} of {} bytes came back", answer.len(), long.len());
    assert_eq!(proxy.accepted(), 1);
}

#[test]
fn latency_delays_replies_and_keeps_their_rate() {
    let proxy = echo();
    let mut client = connect(&proxy);
    assert!(echoes(&mut client, b"warm"));
    let delay = Duration::from_millis(50);
    proxy.set(Fault::Latency(delay));
    let started = Instant::now();
    for _ in 0..100 {
        client.write_all(b"0123456789").unwrap();
    }
    client.read_exact(&mut [0; 1_000]).unwrap();
    let took = started.elapsed();
    assert!(took >= delay, "came after {took:?}");
    // One after the other they would have taken a hundred times the delay.
    assert!(took < 100 * delay, "came after {took:?}");
    proxy.heal();
    assert!(echoes(&mut client, b"again"));
}

#[test]
fn a_slow_drip_comes_in_crumbs() {
    let proxy = echo();
    let mut client = connect(&proxy);
    let every = Duration::from_millis(10);
    proxy.set(Fault::SlowDrip { bytes: 3, every });
    let started = Instant::now();
    client.write_all(b"0123456789").unwrap();
    let mut crumbs = Vec::new();
    let mut bytes = [0; 64];
    while crumbs.iter().sum::<usize>() < 10 {
        crumbs.push(client.read(&mut bytes).unwrap());
    }
    // A reader that was late finds several portions at once.
    assert!(started.elapsed() >= 3 * every, "{crumbs:?} after {:?}", started.elapsed());
    proxy.heal();
    assert!(echoes(&mut client, b"all at once"));
}

#[test]
fn a_stall_loses_nothing() {
    let proxy = echo();
    let mut client = connect(&proxy);
    assert!(echoes(&mut client, b"before"));
    proxy.set(Fault::Stall);
    client.write_all(b"during").unwrap();
    assert!(hears_nothing(&mut client));
    let mut late = connect(&proxy);
    late.write_all(b"late").unwrap();
    assert!(hears_nothing(&mut late));
    proxy.heal();
    let mut answer = [0; 6];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"during");
    late.read_exact(&mut answer[..4]).unwrap();
    assert_eq!(&answer[..4], b"late");
}

#[test]
fn a_black_hole_swallows_and_what_lost_a_byte_is_closed() {
    let proxy = echo();
    let (mut client, mut silent) = (connect(&proxy), connect(&proxy));
    assert!(echoes(&mut client, b"before") && echoes(&mut silent, b"before"));
    proxy.set(Fault::BlackHole);
    let mut late = connect(&proxy);
    for client in [&mut client, &mut late] {
        client.write_all(&[7; 100_000]).unwrap();
        assert!(hears_nothing(client));
    }
    proxy.heal();
    assert_eq!(ended(&mut client), Ok(()));
    assert_eq!(ended(&mut late), Ok(()));
    assert!(echoes(&mut silent, b"lost nothing"));
}

#[test]
fn a_half_open_connection_stays_silent_for_ever() {
    let proxy = echo();
    let mut client = connect(&proxy);
    assert!(echoes(&mut client, b"before"));
    proxy.set(Fault::HalfOpen);
    let mut late = connect(&proxy);
    for client in [&mut client, &mut late] {
        client.write_all(b"is anybody there").unwrap();
        assert!(hears_nothing(client));
    }
    proxy.heal();
    assert!(hears_nothing(&mut client) && hears_nothing(&mut late));
    assert!(echoes(&mut connect(&proxy), b"anew"));
}

#[test]
fn new_connections_are_dropped_and_old_ones_go_on() {
    let proxy = echo();
    let mut client = connect(&proxy);
    assert!(echoes(&mut client, b"before"));
    proxy.set(Fault::DropNew);
    assert_eq!(ended(&mut connect(&proxy)), Ok(()));
    assert!(echoes(&mut client, b"during"));
    assert_eq!(proxy.accepted(), 2);
    proxy.heal();
    assert!(echoes(&mut connect(&proxy), b"after"));
}

#[test]
fn connections_are_closed_or_torn_at_once() {
    let faults = [(Fault::Close, Ok(())), (Fault::Reset, Err(ErrorKind::ConnectionReset))];
    for (fault, end) in faults {
        let proxy = echo();
        let mut client = connect(&proxy);
        assert!(echoes(&mut client, b"before"));
        proxy.set(fault);
        assert_eq!(ended(&mut client), end, "{fault:?}");
        assert_eq!(ended(&mut connect(&proxy)), end, "{fault:?}, a new connection");
        proxy.heal();
        assert!(echoes(&mut connect(&proxy), b"after"), "{fault:?}");
    }
}

#[test]
fn a_reply_is_torn_in_its_middle() {
    let proxy = echo();
    let mut client = connect(&proxy);
    assert!(echoes(&mut client, b"does not count"));
    proxy.set(Fault::ResetAfter { reply_bytes: 10 });
    assert!(echoes(&mut client, b"01234"));
    client.write_all(b"56789and more").unwrap();
    let mut heard = Vec::new();
    let torn = client.read_to_end(&mut heard).unwrap_err();
    assert_eq!(torn.kind(), ErrorKind::ConnectionReset);
    assert_eq!(heard, b"56789");
    let mut next = connect(&proxy);
    assert!(echoes(&mut next, b"9 bytes.."), "a new connection has its own count");
}

#[test]
fn a_server_that_is_not_there_tears_the_connection() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = TcpProxy::to(&address.to_string());
    assert_eq!(ended(&mut connect(&proxy)), Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_proxy_is_made_and_dropped_inside_a_task() {
    let proxy = echo();
    assert!(echoes(&mut connect(&proxy), b"from a task"));
    drop(proxy);
}

#[test]
fn a_proxy_to_nowhere_is_an_error() {
    assert!(TcpProxy::try_to("no address").is_err());
}
