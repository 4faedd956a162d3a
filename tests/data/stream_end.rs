//! What a stream does when its data ends or fails, and its held-out windows by tokens.

use crate::common::{message, watched};
use crate::memory::{Store, next, spec, stream};
use bowline::data::source::Record;
use bowline::data::{AtEnd, HeldOut, MixtureSpec, Stream, Watch};
use bowline::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Steps until something is wrong: their windows, and what that is.
fn until_error(stream: &mut Stream, batch: usize) -> (Vec<Vec<i32>>, Error) {
    let mut windows = Vec::new();
    loop {
        let before = stream.state();
        match next(stream, batch) {
            Ok(more) => windows.extend(more),
            Err(e) => {
                assert_eq!(stream.state(), before, "a failed step moves nothing");
                return (windows, e);
            }
        }
    }
}

fn over(reason: &str) -> String {
    format!("Cannot read training data from the mixture: {reason}")
}

#[test]
fn the_end_of_the_data_is_the_same_for_every_rank() {
    let (a, b) = (Store::numbered("a", 80), Store::numbered("b", 25));
    let mut spec = spec(&[(&a, 1.0), (&b, 1.0)]);
    let stop = "a source has ended and data.atEnd is \"stop\"; set it to \"repeat\" or \"drop\", or train fewer steps";
    let drop = "all sources have ended; set data.atEnd to \"repeat\", or train fewer steps";
    let mut counts = Vec::new();
    for (at_end, want) in [(AtEnd::Stop, stop), (AtEnd::Drop, drop)] {
        spec.at_end = at_end;
        let (windows, e) = until_error(&mut stream(&spec, 4, 0, 1), 4);
        assert_eq!(e.to_string(), over(want));
        for rank in 0..2 {
            let mut stream = stream(&spec, 2, rank, 2);
            let (half, e) = until_error(&mut stream, 2);
            assert_eq!((half.len() * 2, e.to_string()), (windows.len(), over(want)), "rank {rank}");
            assert_eq!(message(next(&mut stream, 2)), over(want), "asked again, it says it again");
        }
        counts.push(windows.len());
    }
    assert!(counts[0] < counts[1], "dropping goes on: {counts:?}");
    let tokens: usize = (0..80).filter(|at| at % 5 != 2).map(|at| crate::memory::text("a", at).len() + 1).sum::<usize>()
        + (0..25).filter(|at| at % 5 != 2).map(|at| crate::memory::text("b", at).len() + 1).sum::<usize>();
    assert_eq!(counts[1], tokens / 17 / 4 * 4, "all windows but those that fill no step");
}

#[test]
fn a_failure_comes_at_its_window_and_the_place_before_it_can_be_saved() {
    // No shuffling: the broken document is number 61, so that all windows before it can be had.
    let a = Store::numbered("a", 100);
    let spec = MixtureSpec { shuffle_buffer: 1, ..spec(&[(&a, 1.0)]) };
    let want = next(&mut stream(&spec, 60, 0, 1), 60).unwrap();
    let tokens: usize = (0..60).filter(|at| at % 5 != 2).map(|at| crate::memory::text("a", at).len() + 1).sum();
    a.fail_at.store(61, Ordering::Relaxed);
    let mut broken = stream(&spec, 1, 0, 1);
    let (got, e) = until_error(&mut broken, 1);
    assert_eq!(e.to_string(), "Cannot read training data from a/30: document 1 is broken");
    assert_eq!(got.len(), tokens / 17, "every window without a token of it");
    assert_eq!(got, want[..got.len()]);
    let state = broken.state();
    a.fail_at.store(0, Ordering::Relaxed);
    // The same object goes on when the source is whole again, and so does another one from the saved place.
    let mut resumed = stream(&spec, 1, 0, 1);
    resumed.restore(&state, Path::new("x")).unwrap();
    for window in &want[got.len()..] {
        assert_eq!(&next(&mut broken, 1).unwrap()[0], window);
        assert_eq!(&next(&mut resumed, 1).unwrap()[0], window);
    }
}

#[test]
fn what_is_ready_stays_good_after_a_failure_behind_it() {
    let a = Store::numbered("a", 100);
    let spec = MixtureSpec { shuffle_buffer: 1, ..spec(&[(&a, 1.0)]) };
    let want = next(&mut stream(&spec, 60, 0, 1), 60).unwrap();
    a.fail_at.store(61, Ordering::Relaxed);
    let mut stream = stream(&spec, 1, 0, 1);
    let mut far = vec![0; 17];
    assert!(watched(|watch| stream.peek(50, &mut far, watch)).is_err());
    a.fail_at.store(0, Ordering::Relaxed);
    watched(|watch| stream.peek(50, &mut far, watch)).unwrap();
    assert_eq!(far, want[50]);
    for window in &want {
        assert_eq!(&next(&mut stream, 1).unwrap()[0], window);
    }
}

#[test]
fn waiting_can_be_cancelled_and_gone_on_with() {
    let a = Store::numbered("a", 100);
    let spec = spec(&[(&a, 1.0)]);
    let want = next(&mut stream(&spec, 2, 0, 1), 2).unwrap();
    let slow = Store::numbered("a", 100);
    slow.held_up.store(true, Ordering::Relaxed);
    let mut stream = stream(&MixtureSpec { sources: vec![slow.source(1.0)], ..spec }, 2, 0, 1);
    let cancel = Arc::new(AtomicBool::new(true));
    let mut out = vec![0; 2 * 17];
    assert!(matches!(stream.peek(0, &mut out, &Watch::new(&|_| (), &cancel)), Err(Error::Cancelled)));
    slow.held_up.store(false, Ordering::Relaxed);
    assert_eq!(next(&mut stream, 2).unwrap(), want);
}

#[test]
fn skipped_tokens_are_the_start_of_the_same_windows() {
    let (a, b) = (Store::numbered("a", 80), Store::numbered("b", 25));
    for (tokens, passed_over) in [(0, 0), (1, 1), (17, 1), (18, 2), (1000, 59)] {
        let spec = MixtureSpec { held_out: HeldOut::SkipTokens { tokens }, ..spec(&[(&a, 3.0), (&b, 1.0)]) };
        let mut training = stream(&spec, 70, 0, 1);
        let windows = next(&mut training, 70).unwrap();
        let mut stream = stream(&spec, 3, 1, 2);
        let held_out = watched(|watch| stream.held_out(2, watch)).unwrap();
        assert_eq!(held_out.concat(), windows[passed_over..passed_over + 6].concat(), "after {tokens} tokens, the same for every rank");
        let want = "null asks for all windows after those that are skipped, of which there is no end; give a number (eval.batches)";
        assert_eq!(message(watched(|watch| stream.held_out(0, watch))), format!("Cannot use the plan: {want}"));
    }
}

#[test]
fn a_held_out_part_without_a_window_is_refused() {
    let short = Store::new("short", (0..8).map(|_| Record::Text("tiny".into())).collect());
    let mut stream = stream(&spec(&[(&short, 1.0)]), 1, 0, 1);
    let want = "its held-out part has not one window, one window needs 17 tokens (train.seqLen + 1); \
                give more text, hold more out (data.heldOut) or lower train.seqLen";
    assert_eq!(message(watched(|watch| stream.held_out(0, watch))), over(want));
    next(&mut stream, 1).expect("training goes on without");
}
