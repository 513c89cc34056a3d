//! A second instance joins a shared tier after a tag was invalidated, with nothing in memory and
//! no message heard.

use super::Verdict;
use crate::library::{Answer, Instance, Library};
use crate::origin::Origin;

const KEY: &str = "user";
const TAG: &str = "org7";
/// Another entry, of another tag, which must come from the tier: else nothing is shared.
const UNTOUCHED: (&str, &str) = ("product", "catalogue");

/// Passes when the joiner gets the new version of the invalidated entry, and the other one from the
/// tier.
pub(super) async fn play(library: &dyn Library) -> Answer<Verdict> {
    let tier = library.shared().await?;
    let origin = Origin::new();
    origin.open();
    let read = async |instance: &dyn Instance, (key, tag): (&str, &str)| {
        instance.get_or_load(key, Some(tag), origin.load(key, 0)).await
    };
    let first = tier.join().await?;
    read(first.as_ref(), (KEY, TAG)).await?;
    read(first.as_ref(), UNTOUCHED).await?;
    origin.change(2);
    first.invalidate_tag(TAG).await?;
    let late = tier.join().await?;
    let version = read(late.as_ref(), (KEY, TAG)).await?;
    let untouched = read(late.as_ref(), UNTOUCHED).await?;
    let kept = match untouched {
        1 => "came from the tier",
        _ => "was loaded again",
    };
    let seen = format!("read version {version} of the invalidated entry; an untouched one {kept}");
    Ok(Verdict::new(version == 2 && untouched == 1, seen))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;

    use super::*;
    use crate::library::{Load, SharedTier};
    use crate::scenario::Outcome;

    /// Says that its instances share a tier, and loads everything in each of them.
    struct Apart;

    #[async_trait]
    impl Library for Apart {
        fn name(&self) -> &'static str {
            "apart"
        }

        fn version(&self) -> String {
            "-".to_owned()
        }

        async fn alone(&self) -> Answer<Arc<dyn Instance>> {
            Ok(Arc::new(Self))
        }

        async fn shared(&self) -> Answer<Box<dyn SharedTier>> {
            Ok(Box::new(Self))
        }
    }

    #[async_trait]
    impl SharedTier for Apart {
        async fn join(&self) -> Answer<Arc<dyn Instance>> {
            Ok(Arc::new(Self))
        }

        fn fail(&self) {}
    }

    #[async_trait]
    impl Instance for Apart {
        async fn get_or_load(&self, _key: &str, _tag: Option<&str>, load: Load) -> Answer<u64> {
            Ok(load().await)
        }

        async fn remove(&self, _key: &str) -> Answer<()> {
            Ok(())
        }

        async fn invalidate_tag(&self, _tag: &str) -> Answer<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn instances_that_share_nothing_fail() {
        let verdict = play(&Apart).await.expect("both operations are offered");
        assert_eq!(verdict.outcome, Outcome::Fails, "{}", verdict.seen);
    }
}
