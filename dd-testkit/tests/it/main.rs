//! Integration tests of the test kit itself.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that called them"
)]

mod broken_transport;
mod definition;
mod exhaust;
mod model;
mod simulator;
mod transport;
