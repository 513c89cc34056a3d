//! Words of cache-enterprise: keys, entries, envelope, errors, clock, options and every trait
