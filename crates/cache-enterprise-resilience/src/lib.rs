//! Wrappers over any cache-enterprise backend: timeout, budgeted retry, circuit breaker
