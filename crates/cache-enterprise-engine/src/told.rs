//! What the engine's own names mean, for people.

use cache_enterprise_core::Tag;
use cache_enterprise_core::coherence::EpochTarget;

use crate::{dependency, path};

/// A target as text: `tag org:7`, `cache users`, `path users:eu:`,
/// `pattern a:*:b of cache users`, softly where it says so.
pub(crate) fn target_text(target: &EpochTarget) -> String {
    match target {
        EpochTarget::Everything => "everything".to_owned(),
        EpochTarget::Tenant => "the tenant".to_owned(),
        EpochTarget::Cache(cache) => format!("cache {cache}"),
        EpochTarget::Tag(tag) => tag_text(tag),
        EpochTarget::Pattern(cache, pattern) => {
            format!("pattern {} of cache {cache}", pattern.as_str())
        }
        EpochTarget::Soft(hard) => format!("{}, softly", target_text(hard)),
        // Core may learn of targets before this page does.
        other => other.field(),
    }
}

/// A tag as text, with what a reserved one stands for.
pub(crate) fn tag_text(tag: &Tag) -> String {
    let reserved = path::told(tag).or_else(|| dependency::told(tag));
    reserved.unwrap_or_else(|| format!("tag {tag}"))
}
