//! How much a directory takes.

use std::io;
use std::path::Path;

/// Sum of the lengths of all files under `path`, in bytes. Files that disappear during the walk
/// count nothing. Cost: one look at every file; for reports and tests.
///
/// # Errors
/// When a directory cannot be read.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// std::fs::write(folder.path().join("a"), [0; 10])?;
/// assert_eq!(cache_enterprise_disk::directory_bytes(folder.path())?, 10);
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
                Ok(about) => bytes += about.len(),
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
                Err(failure) => return Err(failure),
            }
        }
    }
    Ok(bytes)
}
