//! Codecs and compressors of cache-enterprise
