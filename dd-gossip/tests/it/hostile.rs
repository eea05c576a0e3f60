//! Frames that are damaged, cut off, made up or in the wrong place: each is an error or passed over,
//! and changes nothing. Those that are well-formed and can't be true are in `untrue`.

use bytes::Bytes;
use crdt_core::codec::{DecodeError, Writer};
use crdt_core::{Context, Dot, OrSet};
use dd_gossip::{Event, FRAME_VERSION, FrameError, MAX_FRAME, Replica, Time};

use crate::support::craft::{self, Stranger};
use crate::support::recording::{Recording, comparison, exchange_and_flush};
use crate::support::{Rng, assert_sound, config, node, replica_id, visible};

/// Hands a frame over in the place of the `at`-th of a recording. A refusal is counted and changes
/// nothing; whatever happens, the replica agrees with itself and can go on.
fn hand_damaged(recording: &Recording, at: usize, frame: &Bytes) -> Result<(), FrameError> {
    let mut replica = recording.played(at);
    let before = visible(&mut replica);
    let refused = replica.counts().frames_refused;
    let result = recording.hand(&mut replica, at, frame);
    if result.is_err() {
        assert_eq!(replica.counts().frames_refused, refused + 1);
        assert_eq!(
            visible(&mut replica),
            before,
            "refused, and changed something"
        );
    }
    assert_sound(&mut replica);
    for (n, (_, frame)) in recording.frames.iter().enumerate().skip(at + 1) {
        let _ = recording.hand(&mut replica, n, frame);
    }
    assert_sound(&mut replica);
    result
}

fn recordings() -> [Recording; 2] {
    [exchange_and_flush(), comparison()]
}

/// A frame with `change` made to its body, and the length set right again.
fn with_body(frame: &Bytes, change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let header = if frame[2] < 0x80 { 3 } else { 4 };
    let mut body = frame[header..].to_vec();
    change(&mut body);
    craft::frame(frame[1], &body)
}

#[test]
fn every_frame_that_is_cut_off_is_refused() {
    for recording in recordings() {
        for (at, (_, frame)) in recording.frames.iter().enumerate() {
            for len in 0..frame.len() {
                let result = hand_damaged(&recording, at, &frame.slice(..len));
                assert_eq!(result, Err(DecodeError::Truncated.into()));
            }
        }
    }
}

#[test]
fn every_body_that_is_cut_off_is_refused() {
    for recording in recordings() {
        for (at, (_, frame)) in recording.frames.iter().enumerate() {
            let mut len = 0;
            with_body(frame, |body| len = body.len());
            for shorter in 0..len {
                let frame = with_body(frame, |body| body.truncate(shorter));
                assert!(hand_damaged(&recording, at, &frame).is_err(), "{frame:?}");
            }
        }
    }
}

#[test]
fn bytes_behind_a_frame_or_a_body_are_refused() {
    for recording in recordings() {
        for (at, (_, frame)) in recording.frames.iter().enumerate() {
            let behind: Bytes = [&frame[..], &[0]].concat().into();
            let inside = with_body(frame, |body| body.push(0));
            for frame in [behind, inside] {
                let result = hand_damaged(&recording, at, &frame);
                assert_eq!(result, Err(DecodeError::TrailingBytes.into()), "{frame:?}");
            }
        }
    }
}

#[test]
fn no_single_byte_that_is_changed_does_harm() {
    let (mut refused, mut accepted) = (0, 0);
    for recording in recordings() {
        for (at, (_, frame)) in recording.frames.iter().enumerate() {
            for position in 0..frame.len() {
                for mask in 1..=255 {
                    let mut damaged = frame.to_vec();
                    damaged[position] ^= mask;
                    match hand_damaged(&recording, at, &damaged.into()) {
                        Ok(()) => accepted += 1,
                        Err(_) => refused += 1,
                    }
                }
            }
        }
    }
    // Neither all nor none: payloads are opaque, and a frame for another process is passed over.
    assert!(
        refused > 10_000 && accepted > 10_000,
        "{refused}, {accepted}"
    );
}

#[test]
fn random_bytes_change_nothing() {
    let recording = exchange_and_flush();
    let mut replica = recording.played(4);
    let before = visible(&mut replica);
    let mut rng = Rng(1);
    for _ in 0..50_000 {
        let len = rng.below(200);
        let bytes = rng.bytes(len);
        let _ = recording.hand(&mut replica, 4, &bytes.into());
    }
    assert_eq!(visible(&mut replica), before);
    assert!(replica.counts().frames_refused > 49_000);
}

#[test]
fn random_bodies_of_every_kind_change_nothing() {
    let mut rng = Rng(2);
    for _ in 0..20 {
        let mut b = Replica::new(config("b", &["a"]), Time::ZERO);
        let stranger = Stranger::meet("a", &mut b, config("b", &[]).nonce);
        let before = visible(&mut b);
        for _ in 0..2_000 {
            let len = rng.below(80);
            let body = rng.bytes(len);
            let kind = 1 + rng.below(7) as u8;
            let frame = if rng.below(2) == 0 {
                stranger.bound(kind, &body)
            } else {
                craft::frame(kind, &body)
            };
            let _ = stranger.say(&mut b, &frame);
        }
        assert_eq!(visible(&mut b), before);
        assert!(b.counts().frames_refused > 500);
    }
}

#[test]
fn random_messages_leave_a_sound_replica() {
    let mut rng = Rng(3);
    let (mut refused, mut changed) = (0, 0);
    for _ in 0..10_000 {
        let mut b = Replica::new(config("b", &["a"]), Time::ZERO);
        let mut stranger = Stranger::meet("a", &mut b, config("b", &[]).nonce);
        for _ in 0..4 {
            // Small numbers everywhere, so that some of it decodes.
            let len = rng.below(60);
            let mut message: Vec<u8> = (0..len).map(|_| rng.below(4) as u8).collect();
            message.insert(0, rng.below(4) as u8);
            for frame in stranger.session(rng.below(3) as u8, &[message]) {
                let _ = stranger.say(&mut b, &frame);
            }
        }
        assert_sound(&mut b);
        refused += b.counts().frames_refused;
        changed += u64::from(!b.state().context().is_empty());
    }
    assert!(refused > 10_000 && changed > 10, "{refused}, {changed}");
}

#[test]
fn a_length_that_can_not_be_true_is_refused() {
    let mut b = Replica::new(config("b", &["a"]), Time::ZERO);
    let stranger = Stranger::meet("a", &mut b, config("b", &[]).nonce);
    for length in [1, 1_000, u64::from(u32::MAX), u64::MAX] {
        for kind in 1..=7 {
            let mut w = Writer::new();
            w.byte(FRAME_VERSION);
            w.byte(kind);
            w.varint(length);
            let result = stranger.say(&mut b, &w.finish().into());
            assert_eq!(result, Err(DecodeError::Truncated.into()));
        }
    }
    // A context of more origins than bytes.
    let mut w = Writer::new();
    w.byte(1);
    w.varint(u64::MAX);
    let frame = stranger.bound(craft::WANT, &w.finish());
    let result = stranger.say(&mut b, &frame);
    assert_eq!(result, Err(DecodeError::Truncated.into()));
}

#[test]
fn a_frame_may_be_as_long_as_the_limit_and_no_longer() {
    let mut b = Replica::new(config("b", &["a"]), Time::ZERO);
    let stranger = Stranger::meet("a", &mut b, config("b", &[]).nonce);
    let unknown = craft::frame(200, &vec![0; MAX_FRAME - 5]);
    assert_eq!(unknown.len(), MAX_FRAME);
    assert_eq!(stranger.say(&mut b, &unknown), Ok(()));
    let longer = craft::frame(200, &vec![0; MAX_FRAME - 4]);
    let result = stranger.say(&mut b, &longer);
    assert_eq!(result, Err(FrameError::TooLong(MAX_FRAME + 1)));
}

#[test]
fn another_version_is_refused_and_named() {
    let recording = exchange_and_flush();
    for version in (0..=255).filter(|version| *version != FRAME_VERSION) {
        let mut frame = recording.frames[1].1.to_vec();
        frame[0] = version;
        let result = hand_damaged(&recording, 1, &frame.into());
        assert_eq!(result, Err(FrameError::Version(version)));
    }
    let message = FrameError::Version(9).to_string();
    assert!(
        message.contains('9') && message.contains("upgrade"),
        "{message}"
    );
}

#[test]
fn a_kind_from_a_later_version_is_passed_over() {
    let mut b = Replica::new(config("b", &["a"]), Time::ZERO);
    let stranger = Stranger::meet("a", &mut b, config("b", &[]).nonce);
    let before = visible(&mut b);
    let received = b.counts().frames_received;
    let known = [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12];
    for kind in (0..=255).filter(|kind| !known.contains(kind)) {
        let frame = craft::frame(kind, b"from the future");
        assert_eq!(stranger.say(&mut b, &frame), Ok(()));
    }
    assert_eq!(b.counts().frames_received, received + 245);
    assert_eq!(visible(&mut b), before);
    assert_eq!(stranger.hear(&mut b), Vec::<Bytes>::new());
}

#[test]
fn who_is_not_connected_is_not_heard() {
    let recording = exchange_and_flush();
    let mut b = Replica::new(config("b", &["a"]), Time::ZERO);
    for (at, (_, frame)) in recording.frames.iter().enumerate() {
        let result = recording.hand(&mut b, at, frame);
        assert_eq!(result, Err(FrameError::NotConnected));
    }
    assert_eq!(b.counts().frames_refused, recording.frames.len() as u64);
    assert!(b.state().context().is_empty());
}

#[test]
fn who_has_not_greeted_is_answered_with_a_hello() {
    let recording = exchange_and_flush();
    let mut b = recording.receiver();
    let hello = b.poll_transmit(Time::ZERO, &node("a")).expect("a hello");
    let before = visible(&mut b);
    for (at, (_, frame)) in recording.frames.iter().enumerate().skip(1) {
        assert_eq!(recording.hand(&mut b, at, frame), Ok(()));
    }
    assert_eq!(visible(&mut b), before);
    // The hello was lost, so the peer gets one again.
    assert_eq!(b.poll_transmit(Time::ZERO, &node("a")), Some(hello));
    assert_eq!(b.poll_transmit(Time::ZERO, &node("a")), None);
}

#[test]
fn nobody_may_use_this_process_s_own_identity() {
    let own = config("b", &["a"]);
    let hellos = [
        craft::hello(own.nonce, replica_id("a"), true),
        craft::hello(1, own.replica, true),
    ];
    for hello in hellos {
        let mut b = Replica::new(own.clone(), Time::ZERO);
        b.handle_connected(Time::ZERO, &node("a"));
        let result = b.handle_frame(Time::ZERO, &node("a"), &hello);
        let expected = FrameError::Untrue("it uses this process's own identity");
        assert_eq!(result, Err(expected));
        assert_eq!(b.poll_event(), None);
    }
}

#[test]
fn frames_for_or_from_another_process_are_passed_over() {
    let recording = exchange_and_flush();
    let mut config = config("b", &["a"]);
    config.nonce += 1;
    let mut b = Replica::new(config, Time::ZERO);
    b.handle_connected(Time::ZERO, &node("a"));
    let before = visible(&mut b);
    for (at, (_, frame)) in recording.frames.iter().enumerate() {
        assert_eq!(recording.hand(&mut b, at, frame), Ok(()));
    }
    assert_eq!(visible(&mut b), before);
    assert_eq!(b.poll_event(), Some(Event::PeerUp(node("a"))));
    assert_eq!(b.poll_event(), None);
}

/// Three units of an exchange and its end, as frames.
fn exchange(stranger: &mut Stranger) -> Vec<Bytes> {
    let a = stranger.replica;
    let set = crdt_core::Shape::of::<OrSet<String>>();
    let mut messages = Vec::new();
    for n in 1..=3 {
        let path = craft::path(&[b"key", set.name().as_bytes(), &[b'0' + n as u8]]);
        messages.push(craft::unit(&craft::add(&path, Dot::new(a, n))));
    }
    let mut context = Context::new();
    context.insert_range(a, 1, 5);
    messages.push(craft::end(&Default::default(), &context));
    stranger.session(craft::EXCHANGE, &messages)
}

#[test]
fn repeated_frames_are_passed_over() {
    let mut b = Replica::new(config("b", &["a"]), Time::ZERO);
    let mut stranger = Stranger::meet("a", &mut b, config("b", &[]).nonce);
    let frames = exchange(&mut stranger);
    for at in 0..frames.len() {
        for repeated in frames[..=at].iter().rev() {
            assert_eq!(stranger.say(&mut b, repeated), Ok(()));
        }
        for repeated in &frames[..=at] {
            assert_eq!(stranger.say(&mut b, repeated), Ok(()));
        }
    }
    assert_eq!(b.counts().exchanges_received, 1);
    assert_eq!(b.counts().sessions_broken, 0);
    assert_eq!(b.view::<OrSet<String>>(b"key").len(), 3);
    assert_eq!(b.state().context().len(), 5);
    assert_sound(&mut b);
}

#[test]
fn repeated_parts_of_a_message_are_passed_over() {
    let mut b = Replica::new(config("b", &["a"]), Time::ZERO);
    let stranger = Stranger::meet("a", &mut b, config("b", &[]).nonce);
    let path = craft::path(&[b"key", b"or_set<str>", b"element"]);
    let unit = craft::unit(&craft::add(&path, Dot::new(stranger.replica, 1)));
    let last = unit.len() as u64 - 1;
    let frames: Vec<Bytes> = (0..)
        .zip(unit.chunks(1))
        .map(|(number, chunk)| {
            let ends = if number == last {
                craft::ENDS_MESSAGE
            } else {
                0
            };
            stranger.data(1, number, craft::EXCHANGE | ends, chunk)
        })
        .collect();
    for at in 0..frames.len() {
        for frame in [&frames[at], &frames[at], &frames[0], &frames[at / 2]] {
            assert_eq!(stranger.say(&mut b, frame), Ok(()));
        }
    }
    assert_eq!(b.counts().sessions_broken, 0);
    assert!(b.view::<OrSet<String>>(b"key").contains("element"));
}

#[test]
fn a_gap_breaks_the_session_and_nothing_is_taken_over() {
    for lost in 0..3 {
        let mut b = Replica::new(config("b", &["a"]), Time::ZERO);
        let mut stranger = Stranger::meet("a", &mut b, config("b", &[]).nonce);
        let mut frames = exchange(&mut stranger);
        let late = frames.remove(lost);
        for frame in frames.iter().chain([&late]) {
            assert_eq!(stranger.say(&mut b, frame), Ok(()));
        }
        assert_eq!(b.counts().sessions_broken, 1);
        assert_eq!(b.counts().exchanges_received, 0);
        // What came before the gap is here, and nothing else is claimed.
        assert_eq!(b.view::<OrSet<String>>(b"key").len(), lost);
        assert_eq!(b.state().context().len(), lost as u64);
        let kinds: Vec<u8> = stranger
            .hear(&mut b)
            .iter()
            .map(|f| craft::kind(f))
            .collect();
        assert_eq!(kinds, [craft::WANT], "it asks anew");
        assert_sound(&mut b);
    }
}

#[test]
fn an_end_without_its_session_is_not_taken_over() {
    let mut b = Replica::new(config("b", &["a"]), Time::ZERO);
    let mut stranger = Stranger::meet("a", &mut b, config("b", &[]).nonce);
    let old = exchange(&mut stranger);
    let new = exchange(&mut stranger);
    assert_eq!(stranger.say(&mut b, &old[0]), Ok(()));
    assert_eq!(stranger.say(&mut b, &new[0]), Ok(()));
    // The last frame of the older session comes late.
    assert_eq!(stranger.say(&mut b, &old[3]), Ok(()));
    assert_eq!(b.counts().exchanges_received, 0);
    assert_eq!(b.state().context().len(), 1);
    for frame in &new[1..] {
        assert_eq!(stranger.say(&mut b, frame), Ok(()));
    }
    assert_eq!(b.counts().exchanges_received, 1);
    assert_eq!(b.state().context().len(), 5);
}
