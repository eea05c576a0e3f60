//! Integration tests of the test kit itself.

mod broken_transport;
mod definition;
mod model;
mod transport;
