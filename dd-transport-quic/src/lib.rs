//! Carries replication frames over mutually authenticated QUIC.
