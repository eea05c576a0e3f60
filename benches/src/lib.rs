//! Benchmarks and comparison experiments.
