//! One number for everything that happened, the same on every machine.

use std::fmt;
use std::hash::Hasher;

use dd_gossip::Time;
use siphasher::sip::SipHasher13;

/// What happened so far, as a hash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(SipHasher13);

impl Trace {
    pub(crate) fn number(&mut self, number: u64) {
        self.0.write(&number.to_le_bytes());
    }

    /// Something of a kind, at a time.
    pub(crate) fn moment(&mut self, at: Time, kind: u64) {
        self.number(at.since_start().as_nanos() as u64);
        self.number(kind);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.write(bytes);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.0.finish()
    }
}

/// Text is added as it is, wherever it is cut.
impl fmt::Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
