//! The file: frames of length (4 bytes), checksum (8 bytes, xxh3) and a change.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use cache_enterprise_core::{Error, ErrorKind, Result};
use twox_hash::XxHash3_64;

use super::change::Change;
use crate::error::from_io;
use crate::shelf::sync_directory;

const NAME: &str = "epochs.log";
const FRAME_BYTES: usize = 12;
/// A log is rewritten when it is over this and over four times what the last rewrite left.
const COMPACT_BYTES_MIN: u64 = 1 << 20;

/// An append-only file that is flushed at every append.
#[derive(Debug)]
pub(super) struct Log {
    directory: PathBuf,
    file: File,
    /// Where the last whole frame ends.
    length: u64,
    compacted_length: u64,
    /// A failed append may have left half a frame that could not be cut off.
    is_broken: bool,
}

impl Log {
    /// Opens the log and gives its changes, and whether there was damage other than a last
    /// frame that a crash cut short. That one was never acknowledged and is cut off.
    pub(super) fn open(directory: &Path) -> Result<(Self, Vec<Change>, bool)> {
        let path = directory.join(NAME);
        let failed = |cause| from_io("open", &path, cause);
        let is_new = !path.try_exists().map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        if is_new {
            sync_directory(directory).map_err(failed)?;
        }
        let bytes = fs::read(&path).map_err(failed)?;
        let (changes, length, is_damaged) = read_frames(&bytes);
        file.set_len(length).map_err(failed)?;
        file.seek(SeekFrom::Start(length)).map_err(failed)?;
        let log = Self {
            directory: directory.to_path_buf(),
            file,
            length,
            compacted_length: 0,
            is_broken: false,
        };
        Ok((log, changes, is_damaged))
    }

    /// Writes a change and waits until it is on the disk. After an error the log is as before.
    pub(super) fn append(&mut self, change: &Change) -> Result<()> {
        let path = self.directory.join(NAME);
        if self.is_broken {
            return Err(Error::new(
                ErrorKind::Io,
                "the epoch log could not be mended; open it again",
            )
            .with("path", path.display()));
        }
        let frame = frame(change);
        let written = self.file.write_all(&frame).and_then(|()| self.file.sync_data());
        if let Err(cause) = written {
            self.is_broken = self.cut_back().is_err();
            return Err(from_io("raise", &path, cause));
        }
        self.length += frame.len() as u64;
        Ok(())
    }

    pub(super) fn is_due_for_compaction(&self) -> bool {
        self.length > COMPACT_BYTES_MIN && self.length > self.compacted_length * 4
    }

    /// Replaces the file by one that holds `changes` alone. A crash leaves the one or the other.
    pub(super) fn replace(&mut self, changes: impl Iterator<Item = Change>) -> Result<()> {
        let path = self.directory.join(NAME);
        let making = path.with_extension("new");
        let bytes: Vec<u8> = changes.flat_map(|change| frame(&change)).collect();
        let replaced = (|| {
            let mut file = File::create(&making)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&making, &path)?;
            // The new file is the log from here on, whether its name is durable yet or not.
            self.file = file;
            self.length = bytes.len() as u64;
            self.compacted_length = self.length;
            self.is_broken = false;
            sync_directory(&self.directory)
        })();
        replaced.map_err(|cause| from_io("raise", &path, cause))
    }

    fn cut_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length)).map(|_| ())
    }
}

fn frame(change: &Change) -> Vec<u8> {
    let body = change.encode();
    let length = u32::try_from(body.len()).expect("100 000 targets of 512 bytes are below 4 GiB");
    let mut frame = Vec::with_capacity(FRAME_BYTES + body.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&XxHash3_64::oneshot(&body).to_le_bytes());
    frame.extend_from_slice(&body);
    frame
}

/// The changes of all whole frames, where they end, and whether one before the end is damaged.
fn read_frames(bytes: &[u8]) -> (Vec<Change>, u64, bool) {
    let mut changes = Vec::new();
    let mut at = 0;
    while let Some((length, checksum)) = frame_head(&bytes[at..]) {
        let start = at + FRAME_BYTES;
        let Some(body) = bytes.get(start..start.saturating_add(length)) else { break };
        let change = (XxHash3_64::oneshot(body) == checksum).then(|| Change::decode(body));
        let Some(Some(change)) = change else { return (changes, at as u64, true) };
        changes.push(change);
        at = start + length;
    }
    (changes, at as u64, holds_frame(&bytes[at..]))
}

/// Whether a whole frame begins anywhere in what looks like one that a crash cut short. Then it is
/// the length before it that was damaged: nothing is written after a frame that is not whole.
fn holds_frame(rest: &[u8]) -> bool {
    (1..rest.len()).any(|at| {
        let Some((length, checksum)) = frame_head(&rest[at..]) else { return false };
        let start = at + FRAME_BYTES;
        let body = rest.get(start..start.saturating_add(length));
        // Decoded first: of what is no frame that looks at a few bytes, the checksum at all.
        body.is_some_and(|body| {
            Change::decode(body).is_some() && XxHash3_64::oneshot(body) == checksum
        })
    })
}

fn frame_head(bytes: &[u8]) -> Option<(usize, u64)> {
    let head = bytes.first_chunk::<FRAME_BYTES>()?;
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let checksum = u64::from_le_bytes([
        head[4], head[5], head[6], head[7], head[8], head[9], head[10], head[11],
    ]);
    Some((usize::try_from(length).ok()?, checksum))
}
