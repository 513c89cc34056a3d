//! The few words of memcached's protocols that a harness needs: one question of the text
//! protocol, and the way to the statistics behind SASL in the binary one.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use super::options::Account;
use crate::wait;

/// The answer to a text command, without its last line feed. The command is followed by `quit`,
/// so that the answer ends where the connection does.
pub(super) fn ask(port: u16, command: &[u8]) -> io::Result<String> {
    let mut stream = connect(port)?;
    stream.write_all(&[command, b"\r\nquit\r\n"].concat())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.strip_suffix("\r\n").unwrap_or(&text).to_owned())
}

/// The id of the process that answers on `port`; nothing when none does or `account` may not
/// enter.
pub(super) fn pid_behind(port: u16, account: Option<&Account>) -> Option<u32> {
    match account {
        None => {
            ask(port, b"stats").ok()?.lines().find_map(|l| l.strip_prefix("STAT pid "))?.parse()
        }
        Some(account) => pid_behind_sasl(port, account).ok()?.parse(),
    }
    .ok()
}

const AUTHENTICATE: u8 = 0x21;
const STATISTICS: u8 = 0x10;

fn pid_behind_sasl(port: u16, account: &Account) -> io::Result<String> {
    let mut stream = connect(port)?;
    let credentials = format!("\0{}\0{}", account.user, account.password);
    request(&mut stream, AUTHENTICATE, b"PLAIN", credentials.as_bytes())?;
    response(&mut stream)?;
    request(&mut stream, STATISTICS, b"", b"")?;
    loop {
        let (name, value) = response(&mut stream)?;
        match name.as_str() {
            "pid" => return Ok(value),
            // A figure without a name ends the list.
            "" => return Err(ErrorKind::NotFound.into()),
            _ => {}
        }
    }
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, wait::PATIENCE)?;
    stream.set_read_timeout(Some(wait::PATIENCE))?;
    Ok(stream)
}

fn request(stream: &mut impl Write, operation: u8, key: &[u8], value: &[u8]) -> io::Result<()> {
    let number = |length: usize| u32::try_from(length).expect("is short");
    let mut packet = vec![0x80, operation, 0, u8::try_from(key.len()).expect("is short")];
    packet.extend([0; 4]);
    packet.extend(number(key.len() + value.len()).to_be_bytes());
    packet.extend([0; 12]);
    packet.extend([key, value].concat());
    stream.write_all(&packet)
}

/// Key and value of a response that is no refusal.
fn response(stream: &mut impl Read) -> io::Result<(String, String)> {
    let mut header = [0; 24];
    stream.read_exact(&mut header)?;
    let short = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    if header[0] != 0x81 || short(6) != 0 {
        return Err(ErrorKind::PermissionDenied.into());
    }
    let key = usize::from(short(2));
    let extras = usize::from(header[4]);
    let body = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    let mut bytes = vec![0; usize::try_from(body).map_err(io::Error::other)?];
    stream.read_exact(&mut bytes)?;
    let (Some(name), Some(value)) = (bytes.get(extras..extras + key), bytes.get(extras + key..))
    else {
        return Err(ErrorKind::InvalidData.into());
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(name), text(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_its_lengths() {
        let mut packet = Vec::new();
        request(&mut packet, AUTHENTICATE, b"PLAIN", b"\0a\0b").expect("a Vec takes all");
        assert_eq!(packet.len(), 24 + 5 + 4);
        assert_eq!(packet[..12], [0x80, 0x21, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9]);
    }

    #[test]
    fn a_refusal_is_no_response() {
        let mut header = [0; 24];
        header[0] = 0x81;
        header[7] = 0x20;
        let refused = response(&mut header.as_slice()).expect_err("the status is not 0");
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_response_whose_lengths_lie_is_refused() {
        let mut header = [0; 24];
        header[0] = 0x81;
        header[3] = 9;
        let refused = response(&mut header.as_slice()).expect_err("the key is longer than all");
        assert_eq!(refused.kind(), ErrorKind::InvalidData);
    }
}
