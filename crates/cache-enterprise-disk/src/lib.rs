//! Embedded level 2 of cache-enterprise: crash-safe disk backend on fjall
