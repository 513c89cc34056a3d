//! What the demo caches: values that say whose they are, so that every answer can be checked.

use cache_enterprise::prelude::*;
use cache_enterprise_workload::RequestKey;
use serde::{Deserialize, Serialize};

/// The key of an item: what the request asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ItemKey(pub(crate) RequestKey);

impl CacheKey for ItemKey {
    fn write(&self, writer: &mut KeyWriter<'_>) {
        // The text of two distinct request keys differs, whether number or text.
        writer.display(&self.0);
    }

    fn heap_bytes(&self) -> usize {
        match &self.0 {
            RequestKey::Id(_) => 0,
            RequestKey::Text(text) => text.len(),
        }
    }
}

/// A value with its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    /// Name of the tenant; empty for requests that name none.
    pub(crate) tenant: String,
    /// The key as text.
    pub(crate) key: String,
    /// How often the origin's row was written when this was read.
    pub(crate) revision: u32,
    /// Text.
    pub(crate) body: String,
}

/// How an answer compares with what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// The item asked for, as new as it must be.
    Right,
    /// Somebody else's item, or a damaged one.
    Wrong,
    /// Older than a write that was acknowledged before the question.
    Outdated,
}

impl Item {
    /// Judges the item as an answer to `tenant` asking for `key`, when the write of `revision`
    /// had been acknowledged. `body` is compared where the caller knows it.
    pub(crate) fn judge(
        &self,
        tenant: &str,
        key: &RequestKey,
        revision: u32,
        body: Option<&str>,
    ) -> Judgement {
        let is_owner = self.tenant == tenant && is_text_of(key, &self.key);
        if !is_owner || body.is_some_and(|body| body != self.body) {
            return Judgement::Wrong;
        }
        if self.revision < revision { Judgement::Outdated } else { Judgement::Right }
    }
}

/// Compares without an allocation: this runs on every answer.
fn is_text_of(key: &RequestKey, text: &str) -> bool {
    match key {
        RequestKey::Id(id) => text.parse() == Ok(*id),
        RequestKey::Text(key) => **key == *text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_must_be_the_one_asked_for() {
        let item =
            Item { tenant: "acme".into(), key: "7".into(), revision: 3, body: "text".into() };
        let judge = |tenant, key: &str, revision, body| {
            item.judge(tenant, &RequestKey::parse(key), revision, body)
        };
        assert_eq!(judge("acme", "7", 3, Some("text")), Judgement::Right);
        assert_eq!(judge("acme", "7", 2, None), Judgement::Right);
        assert_eq!(judge("bolt", "7", 3, None), Judgement::Wrong);
        assert_eq!(judge("acme", "8", 3, None), Judgement::Wrong);
        assert_eq!(judge("acme", "7", 3, Some("next")), Judgement::Wrong);
        assert_eq!(judge("acme", "7", 4, None), Judgement::Outdated);
    }
}
