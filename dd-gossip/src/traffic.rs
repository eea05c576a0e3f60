//! What goes over the wire, by kind of frame.

use crate::frame::{Frame, SessionKind};

/// Frames of one kind, in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Traffic {
    pub(crate) fn count(&mut self, bytes: usize) {
        self.frames += 1;
        self.bytes += bytes as u64;
    }
}

/// Frames of one direction, by their kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrafficByKind {
    /// Greetings of processes.
    pub hello: Traffic,
    /// Hashes of contexts, sent to compare.
    pub digest: Traffic,
    /// Answers that a hash is equal.
    pub same: Traffic,
    /// Contexts, sent to be given what is missing.
    pub want: Traffic,
    /// Data that was asked for.
    pub exchange: Traffic,
    /// Data that was pushed.
    pub flush: Traffic,
    /// Full comparisons: questions, answers and data.
    pub comparison: Traffic,
    /// Acknowledgements of data.
    pub ack: Traffic,
    /// Questions for contexts, of barriers.
    pub query: Traffic,
    /// Answers to those.
    pub answer: Traffic,
    /// Questions and answers about what may be sealed.
    pub seal: Traffic,
    /// Of kinds that this version does not know.
    pub unknown: Traffic,
}

impl TrafficByKind {
    /// All kinds with their names, in the order of the fields.
    pub fn kinds(&self) -> [(&'static str, Traffic); 12] {
        [
            ("hello", self.hello),
            ("digest", self.digest),
            ("same", self.same),
            ("want", self.want),
            ("exchange", self.exchange),
            ("flush", self.flush),
            ("comparison", self.comparison),
            ("ack", self.ack),
            ("query", self.query),
            ("answer", self.answer),
            ("seal", self.seal),
            ("unknown", self.unknown),
        ]
    }

    pub(crate) fn of(&mut self, frame: &Frame) -> &mut Traffic {
        match frame {
            Frame::Hello { .. } => &mut self.hello,
            Frame::Digest { .. } => &mut self.digest,
            Frame::Same { .. } => &mut self.same,
            Frame::Want { .. } => &mut self.want,
            Frame::Data(data) => match data.kind {
                SessionKind::Exchange => &mut self.exchange,
                SessionKind::Flush => &mut self.flush,
                SessionKind::Comparison => &mut self.comparison,
            },
            Frame::Differs { .. } => &mut self.comparison,
            Frame::Ack { .. } => &mut self.ack,
            Frame::Query { .. } => &mut self.query,
            Frame::Answer { .. } => &mut self.answer,
            Frame::SealAsk { .. } | Frame::SealAnswer { .. } => &mut self.seal,
            Frame::Unknown(_) => &mut self.unknown,
        }
    }
}
