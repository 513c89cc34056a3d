//! Lines of a text file in bounded memory.

use std::io::{self, BufRead};

/// Longest line that is kept. Servers limit a request line to 8 KiB by default; the rest is room
/// for referrer and agent.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024;

/// Reads one line at a time into one buffer. A line over [`LINE_BYTES_MAX`] is passed over without
/// being stored, so a file without line breaks costs no more memory than any other.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    number: u64,
}

/// One line and its number, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) number: u64,
    /// The bytes without the line break; `None` when there were too many.
    pub(crate) bytes: Option<&'a [u8]>,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), number: 0 }
    }

    /// Number of the line that was read last.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next line that is not blank, or `None` at the end.
    pub(crate) fn next_filled(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            let Some(too_long) = self.advance()? else { return Ok(None) };
            self.number += 1;
            if self.number == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3); // a byte order mark
            }
            if too_long {
                return Ok(Some(Line { number: self.number, bytes: None }));
            }
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        Ok(Some(Line { number: self.number, bytes: Some(&self.buffer) }))
    }

    /// Moves one line into the buffer; `Some(true)` when it was too long to keep.
    fn advance(&mut self) -> io::Result<Option<bool>> {
        self.buffer.clear();
        let mut started = false;
        let mut too_long = false;
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                break;
            }
            started = true;
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            too_long |= self.buffer.len() + part.len() > LINE_BYTES_MAX;
            if !too_long {
                self.buffer.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                break;
            }
        }
        if self.buffer.last() == Some(&b'\r') {
            self.buffer.pop();
        }
        Ok(started.then_some(too_long))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::BufReader;

    use super::*;

    fn read(text: &[u8], capacity: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut lines = Lines::new(BufReader::with_capacity(capacity, text));
        let mut all = Vec::new();
        while let Some(line) = lines.next_filled().unwrap() {
            all.push((line.number, line.bytes.map(<[u8]>::to_vec)));
        }
        all
    }

    #[test]
    fn numbers_count_blank_lines_and_breaks_of_both_kinds() {
        for capacity in [1, 3, 4096] {
            let lines = read(b"\xef\xbb\xbfa\r\n\n  \nb\n\nc", capacity);
            let expected = [(1, "a"), (4, "b"), (6, "c")];
            let expected = expected.map(|(number, text)| (number, Some(text.as_bytes().to_vec())));
            assert_eq!(lines, expected);
        }
        assert_eq!(read(b"", 16), []);
        assert_eq!(read(b"\n\r\n \n", 16), []);
    }

    #[test]
    fn an_endless_line_is_passed_over_and_not_kept() {
        let mut text = vec![b'x'; 3 * LINE_BYTES_MAX];
        text.extend_from_slice(b"\nshort\n");
        text.extend_from_slice(&vec![b'y'; LINE_BYTES_MAX]);
        let mut lines = Lines::new(BufReader::new(&text[..]));
        assert_eq!(lines.next_filled().unwrap().unwrap(), Line { number: 1, bytes: None });
        assert!(lines.buffer.capacity() <= LINE_BYTES_MAX);
        assert_eq!(lines.next_filled().unwrap().unwrap().bytes, Some(&b"short"[..]));
        let longest = lines.next_filled().unwrap().unwrap();
        assert_eq!((longest.number, longest.bytes.map(<[u8]>::len)), (3, Some(LINE_BYTES_MAX)));
        assert_eq!(lines.next_filled().unwrap(), None);
    }
}
