//! A multi-level, multi-tenant cache: typed values in memory, bytes below, one coherent whole
