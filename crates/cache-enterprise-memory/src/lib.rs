//! Level 1 of cache-enterprise: typed in-memory store on quick_cache, and a byte backend
