//! A value too large for the disk leaves nothing older, and lets nothing older in afterwards: not
//! where nothing stood, not over an older removal, not after opening again.
#![allow(clippy::unwrap_used)]

mod support;

use cache_enterprise_core::{Backend, MIB, OpContext, Put, PutOutcome, Sequence};
use cache_enterprise_disk::Disk;
use support::{key, value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_value_fences_what_is_older() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::at(folder.path()).budget(16 * MIB);
    let context = OpContext::default();
    let at = |version| Put { version: Sequence(version), ttl: None };

    let open = disk.clone().open().await.unwrap();
    let large = vec![7; open.capabilities().value_bytes_max.unwrap() + 1];
    open.remove(&key(2), Sequence(10), &context).await.unwrap();
    for number in [1, 2] {
        let refused = open.put(&key(number), large.clone().into(), at(20), &context).await;
        assert_eq!(refused.unwrap(), PutOutcome::Refused);
        let older = open.put(&key(number), value(0, 10), at(15), &context).await.unwrap();
        assert_eq!(older, PutOutcome::Fenced, "key {number}");
    }
    open.close().await.unwrap();

    let again = disk.open().await.unwrap();
    for number in [1, 2] {
        let older = again.put(&key(number), value(0, 10), at(15), &context).await.unwrap();
        assert_eq!(older, PutOutcome::Fenced, "key {number} after opening again");
        let same = again.put(&key(number), value(0, 10), at(20), &context).await.unwrap();
        assert_eq!(same, PutOutcome::Stored);
    }
}
