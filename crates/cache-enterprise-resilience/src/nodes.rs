//! A batch, cut along the nodes of its backend.

use cache_enterprise_core::{Backend, StoredKey};

/// The part of a batch that one node serves.
///
/// [`by_node`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePart {
    /// Number of the node.
    pub node: u32,
    /// Places of its keys in the batch, in their order; never empty.
    pub places: Vec<usize>,
}

impl NodePart {
    /// What stands at this part's places in a list as long as the batch.
    ///
    /// # Panics
    /// When `batch` is shorter than the one that was cut.
    pub fn pick<T: Clone>(&self, batch: &[T]) -> Vec<T> {
        self.places.iter().map(|&place| batch[place].clone()).collect()
    }
}

/// Cuts a batch into the parts that fail separately, in the order in which their nodes first
/// appear. Whoever sends each part for itself knows which keys a failing node took along, and no
/// others. A backend with one node gives one part, and nothing is asked about its keys; a batch
/// without keys gives none.
///
/// Costs a [`Backend::node`] and a step through the parts a key.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::{Backend, Result, StoredKey};
/// use cache_enterprise_resilience::by_node;
///
/// # async fn remove(cluster: Arc<dyn Backend>, keys: Vec<StoredKey>) -> Result<()> {
/// for part in by_node(&*cluster, &keys) {
///     let keys = part.pick(&keys);
///     if let Err(error) = cluster.remove_many(&keys, Default::default(), &Default::default()).await {
///         eprintln!("node {} keeps {} keys: {error}", part.node, keys.len());
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub fn by_node<'k>(
    backend: &dyn Backend,
    keys: impl IntoIterator<Item = &'k StoredKey>,
) -> Vec<NodePart> {
    let has_several = backend.nodes() > 1;
    let mut parts: Vec<NodePart> = Vec::new();
    for (place, key) in keys.into_iter().enumerate() {
        let node = if has_several { backend.node(key) } else { 0 };
        match parts.iter_mut().find(|part| part.node == node) {
            Some(part) => part.places.push(place),
            None => parts.push(NodePart { node, places: vec![place] }),
        }
    }
    parts
}
