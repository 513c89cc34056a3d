//! One small program per point
