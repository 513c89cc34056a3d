//! Request traces, access logs and generated workloads for cache-enterprise
