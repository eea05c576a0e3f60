//! Frames on a stream: a length of 4 bytes, big-endian, then that many bytes.
//!
//! Each frame gets memory of its own: a slice of what quinn received would keep a whole receive
//! buffer alive for a frame of one byte.

use std::collections::VecDeque;

use bytes::Bytes;
use dd_gossip::MAX_FRAME;

/// Bytes before each frame.
pub(crate) const PREFIX: usize = 4;

/// A length that no frame may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes; 1 to {MAX_FRAME} are allowed")]
pub(crate) struct FrameLength(pub(crate) u32);

/// Cuts a stream into frames, in whatever pieces it arrives.
#[derive(Debug, Default)]
pub(crate) struct FrameParser {
    prefix: [u8; PREFIX],
    prefix_filled: usize,
    body: Vec<u8>,
    /// Length of the frame whose body is being filled.
    wanted: Option<usize>,
}

impl FrameParser {
    /// Takes the next piece and appends the frames that it completes.
    pub(crate) fn feed(
        &mut self,
        mut piece: &[u8],
        frames: &mut VecDeque<Bytes>,
    ) -> Result<(), FrameLength> {
        loop {
            let wanted = match self.wanted {
                Some(wanted) => wanted,
                None => match self.take_prefix(&mut piece)? {
                    Some(wanted) => wanted,
                    None => return Ok(()),
                },
            };
            let missing = wanted - self.body.len();
            if self.body.is_empty() && piece.len() >= missing {
                let (frame, rest) = piece.split_at(missing);
                frames.push_back(Bytes::copy_from_slice(frame));
                piece = rest;
            } else {
                // Checked by take_prefix, so at most MAX_FRAME.
                self.body.reserve_exact(missing);
                let (part, rest) = piece.split_at(missing.min(piece.len()));
                self.body.extend_from_slice(part);
                piece = rest;
                if self.body.len() < wanted {
                    return Ok(());
                }
                frames.push_back(std::mem::take(&mut self.body).into());
            }
            self.wanted = None;
        }
    }

    /// Whether a frame has begun and not ended.
    pub(crate) fn is_inside_frame(&self) -> bool {
        self.prefix_filled > 0 || self.wanted.is_some()
    }

    /// The length of the next frame, once its prefix is complete; checked before anything is
    /// allocated for it.
    fn take_prefix(&mut self, piece: &mut &[u8]) -> Result<Option<usize>, FrameLength> {
        let take = (PREFIX - self.prefix_filled).min(piece.len());
        let (part, rest) = piece.split_at(take);
        self.prefix[self.prefix_filled..][..take].copy_from_slice(part);
        self.prefix_filled += take;
        *piece = rest;
        if self.prefix_filled < PREFIX {
            return Ok(None);
        }
        self.prefix_filled = 0;
        let length = u32::from_be_bytes(self.prefix);
        match usize::try_from(length) {
            Ok(wanted) if (1..=MAX_FRAME).contains(&wanted) => {
                self.wanted = Some(wanted);
                Ok(Some(wanted))
            }
            _ => Err(FrameLength(length)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixed(frame: &[u8]) -> Vec<u8> {
        [&(frame.len() as u32).to_be_bytes(), frame].concat()
    }

    #[test]
    fn any_cut_gives_the_same_frames() {
        let frames: Vec<Vec<u8>> = vec![vec![1], vec![2; 300], vec![3; 5], vec![4; 4]];
        let stream: Vec<u8> = frames.iter().flat_map(|frame| prefixed(frame)).collect();
        for size in 1..=stream.len() {
            let (mut parser, mut out) = (FrameParser::default(), VecDeque::new());
            for piece in stream.chunks(size) {
                parser.feed(piece, &mut out).unwrap();
            }
            assert!(!parser.is_inside_frame());
            assert!(
                out.iter()
                    .map(|frame| &frame[..])
                    .eq(frames.iter().map(|frame| &frame[..]))
            );
        }
    }

    #[test]
    fn the_largest_frame_passes_and_one_byte_more_does_not() {
        let (mut parser, mut out) = (FrameParser::default(), VecDeque::new());
        parser
            .feed(&prefixed(&vec![9; MAX_FRAME]), &mut out)
            .unwrap();
        assert_eq!(out.pop_front().unwrap().len(), MAX_FRAME);
        let over = (MAX_FRAME + 1) as u32;
        assert_eq!(
            parser.feed(&over.to_be_bytes(), &mut out),
            Err(FrameLength(over))
        );
    }

    #[test]
    fn huge_and_empty_lengths_are_refused_before_memory_is_taken() {
        for length in [0, u32::MAX] {
            let (mut parser, mut out) = (FrameParser::default(), VecDeque::new());
            assert_eq!(
                parser.feed(&length.to_be_bytes(), &mut out),
                Err(FrameLength(length))
            );
            assert_eq!(parser.body.capacity(), 0);
        }
    }

    #[test]
    fn an_end_inside_a_frame_is_seen() {
        let (mut parser, mut out) = (FrameParser::default(), VecDeque::new());
        parser.feed(&[0, 0], &mut out).unwrap();
        assert!(parser.is_inside_frame());
        parser.feed(&[0, 2, 7], &mut out).unwrap();
        assert!(parser.is_inside_frame() && out.is_empty());
    }
}
