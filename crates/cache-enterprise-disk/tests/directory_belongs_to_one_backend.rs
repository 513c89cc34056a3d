//! A second backend on a directory is refused, in this process and in another, and told why.
#![allow(clippy::unwrap_used)]

mod support;

use cache_enterprise_core::{Backend, ErrorKind};
use cache_enterprise_disk::Disk;
use support::{child, child_role, say};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory_belongs_to_one_backend() {
    if let Some((directory, _)) = child_role() {
        let refused = Disk::at(directory).open().await.unwrap_err();
        return say(&format!("refused: {refused:?}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let first = Disk::at(folder.path()).open().await.unwrap();

    let refused = Disk::at(folder.path()).open().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.to_string().contains(&folder.path().display().to_string()));

    let other = child("directory_belongs_to_one_backend", folder.path(), 0, "").output().unwrap();
    let said = String::from_utf8(other.stdout).unwrap();
    assert!(other.status.success(), "{said}");
    let line = said.lines().find(|line| line.starts_with("refused: ")).unwrap();
    assert!(line.contains("Conflict") && line.contains("directory of its own"), "{line}");

    first.close().await.unwrap();
    Disk::at(folder.path()).open().await.unwrap();
}
