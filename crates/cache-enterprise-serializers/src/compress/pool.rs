//! Working memory of compressors, kept between calls.

use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Contexts kept for reuse. More may be in use at once; those are dropped when they come back.
const KEPT_MAX: usize = 16;

/// Contexts that nobody uses at the moment. A context costs tens to hundreds of KiB to set up at
/// the default level, more than a small payload costs to compress, and keeps what its largest
/// payload needed; the lock is held for a push or a pop.
pub(super) struct Pool<T> {
    idle: Mutex<Vec<T>>,
}

impl<T> Pool<T> {
    /// Runs `work` with an idle context or a new one. A context whose work panicked is dropped.
    pub(super) fn with<R, E>(
        &self,
        new: impl FnOnce() -> Result<T, E>,
        work: impl FnOnce(&mut T) -> R,
    ) -> Result<R, E> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut context = match idle {
            Some(context) => context,
            None => new()?,
        };
        let result = work(&mut context);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT_MAX {
            idle.push(context);
        }
        Ok(result)
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { idle: Mutex::new(Vec::new()) }
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_made_once_and_used_again() {
        let pool = Pool::default();
        let mut made = 0;
        for round in 1..=3 {
            let used = pool.with(
                || {
                    made += 1;
                    Ok::<_, ()>(0)
                },
                |count| {
                    *count += 1;
                    *count
                },
            );
            assert_eq!(used, Ok(round));
        }
        assert_eq!(made, 1);
    }

    #[test]
    fn contexts_in_use_at_once_are_apart() {
        let pool = Pool::default();
        let inner = pool.with(
            || Ok::<_, ()>(1),
            |first| pool.with(|| Ok::<_, ()>(2), |second| (*first, *second)),
        );
        assert_eq!(inner, Ok(Ok((1, 2))));
    }
}
