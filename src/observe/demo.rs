//! The embedded sample cluster.
