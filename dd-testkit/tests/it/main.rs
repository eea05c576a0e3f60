//! Integration tests of the test kit itself.

mod definition;
mod model;
