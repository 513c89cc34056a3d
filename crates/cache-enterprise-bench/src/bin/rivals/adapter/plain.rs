//! A map behind a mutex: asked, loaded, put. It coalesces nothing and orders nothing, which the
//! scenarios must see.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::PLAIN;
use crate::library::{Answer, Instance, Library, Load, LoadMany, Refusal};

pub(super) struct Plain;

#[async_trait]
impl Library for Plain {
    fn name(&self) -> &'static str {
        PLAIN
    }

    fn version(&self) -> String {
        "-".to_owned()
    }

    async fn alone(&self) -> Answer<Arc<dyn Instance>> {
        Ok(Arc::new(Map(Mutex::default())))
    }
}

struct Map(Mutex<HashMap<String, u64>>);

impl Map {
    fn values(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self, key: &str) -> Option<u64> {
        self.values().get(key).copied()
    }
}

#[async_trait]
impl Instance for Map {
    async fn get_or_load(&self, key: &str, _tag: Option<&str>, load: Load) -> Answer<u64> {
        if let Some(value) = self.held(key) {
            return Ok(value);
        }
        let value = load().await;
        self.values().insert(key.to_owned(), value);
        Ok(value)
    }

    async fn remove(&self, key: &str) -> Answer<()> {
        self.values().remove(key);
        Ok(())
    }

    async fn invalidate_tag(&self, _tag: &str) -> Answer<()> {
        Err(Refusal::NotOffered("it has no tags"))
    }

    async fn get_many(&self, keys: Vec<String>, mut load: LoadMany) -> Answer<Vec<u64>> {
        let missing = keys.iter().filter(|key| self.held(key).is_none()).cloned().collect();
        let loaded = load(missing).await;
        self.values().extend(loaded);
        Ok(keys.iter().filter_map(|key| self.held(key)).collect())
    }
}
