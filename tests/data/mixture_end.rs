//! What a mixture does at the end of a source, after an error, and with a wrong specification.

use crate::common::message;
use crate::memory::{Store, numbered, of_source, open, rest, set, spec, take, text};
use bowline::data::source::Record;
use bowline::data::{AtEnd, Drawn, HeldOut, Mixture, MixtureSpec, Part};
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[test]
fn stop_ends_with_the_first_source_and_drop_with_the_last() {
    let (a, b) = (Store::numbered("a", 200), Store::numbered("b", 15));
    let mut spec = spec(&[(&a, 1.0), (&b, 1.0)]);
    spec.at_end = AtEnd::Stop;
    let mut mixture = open(&spec);
    let stopped = rest(&mut mixture);
    assert_eq!(set(&of_source(&stopped, 1)), numbered("b", 15, false), "b gave all it had");
    assert!(of_source(&stopped, 0).len() < 160);
    assert!(mixture.next_document().unwrap().is_none(), "it stays at its end");
    spec.at_end = AtEnd::Drop;
    let dropped = rest(&mut open(&spec));
    assert_eq!(dropped[..stopped.len()], stopped, "until then it is the same");
    assert_eq!((of_source(&dropped, 0).len(), of_source(&dropped, 1).len()), (160, 12));
    assert_eq!(set(&of_source(&dropped, 0)), numbered("a", 200, false));
    // A state behind the end of b does not bring it back.
    let mut straight = open(&spec);
    take(&mut straight, stopped.len() + 20);
    let mut resumed = open(&spec);
    resumed.restore(&straight.state());
    assert_eq!(rest(&mut resumed), dropped[stopped.len() + 20..]);
}

#[test]
fn a_source_without_documents_is_an_error_only_when_it_shall_repeat() {
    let (a, empty) = (Store::numbered("a", 200), Store::new("empty", vec![Record::Text(String::new()); 3]));
    let mut spec = spec(&[(&a, 1.0), (&empty, 1.0)]);
    let mut mixture = open(&spec);
    let says = (0..100).find_map(|_| mixture.next_document().err()).expect("an error").to_string();
    let want = "the source \"empty\" has no document for this part of the data (0 are of the other part, 0 too short, 3 empty, 0 bad); \
                give more text or lower data.minCharacters";
    assert_eq!(says, format!("Cannot read training data from empty/0: {want}"));
    spec.at_end = AtEnd::Drop;
    assert_eq!(rest(&mut open(&spec)).len(), 160);
}

#[test]
fn skipped_records_are_counted_once_also_when_a_block_is_read_again() {
    let documents = (0..100).map(|at| Record::Text(if at % 4 == 0 { String::new() } else { text("a", at) })).collect();
    let spec = spec(&[(&Store::new("a", documents), 1.0)]);
    let mut straight = open(&spec);
    let mut resumed = open(&spec);
    for _ in 0..75 {
        take(&mut straight, 1);
        let state = resumed.state();
        resumed = open(&spec);
        resumed.restore(&state);
        take(&mut resumed, 1);
        assert_eq!(resumed.state(), straight.state());
    }
    assert_eq!(straight.state().places[0].epoch, 1);
    assert!((25..=40).contains(&straight.state().places[0].skipped.empty), "an epoch and a block: {:?}", straight.state());
}

#[test]
fn after_an_error_it_goes_on_as_if_there_had_been_none() {
    // The small source ends on the way, also between a draw and the error that the next draw meets.
    let (a, b) = (Store::numbered("a", 12), Store::numbered("b", 60));
    let mut spec = spec(&[(&a, 1.0), (&b, 1.0)]);
    spec.shuffle_buffer = 3;
    for at_end in [AtEnd::Repeat, AtEnd::Drop] {
        spec.at_end = at_end;
        // Long enough to reach the last place that fails, which is the whole of it when sources are dropped.
        let mut straight = open(&spec);
        let want: Vec<Drawn> = (0..200).map_while(|_| straight.next_document().unwrap()).collect();
        for at in 0..48 {
            b.fail_at.store(at + 1, Ordering::Relaxed);
            let mut mixture = open(&spec);
            let mut got = Vec::new();
            let failed = loop {
                match mixture.next_document() {
                    Ok(drawn) => got.extend(drawn),
                    Err(e) => break e.to_string(),
                }
            };
            assert_eq!(failed, format!("Cannot read training data from b/{}: document {} is broken", at / 2, at % 2 + 1));
            let state = mixture.state();
            assert_eq!(message(mixture.next_document()), failed, "asked again, it tries again");
            assert_eq!(mixture.state(), state);
            b.fail_at.store(0, Ordering::Relaxed);
            let left = want.len() - got.len();
            got.extend(take(&mut mixture, left));
            assert_eq!(got, want, "document {at} failed");
        }
    }
}

#[test]
fn a_source_that_shrank_is_noticed() {
    let long = Store::numbered("a", 9);
    let mut mixture = open(&spec(&[(&long, 1.0)]));
    take(&mut mixture, 5);
    let mut resumed = open(&spec(&[(&Store::numbered("a", 4), 1.0)]));
    resumed.restore(&mixture.state());
    let want = "of 3 documents in a block, 5 were used; the data changed since";
    assert_eq!(message(resumed.next_document()), format!("Cannot read training data from a/0: {want}"));
}

#[test]
fn what_cannot_be_mixed_is_refused() {
    let a = Store::numbered("a", 4);
    let good = spec(&[(&a, 1.0), (&Store::numbered("b", 4), 1.0)]);
    let refused = |change: &dyn Fn(&mut MixtureSpec)| {
        let mut spec = good.clone();
        change(&mut spec);
        message(Mixture::open(&spec, Part::Training).map(|_| ()))
    };
    let plan = |reason: &str| format!("Cannot use the plan: {reason}");
    assert_eq!(refused(&|s| s.sources.clear()), plan("it is empty, at least one source is wanted (data.sources)"));
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let want = format!("it is {weight}, wanted a number above 0; remove a source that is not wanted (data.sources[1].weight)");
        assert_eq!(refused(&|s| s.sources[1].weight = weight), plan(&want));
    }
    let want = "two sources are called \"a\", wanted one name each (data.sources[1].name)";
    assert_eq!(refused(&|s| s.sources[1].name = "a".into()), plan(want));
    assert_eq!(refused(&|s| s.shuffle_buffer = 0), plan("it is 0; 1 keeps the order of the documents (data.shuffleBuffer)"));
    let want = "it is 1, at least 2 leaves something to train on (data.heldOut.every)";
    assert_eq!(refused(&|s| s.held_out = HeldOut::Documents { every: 1, index: 0 }), plan(want));
    let want = "the tail of a stream is not known; hold documents out (data.heldOut.kind)";
    assert_eq!(refused(&|s| s.held_out = HeldOut::Tail { fraction: 0.1 }), plan(want));
    assert_eq!(Arc::strong_count(&a), 2, "no reader is left behind");
}
