//! The engine of cache-enterprise: managers, typed caches, level walk, single-flight, invalidation
