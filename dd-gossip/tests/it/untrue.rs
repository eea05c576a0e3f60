//! Frames that are well-formed and can't be true, or go beyond a limit on values: each is refused,
//! names what is wrong, and changes nothing, then or later.

use std::time::Duration;

use bytes::Bytes;
use crdt_core::codec::{DecodeError, Writer};
use crdt_core::kernel::{Cut, CutKey, Entry, Run, Unit, Value};
use crdt_core::{
    Context, Dot, GCounter, LwwRegister, OrSet, Path, PnCounter, Shape, VersionVector,
};
use dd_gossip::{Config, FrameError, MAX_KEY, MAX_STATEMENT, Replica, Time};

use crate::support::craft::{self, ASIDE, COMPARISON, EXCHANGE, FLUSH, Stranger};
use crate::support::{assert_sound, config, incarnation, replica_id, restarted, visible, write};

/// A replica that has made one event, and a peer that says whatever it is told to.
fn scene() -> (Replica, Stranger) {
    scene_of(config("b", &["a", "c"]))
}

fn scene_of(config: Config) -> (Replica, Stranger) {
    let nonce = config.nonce;
    let mut b = Replica::new(config, Time::ZERO);
    write::<OrSet<String>>(&mut b, Time::ZERO, "own", |set| {
        set.insert("own");
    });
    let stranger = Stranger::meet("a", &mut b, nonce);
    let agreed = craft::dots(&[Dot::new(replica_id("b"), 1)]);
    stranger.agree_on(&mut b, &agreed);
    (b, stranger)
}

/// The `seq`-th event of the peer.
fn theirs(seq: u64) -> Dot {
    Dot::new(replica_id("a"), seq)
}

/// The `seq`-th event of the receiver, which has made one.
fn own(seq: u64) -> Dot {
    Dot::new(replica_id("b"), seq)
}

fn element() -> Path {
    let set = Shape::of::<OrSet<String>>();
    craft::path(&[b"key", set.name().as_bytes(), b"element"])
}

/// All frames but the last are accepted; the last is refused and changes nothing, not even when
/// another peer speaks before the connection is ended.
fn assert_refused(b: &mut Replica, stranger: &Stranger, frames: &[Bytes], error: &FrameError) {
    let (last, others) = frames.split_last().expect("frames");
    for frame in others {
        assert_eq!(stranger.say(b, frame), Ok(()));
    }
    let before = visible(b);
    let refused = b.counts().frames_refused;
    assert_eq!(stranger.say(b, last).as_ref(), Err(error));
    assert_eq!(b.counts().frames_refused, refused + 1);
    assert_eq!(visible(b), before);
    let mut other = Stranger::meet("c", b, config("b", &[]).nonce);
    let nothing = craft::end(&VersionVector::new(), &Context::new());
    for frame in other.session(EXCHANGE, &[nothing]) {
        assert_eq!(other.say(b, &frame), Ok(()));
    }
    assert_eq!(visible(b), before, "it took effect after all");
    b.handle_disconnected(Time::ZERO, &stranger.node);
    assert_eq!(visible(b), before);
    assert_sound(b);
}

/// The same unit in a session of each kind.
fn assert_unit_refused(unit: &Unit, error: &FrameError) {
    let everything: Context = unit.dots().collect();
    let (mut b, mut stranger) = scene();
    let frames = stranger.session(EXCHANGE, &[craft::unit(unit), vec![]]);
    assert_refused(&mut b, &stranger, &frames[..1], error);

    let (mut b, mut stranger) = scene();
    let mut after = b.state().context().clone();
    after.union(&everything);
    let message = craft::flush(&everything, &after, unit);
    let frames = stranger.session(FLUSH, &[message]);
    assert_refused(&mut b, &stranger, &frames, error);

    let (mut b, mut stranger) = scene();
    let part = craft::part(&Context::new(), unit);
    let end = craft::end(&VersionVector::new(), &everything);
    let frames = stranger.session(COMPARISON, &[part, end]);
    assert_refused(&mut b, &stranger, &frames, error);
}

#[test]
fn events_of_this_replica_that_it_never_made() {
    let error = FrameError::Untrue("an event of this replica that it never made");
    let never = FrameError::Untrue("events of this replica that it never made");
    let refused = |frame: &dyn Fn(&mut Stranger) -> Vec<Bytes>| {
        let (mut b, mut stranger) = scene();
        let frames = frame(&mut stranger);
        assert_refused(&mut b, &stranger, &frames, &never);
    };
    let made_up = craft::dots(&[own(2)]);
    refused(&|stranger| vec![stranger.want(true, &made_up)]);
    refused(&|stranger| vec![stranger.want(false, &made_up)]);
    let end = craft::end(&VersionVector::new(), &made_up);
    refused(&|stranger| stranger.session(EXCHANGE, std::slice::from_ref(&end)));
    refused(&|stranger| stranger.session(COMPARISON, std::slice::from_ref(&end)));
    let after = craft::dots(&[own(1), own(2)]);
    let flush = craft::flush(&made_up, &after, &Unit::default());
    refused(&|stranger| stranger.session(FLUSH, std::slice::from_ref(&flush)));

    for unit in [
        craft::add(&element(), own(2)),
        craft::removal(&element(), own(2), Context::new()),
    ] {
        let (mut b, mut stranger) = scene();
        let frames = stranger.session(EXCHANGE, &[craft::unit(&unit)]);
        // Not the end of the session.
        let data = craft::data_frame(&frames[0]).expect("data");
        let frame = stranger.data(1, 0, craft::ENDS_MESSAGE, &data.chunk);
        assert_refused(&mut b, &stranger, &[frame], &error);
        let (mut b, mut stranger) = scene();
        let part = craft::part(&Context::new(), &unit);
        let end = craft::end(&VersionVector::new(), &craft::dots(&[own(1)]));
        let frames = stranger.session(COMPARISON, &[part, end]);
        assert_refused(&mut b, &stranger, &frames, &error);
        let (mut b, mut stranger) = scene();
        let news = craft::dots(&[theirs(1)]);
        let flush = craft::flush(&news, &craft::dots(&[own(1), theirs(1)]), &unit);
        let frames = stranger.session(FLUSH, &[flush]);
        assert_refused(&mut b, &stranger, &frames, &error);
    }
}

#[test]
fn a_removal_that_saw_what_this_replica_never_made() {
    // It would make what this replica writes next dead everywhere else, as soon as it is written.
    let error = FrameError::Untrue("an event of this replica that it never made");
    let saw = craft::dots(&[own(1), own(2)]);
    assert_unit_refused(&craft::removal(&element(), theirs(1), saw), &error);
    let counter = Shape::of::<GCounter>();
    let path = craft::path(&[b"key", counter.name().as_bytes()]);
    let mut unit = craft::removal(&path, theirs(1), Context::new());
    let key = CutKey {
        path,
        replica: replica_id("b"),
        start: 2,
    };
    let cut = Cut {
        newest: 9,
        total: 1,
    };
    unit.records[0].1.cuts = [(key, cut)].into_iter().collect();
    assert_unit_refused(&unit, &error);
}

#[test]
fn a_floor_beyond_the_context() {
    let error = FrameError::Untrue("a floor beyond the context");
    let mut floor = VersionVector::new();
    floor.raise(replica_id("a"), 2);
    let end = craft::end(&floor, &craft::dots(&[theirs(1)]));
    for kind in [EXCHANGE, COMPARISON] {
        let (mut b, mut stranger) = scene();
        let frames = stranger.session(kind, std::slice::from_ref(&end));
        assert_refused(&mut b, &stranger, &frames, &error);
    }
}

#[test]
fn forgotten_removals_of_this_replica_that_it_never_made() {
    let (mut b, mut stranger) = scene();
    let error = FrameError::Untrue("forgotten removals of this replica that it never made");
    let mut floor = VersionVector::new();
    floor.raise(b.replica_id(), 1 << 40);
    let end = craft::end(&VersionVector::new(), &craft::dots(&[theirs(1)]));
    let frames = stranger.session(EXCHANGE, &[craft::begin(&floor), end]);
    assert_refused(&mut b, &stranger, &frames[..1], &error);
}

#[test]
fn an_acknowledgement_of_what_was_not_sent() {
    let (mut b, stranger) = scene();
    let error = FrameError::Untrue("it acknowledges what was not sent");
    let ack = stranger.ack(1);
    assert_refused(&mut b, &stranger, &[ack], &error);
    let (mut b, stranger) = scene();
    assert_eq!(stranger.say(&mut b, &stranger.ack(0)), Ok(()));
}

#[test]
fn paths_without_a_proper_key() {
    let error = FrameError::Untrue("a path without a proper key");
    let set = Shape::of::<OrSet<String>>();
    let shape = set.name().as_bytes();
    let long = vec![b'k'; MAX_KEY + 1];
    for names in [&[][..], &[&b"key"[..]], &[b"", shape], &[&long, shape]] {
        assert_unit_refused(&craft::add(&craft::path(names), theirs(1)), &error);
    }
    for names in [&[][..], &[&b""[..]], &[&long[..], shape]] {
        let removal = craft::removal(&craft::path(names), theirs(1), Context::new());
        assert_unit_refused(&removal, &error);
    }
}

#[test]
fn paths_without_a_proper_shape() {
    let error = FrameError::Untrue("a path without a proper shape");
    for shape in [
        &b""[..],
        b"Or_Set",
        b"or_set<",
        b"or_set<u8>>",
        b"a b",
        b"\xff",
    ] {
        let path = craft::path(&[b"key", shape]);
        assert_unit_refused(&craft::add(&path, theirs(1)), &error);
        let removal = craft::removal(&path, theirs(1), Context::new());
        assert_unit_refused(&removal, &error);
    }
}

#[test]
fn one_event_at_two_places() {
    let error = FrameError::Untrue("one event at two places");
    let other = craft::path(&[b"another", b"or_set<str>", b"element"]);
    let mut unit = craft::add(&other, theirs(1));
    unit.extend(craft::add(&element(), theirs(1)));
    unit.normalize();
    assert_unit_refused(&unit, &error);
    // Over two parts of a comparison, at two places or twice at one.
    for path in [other, element()] {
        let (mut b, mut stranger) = scene();
        let parts = [&element(), &path].map(|path| {
            let unit = craft::add(path, theirs(1));
            craft::part(&Context::new(), &unit)
        });
        let end = craft::end(&VersionVector::new(), &craft::dots(&[theirs(1)]));
        let [first, second] = parts;
        let frames = stranger.session(COMPARISON, &[first, second, end]);
        assert_refused(&mut b, &stranger, &frames, &error);
    }
}

#[test]
fn a_comparison_that_brings_what_its_sender_has_not_seen() {
    let error = FrameError::Untrue("an event beyond the context");
    for unit in [
        craft::add(&element(), theirs(2)),
        craft::removal(&element(), theirs(2), Context::new()),
    ] {
        let (mut b, mut stranger) = scene();
        let part = craft::part(&Context::new(), &unit);
        let end = craft::end(&VersionVector::new(), &craft::dots(&[theirs(1)]));
        let frames = stranger.session(COMPARISON, &[part, end]);
        assert_refused(&mut b, &stranger, &frames, &error);
    }
}

#[test]
fn messages_that_do_not_belong_into_their_session() {
    let error = FrameError::Untrue("a message that does not belong into its session");
    let unit = craft::unit(&craft::add(&element(), theirs(1)));
    let part = craft::part(&Context::new(), &craft::add(&element(), theirs(1)));
    let end = craft::end(&VersionVector::new(), &craft::dots(&[theirs(1)]));
    let news = craft::dots(&[theirs(1)]);
    let flush = craft::flush(&news, &craft::dots(&[own(1), theirs(1)]), &Unit::default());
    let messages = [(0, unit), (1, part), (2, end), (3, flush)];
    let fit = [
        (EXCHANGE, 0, false),
        (EXCHANGE, 2, true),
        (FLUSH, 0, false),
        (FLUSH, 3, true),
        (COMPARISON, 1, false),
        (COMPARISON, 2, true),
    ];
    for kind in [EXCHANGE, FLUSH, COMPARISON] {
        for (which, message) in &messages {
            for ends in [false, true] {
                let (mut b, stranger) = scene();
                let flag = if ends {
                    craft::ENDS_SESSION
                } else {
                    craft::ENDS_MESSAGE
                };
                let frame = stranger.data(1, 0, kind | flag, message);
                if fit.contains(&(kind, *which, ends)) {
                    assert_eq!(stranger.say(&mut b, &frame), Ok(()));
                } else {
                    assert_refused(&mut b, &stranger, &[frame], &error);
                }
            }
        }
    }
}

#[test]
fn flags_that_mean_nothing() {
    for flags in [3, 8, 9, 20, 24, 28, 33, 40, 64, 128, 255] {
        let (mut b, stranger) = scene();
        let frame = stranger.data(1, 0, flags, &[0]);
        let what = if flags & 3 == 3 {
            "kind of a session"
        } else if flags == 33 {
            "kind of a session for a draft"
        } else {
            "flags of a data frame"
        };
        let error = DecodeError::Invalid(what).into();
        assert_refused(&mut b, &stranger, &[frame], &error);
    }
}

#[test]
fn what_goes_aside_is_a_unit_or_a_floor_of_an_exchange() {
    let unit = craft::unit(&craft::add(&element(), theirs(1)));
    let end = craft::end(&VersionVector::new(), &Context::new());
    let share = vec![6, 1];
    let error = FrameError::Untrue("a message that does not belong there");
    for (kind, message) in [
        (EXCHANGE, &end),
        (EXCHANGE, &share),
        (EXCHANGE, &craft::staged(&craft::add(&element(), theirs(1)))),
        (FLUSH, &unit),
        (COMPARISON, &unit),
    ] {
        let (mut b, stranger) = scene();
        let first = stranger.data(1, 0, kind, &[0]);
        let aside = stranger.data(1, 1, kind | ASIDE, message);
        assert_refused(&mut b, &stranger, &[first, aside], &error);
    }
    // Nor is it one that ends amidst, or behind a gap.
    let (mut b, stranger) = scene();
    let first = stranger.data(1, 0, EXCHANGE, &[0]);
    let cut = stranger.data(1, 1, EXCHANGE | ASIDE, &unit[..unit.len() - 1]);
    let error = DecodeError::Truncated.into();
    assert_refused(&mut b, &stranger, &[first.clone(), cut], &error);
    let (mut b, stranger) = scene();
    let late = stranger.data(1, 2, EXCHANGE | ASIDE, &unit);
    for frame in [first, late] {
        assert_eq!(stranger.say(&mut b, &frame), Ok(()));
    }
    assert!(!b.state().context().contains(theirs(1)));
}

#[test]
fn values_beyond_the_limits() {
    let mut config = config("b", &["a", "c"]);
    config.limits.depth = 4;
    config.limits.element = 40;
    config.limits.payload = 50;
    let shape = Shape::of::<LwwRegister<u64>>();
    let at = |names: &[&[u8]], payload: usize| {
        let key_and_shape = [b"key", shape.name().as_bytes()];
        let path = craft::path(&[&key_and_shape[..], names].concat());
        let value = Value::Bytes(vec![0; payload].into());
        let entry = Entry {
            dot: theirs(1),
            value,
        };
        craft::unit(&Unit {
            adds: vec![(path, vec![entry])],
            ..Unit::default()
        })
    };
    let within = [at(&[b"x", b"y"], 0), at(&[&[b'x'; 40]], 0), at(&[], 50)];
    for message in within {
        let (mut b, stranger) = scene_of(config.clone());
        let frame = stranger.data(1, 0, craft::ENDS_MESSAGE, &message);
        assert_eq!(stranger.say(&mut b, &frame), Ok(()));
        assert!(b.state().context().contains(theirs(1)));
    }
    let beyond = [
        (at(&[b"x", b"y", b"z"], 0), "depth of a path"),
        (at(&[&[b'x'; 41]], 0), "length of a path component"),
        (at(&[], 51), "length of a payload"),
    ];
    for (message, what) in beyond {
        let (mut b, stranger) = scene_of(config.clone());
        let frame = stranger.data(1, 0, craft::ENDS_MESSAGE, &message);
        let error = DecodeError::Limit(what).into();
        assert_refused(&mut b, &stranger, &[frame], &error);
    }
}

#[test]
fn contexts_with_too_many_ranges() {
    let (mut b, stranger) = scene();
    let want = |ranges: usize| {
        let mut w = Writer::new();
        w.byte(1);
        w.count(1);
        w.raw(&replica_id("z").to_bytes());
        w.varint(0);
        w.count(ranges);
        let mut body = w.finish();
        body.resize(body.len() + 2 * ranges, 0);
        body
    };
    // As many as fit into a frame are fine.
    let frame = stranger.bound(craft::WANT, &want(32_000));
    assert_eq!(stranger.say(&mut b, &frame), Ok(()));
    // In a message of several frames there could be more than are allowed.
    let mut context = want(crdt_core::MAX_RANGES + 1).split_off(1);
    let mut end = vec![2, 0];
    end.append(&mut context);
    let mut frames = Vec::new();
    for (number, chunk) in end.chunks(60_000).enumerate() {
        let last = (number + 1) * 60_000 >= end.len();
        let flags = if last { craft::ENDS_SESSION } else { 0 };
        frames.push(stranger.data(1, number as u64, EXCHANGE | flags, chunk));
    }
    let error = DecodeError::Limit("ranges of an origin").into();
    assert_refused(&mut b, &stranger, &frames, &error);
}

/// What is for a draft that there is not changes nothing; and what a share can't bring is refused.
#[test]
fn what_is_for_a_draft() {
    const FOR_DRAFT: u8 = 32;
    let unit = craft::unit(&craft::add(&element(), theirs(1)));
    let end = craft::end(&VersionVector::new(), &Context::new());
    let begin = craft::begin(&VersionVector::new());
    let more = FrameError::Untrue("a share for a draft with more than values");
    let (mut b, mut stranger) = scene();
    let before = b.status().context_hash;
    for frame in stranger.session(EXCHANGE | FOR_DRAFT, &[unit.clone(), vec![6, 1]]) {
        assert_eq!(stranger.say(&mut b, &frame), Ok(()));
    }
    // A rest of what nobody was told of.
    for frame in stranger.session(COMPARISON | FOR_DRAFT, std::slice::from_ref(&end)) {
        assert_eq!(stranger.say(&mut b, &frame), Ok(()));
    }
    assert_eq!(b.status().context_hash, before);
    assert_eq!(b.counts().comparisons_received, 0);
    for message in [&begin, &end] {
        let (mut b, mut stranger) = scene();
        let frames = stranger.session(EXCHANGE | FOR_DRAFT, std::slice::from_ref(message));
        assert_refused(&mut b, &stranger, &frames, &more);
    }
    // Values of a draft in more parts than there may be.
    let (mut b, stranger) = scene();
    let part = stranger.ask(&[4], &Context::new());
    for _ in 0..MAX_STATEMENT {
        assert_eq!(stranger.say(&mut b, &part), Ok(()));
    }
    assert_refused(
        &mut b,
        &stranger,
        &[part],
        &FrameError::Limit("parts of a draft"),
    );
}

#[test]
fn shares_that_there_are_not() {
    for ask in [&[2, 2, 2][..], &[2, 0, 0], &[6]] {
        let (mut b, stranger) = scene();
        let what = if ask[0] == 2 {
            "number of a share"
        } else {
            "what is wanted"
        };
        let frame = stranger.ask(ask, &Context::new());
        assert_refused(
            &mut b,
            &stranger,
            &[frame],
            &DecodeError::Invalid(what).into(),
        );
    }
    // One that nobody asked for changes nothing.
    for given in [0, 1] {
        let (mut b, mut stranger) = scene();
        for frame in stranger.session(EXCHANGE, &[vec![6, given]]) {
            assert_eq!(stranger.say(&mut b, &frame), Ok(()));
        }
        assert_eq!(b.counts().shares_received, 0);
    }
    // Nor does an order to send no more, where nothing is sent.
    let (mut b, stranger) = scene();
    assert_eq!(
        stranger.say(&mut b, &stranger.ask(&[3], &Context::new())),
        Ok(())
    );
}

#[test]
fn numbers_beyond_what_a_replica_can_make() {
    let (mut b, stranger) = scene();
    let mut context = Context::new();
    context.insert_range(replica_id("z"), 1, crdt_core::MAX_SEQ + 1);
    let want = stranger.want(true, &context);
    let error = DecodeError::Limit("sequence number").into();
    assert_refused(&mut b, &stranger, &[want], &error);
    let run = Run {
        start: 2,
        total: 1,
        cut_seq: 0,
        cut_total: 0,
    };
    let entry = Entry {
        dot: theirs(1),
        value: Value::Run(run),
    };
    let path = craft::path(&[b"key", Shape::of::<GCounter>().name().as_bytes()]);
    let unit = Unit {
        adds: vec![(path, vec![entry])],
        ..Unit::default()
    };
    let (mut b, stranger) = scene();
    let frame = stranger.data(1, 0, craft::ENDS_MESSAGE, &craft::unit(&unit));
    let error = DecodeError::Invalid("run of a counter").into();
    assert_refused(&mut b, &stranger, &[frame], &error);
}

#[test]
fn a_flush_that_builds_on_something_else_is_asked_for_anew() {
    let (mut b, mut stranger) = scene();
    let news = craft::dots(&[theirs(1)]);
    let unit = craft::add(&element(), theirs(1));
    // The hash is that of a context without this replica's event, on which both had agreed.
    let frames = stranger.session(FLUSH, &[craft::flush(&news, &news, &unit)]);
    let before = visible(&mut b);
    stranger.hear(&mut b);
    assert_eq!(stranger.say(&mut b, &frames[0]), Ok(()));
    assert_eq!(visible(&mut b), before);
    assert_eq!(b.counts().sessions_broken, 1);
    let kinds: Vec<u8> = stranger
        .hear(&mut b)
        .iter()
        .map(|f| craft::kind(f))
        .collect();
    assert_eq!(kinds, [craft::WANT]);
}

#[test]
fn an_answer_to_a_question_that_was_not_asked() {
    let (mut b, stranger) = scene();
    // One was, when both had agreed.
    let frames = [stranger.answer(2, true, &Context::new())];
    let error = FrameError::Untrue("an answer to what was not asked");
    assert_refused(&mut b, &stranger, &frames, &error);
}

#[test]
fn an_answer_with_events_of_the_receiver_that_it_never_made() {
    let (mut b, stranger) = scene();
    stranger.hear(&mut b); // its question among them
    let frames = [stranger.answer(1, true, &craft::dots(&[own(2)]))];
    let error = FrameError::Untrue("events of this replica that it never made");
    assert_refused(&mut b, &stranger, &frames, &error);
}

#[test]
fn answers_about_seals_that_fit_no_question() {
    // Its own former process is gone: it asks whether all have seen the same of it.
    let mut former = Replica::new(config("a", &["b"]), Time::ZERO);
    write::<PnCounter>(&mut former, Time::ZERO, "hits", |hits| hits.add(1));
    let again = restarted("a", 2, &["b"]);
    let (nonce, gone) = (again.nonce, former.replica_id());
    let mut a = Replica::restore(again, former.state(), Time::ZERO);
    let stranger = Stranger::meet("b", &mut a, nonce);
    let ask = |a: &mut Replica, minutes: u64| {
        a.handle_timeout(Time::from_start(Duration::from_secs(60 * minutes)));
        let heard = stranger.hear(a);
        assert!(
            heard
                .iter()
                .any(|frame| craft::kind(frame) == craft::SEAL_ASK)
        );
    };
    ask(&mut a, 2);
    let before = visible(&mut a);
    let two = stranger.seal_answer(1, &[Some(1), Some(2)]);
    let refused = Err(FrameError::Untrue("an answer to another question"));
    assert_eq!(stranger.say(&mut a, &two), refused);
    let many = vec![None; dd_gossip::MAX_SEALS + 1];
    let many = stranger.seal_answer(1, &many);
    assert!(matches!(
        stranger.say(&mut a, &many),
        Err(FrameError::Limit(_))
    ));
    let many = vec![gone; dd_gossip::MAX_SEALS + 1];
    let many = stranger.seal_question(1, &many);
    assert!(matches!(
        stranger.say(&mut a, &many),
        Err(FrameError::Limit(_))
    ));
    // What was not asked, another digest and none seal nothing.
    for (number, digest) in [(9, Some(1)), (1, Some(1)), (1, None)] {
        let answer = stranger.seal_answer(number, &[digest]);
        assert_eq!(stranger.say(&mut a, &answer), Ok(()));
    }
    assert_eq!(visible(&mut a), before);
    // Nor does the right one, if another process gives it than was asked.
    let digest = Some(a.context().digest_up_to(gone));
    ask(&mut a, 4);
    a.handle_disconnected(Time::ZERO, &stranger.node);
    let other = Stranger::meet_as("b", incarnation("b", 2), &mut a, nonce);
    assert_eq!(other.say(&mut a, &other.seal_answer(2, &[digest])), Ok(()));
    assert_eq!(other.say(&mut a, &other.seal_answer(3, &[digest])), Ok(()));
    assert!(!a.context().is_sealed(gone));
    // The right one of the process that was asked does, once it was given twice.
    ask(&mut a, 6);
    assert_eq!(other.say(&mut a, &other.seal_answer(3, &[digest])), Ok(()));
    assert!(!a.context().is_sealed(gone));
    assert_eq!(other.say(&mut a, &other.seal_answer(4, &[digest])), Ok(()));
    assert!(a.context().is_sealed(gone));
}
