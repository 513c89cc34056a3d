//! Settings of cache-enterprise: files, environment and code in one typed tree
