//! How large a value may be.

/// Limits of what a path and a payload may be, checked when a value is written and again when one
/// is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest component of a path (an element, a map key), encoded, in bytes. Default 64 KiB.
    pub element: usize,
    /// Longest payload of a register, encoded, in bytes. Default 64 MiB. Set it alike on all nodes of a store: one
    /// refuses what is longer. On its way it is held once more for each peer, by both sides.
    pub payload: usize,
    /// Deepest path, in components. Default 34: the key, its shape, and 32 levels of a value.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            element: 64 * 1024,
            payload: 64 * 1024 * 1024,
            depth: 34,
        }
    }
}
