//! Which life of a node is a later one.

use crate::store::wall;

/// Bits of a generation that tell starts within one millisecond apart.
const RANDOM: u32 = 16;

/// The generation of a node that is started now.
pub(crate) fn now(random: u64) -> u64 {
    (wall() << RANDOM) | u64::from(random as u16)
}

/// When a node of that generation was started, in milliseconds since 1970.
#[cfg(feature = "status-page")]
pub(crate) fn started(generation: u64) -> u64 {
    generation >> RANDOM
}
