//! For authors of backends: conformance suites, manual clock, fault injection
