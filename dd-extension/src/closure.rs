//! Tells whether this thread is inside of a closure that a store runs.

use std::cell::Cell;

use crate::error::StoreError;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Fails inside of a closure: a store call there would wait for a lock that its caller holds.
pub(crate) fn check_outside() -> Result<(), StoreError> {
    if INSIDE.get() {
        Err(StoreError::InsideClosure)
    } else {
        Ok(())
    }
}

/// Runs a closure of the user's; what it calls can tell. Also after a panic the thread is outside
/// again.
pub(crate) fn run<R>(closure: impl FnOnce() -> R) -> R {
    struct Outside;
    impl Drop for Outside {
        fn drop(&mut self) {
            INSIDE.set(false);
        }
    }
    INSIDE.set(true);
    let _outside = Outside;
    closure()
}
