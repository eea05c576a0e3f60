//! Deterministic simulator, oracles, in-memory transport and conformance suites.
