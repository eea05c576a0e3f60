//! Real endpoints on one machine. Nothing here waits for a time to pass: each test awaits events,
//! with a limit that only a broken build reaches.

mod close;
mod exchange;
mod flow;
mod hostile;
mod node;
mod pairs;
mod rogue;
mod trust;
