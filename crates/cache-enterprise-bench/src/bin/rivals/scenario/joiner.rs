//! A second instance joins a shared tier after a tag was invalidated, with nothing in memory and
//! no message heard.

use super::Verdict;
use crate::library::{Answer, Instance, Library};
use crate::origin::Origin;

const KEY: &str = "user";
const TAG: &str = "org7";
/// Another entry, of another tag, which must come from the tier: else nothing is shared.
const UNTOUCHED: (&str, &str) = ("product", "catalogue");

/// Passes when the joiner gets the new version of the invalidated entry.
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
    let kept = match read(late.as_ref(), UNTOUCHED).await? {
        1 => "came from the tier",
        _ => "was loaded again",
    };
    let seen = format!("read version {version} of the invalidated entry; an untouched one {kept}");
    Ok(Verdict::new(version == 2, seen))
}
