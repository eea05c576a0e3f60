//! Two real endpoints on one machine.
