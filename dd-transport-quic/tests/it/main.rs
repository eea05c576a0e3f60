//! Real endpoints on one machine. Nothing here waits for a time to pass: each test awaits events,
//! with a limit that only a broken build reaches.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that called them"
)]

mod close;
mod enrolment;
mod exchange;
mod flow;
mod hostile;
mod node;
mod pairs;
mod rogue;
mod seeds;
mod suite;
mod trust;
