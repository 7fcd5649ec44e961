//! Configurations in memory.
