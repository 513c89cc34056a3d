//! How much a directory takes.

use std::fs::Metadata;
use std::io;
use std::path::Path;

/// Bytes that all files under `path` take on the disk, as `du` counts them; their lengths where
/// the system does not say. The two differ in files with holes: fjall makes a new journal 64 MiB
/// long before anything is in it. Files that disappear during the walk count nothing. Cost: one
/// look at every file; for reports and tests.
///
/// # Errors
/// When a directory cannot be read.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// std::fs::write(folder.path().join("a"), [7; 100_000])?;
/// assert!(cache_enterprise_disk::directory_bytes(folder.path())? >= 100_000);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn directory_bytes(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let mut open = vec![path.to_path_buf()];
    while let Some(directory) = open.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            match entry.metadata() {
                Ok(about) if about.is_dir() => open.push(entry.path()),
                Ok(about) => bytes += taken(&about),
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
                Err(failure) => return Err(failure),
            }
        }
    }
    Ok(bytes)
}

#[cfg(unix)]
fn taken(about: &Metadata) -> u64 {
    // The unit is 512 bytes whatever the file system's own block is.
    std::os::unix::fs::MetadataExt::blocks(about) * 512
}

#[cfg(not(unix))]
fn taken(about: &Metadata) -> u64 {
    about.len()
}
