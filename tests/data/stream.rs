//! Windows of a mixture: one order, whoever reads it and however often it is interrupted.

use crate::common::{message, watched};
use crate::memory::{Store, as_text, bytes, next, settings, spec, stream, text};
use bowline::data::source::Record;
use bowline::data::{AtEnd, Mixture, MixtureSpec, Packer, Part, SeparatorPlacement, Stream, Windows, WindowsState};
use proptest::prelude::*;
use std::path::Path;

/// The windows of a mixture by the shortest way, without threads.
fn reference(spec: &MixtureSpec, count: usize) -> Vec<Vec<i32>> {
    let mut mixture = Mixture::open(spec, Part::Training).unwrap();
    let mut packer = Packer::new(17, 256, SeparatorPlacement::Before);
    let mut windows = Vec::new();
    while windows.len() < count {
        let ids = match mixture.next_document().unwrap().expect("a document").record {
            Record::Text(text) => text.bytes().map(u32::from).collect(),
            Record::Tokens(ids) => ids,
        };
        packer.push(&ids, 0, |window, _| {
            windows.push(window);
            true
        });
    }
    windows.truncate(count);
    windows
}

/// Two sources of text and one of ids, some documents longer than several windows.
fn mixed() -> MixtureSpec {
    let long = |at: usize| Record::Text(text("c", at).repeat(if at.is_multiple_of(3) { 40 } else { 1 }));
    let ids = |at: usize| Record::Tokens((0..at as u32 % 50).collect());
    let (a, b) = (Store::numbered("a", 61), Store::new("c", (0..40).map(long).collect()));
    spec(&[(&a, 2.0), (&b, 1.0), (&Store::new("ids", (0..70).map(ids).collect()), 0.5)])
}

/// `state` through JSON into new objects, as after a crash.
fn restart(stream: Stream, spec: &MixtureSpec, batch: usize, rank: usize, world: usize) -> Stream {
    let json = serde_json::to_string(&WindowsState::Stream(stream.state())).unwrap();
    drop(stream);
    let WindowsState::Stream(state) = serde_json::from_str(&json).unwrap() else { panic!("a stream's state") };
    let mut stream = crate::memory::stream(spec, batch, rank, world);
    // What it looked at before must not matter.
    watched(|watch| stream.peek(1, &mut vec![0; batch * 17], watch)).unwrap();
    stream.restore(&state, Path::new("run/step")).unwrap();
    assert_eq!(stream.state(), state);
    stream
}

#[test]
fn straight_and_in_three_pieces_are_the_same_windows() {
    let spec = mixed();
    let want = reference(&spec, 600);
    let mut straight = stream(&spec, 4, 0, 1);
    let mut pieces = stream(&spec, 4, 0, 1);
    for step in 0..150 {
        if step == 37 || step == 101 {
            pieces = restart(pieces, &spec, 4, 0, 1);
        }
        let got = next(&mut straight, 4).unwrap();
        assert_eq!(got, want[step * 4..step * 4 + 4], "step {step}");
        assert_eq!(next(&mut pieces, 4).unwrap(), got, "step {step} in pieces");
        assert_eq!(pieces.state(), straight.state(), "step {step}");
    }
    assert!(straight.epochs() >= 2.0, "the comparison covers reshuffled epochs");
}

#[test]
fn every_window_is_a_place_to_go_on_from() {
    let spec = mixed();
    let want = reference(&spec, 130);
    let mut pieces = stream(&spec, 1, 0, 1);
    for (at, want) in want.iter().enumerate() {
        pieces = restart(pieces, &spec, 1, 0, 1);
        assert_eq!(&next(&mut pieces, 1).unwrap()[0], want, "window {at}");
    }
}

#[test]
fn ranks_share_the_windows_of_each_step() {
    let spec = mixed();
    let want = reference(&spec, 8 * 30);
    for world in [1, 2, 4] {
        let batch = 8 / world;
        let mut ranks: Vec<_> = (0..world).map(|rank| stream(&spec, batch, rank, world)).collect();
        for (step, want) in want.chunks(8).enumerate() {
            let got: Vec<_> = ranks.iter_mut().map(|rank| next(rank, batch).unwrap()).collect();
            let in_turn: Vec<_> = (0..8).map(|at| got[at % world][at / world].clone()).collect();
            assert_eq!(in_turn, want, "{world} ranks, step {step}");
            assert!(ranks.iter().all(|rank| rank.state() == ranks[0].state()), "the state is that of all ranks");
        }
    }
}

#[test]
fn another_number_of_ranks_goes_on_with_the_same_steps() {
    let spec = mixed();
    let want = reference(&spec, 12 * 12);
    let mut state = stream(&spec, 12, 0, 1).state();
    for (step, (want, world)) in want.chunks(12).zip([1, 2, 4, 3, 12, 1, 6, 2, 4, 1, 3, 2]).enumerate() {
        let batch = 12 / world;
        let mut got = Vec::new();
        let mut after = Vec::new();
        for rank in 0..world {
            let mut stream = stream(&spec, batch, rank, world);
            stream.restore(&state, Path::new("x")).unwrap();
            got.extend(next(&mut stream, batch).unwrap());
            after.push(stream.state());
        }
        let mut want = want.to_vec();
        want.sort();
        got.sort();
        assert_eq!(got, want, "step {step} by {world} ranks");
        state = after.remove(0);
        assert!(after.iter().all(|other| *other == state));
    }
}

#[test]
fn looking_moves_nothing_and_micro_batches_follow_each_other() {
    let spec = mixed();
    let want = reference(&spec, 3 * 5 * 2);
    let mut stream = stream(&spec, 3, 1, 2);
    let start = stream.state();
    for ahead in [4, 0, 2, 4] {
        let mut out = vec![0; 3 * 17];
        watched(|watch| stream.peek(ahead, &mut out, watch)).unwrap();
        let from = ahead * 6;
        assert_eq!(out, [&want[from + 1][..], &want[from + 3], &want[from + 5]].concat(), "micro-batch {ahead}");
        assert_eq!(stream.state(), start);
    }
    stream.advance(4);
    assert_eq!(next(&mut stream, 3).unwrap(), [&want[25], &want[27], &want[29]].map(Clone::clone));
    assert_eq!(stream.state().windows, 30);
}

#[test]
fn held_out_documents_are_in_no_training_window() {
    let marked = |name: &str, count: usize| {
        let text = |at: usize| if at % 5 == 2 { format!("HELD{at}OUT") } else { format!("train{at}") };
        Store::new(name, (0..count).map(|at| Record::Text(text(at))).collect())
    };
    let (a, b) = (marked("a", 60), marked("b", 35));
    let spec = spec(&[(&a, 3.0), (&b, 1.0)]);
    let mut stream = stream(&spec, 5, 0, 1);
    let mut training = String::new();
    while stream.epochs() < 3.0 {
        training += &as_text(&next(&mut stream, 5).unwrap());
    }
    assert!(!training.contains(|c| "HELDOUT".contains(c)), "a piece of a held-out document was trained on");
    let all = watched(|watch| stream.held_out(0, watch)).unwrap();
    let held_out = as_text(&all.iter().flat_map(|batch| batch.chunks_exact(17)).map(<[i32]>::to_vec).collect::<Vec<_>>());
    assert!(!held_out.contains("train"));
    let whole = (0..60).chain(0..35).filter(|at| at % 5 == 2).map(|at| format!("|HELD{at}OUT").len()).sum::<usize>();
    assert_eq!(held_out.len(), whole / 17 * 17, "all of them, but for the last piece");
    assert!(all[..all.len() - 1].iter().all(|batch| batch.len() == 5 * 17) && all.last().unwrap().len().is_multiple_of(17));
    // Fewer batches are the first ones, and only what they need is read.
    a.take_reads();
    let two = watched(|watch| stream.held_out(2, watch)).unwrap();
    assert_eq!(two[..], all[..2]);
    let opened = a.opened.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(watched(|watch| stream.held_out(2, watch)).unwrap(), two);
    assert_eq!(a.opened.load(std::sync::atomic::Ordering::Relaxed), opened, "kept for the next time");
}

#[test]
fn ids_pass_through_and_are_checked() {
    let ids = |id| Store::new("ids", vec![Record::Tokens(vec![1, 2, 256, 3]), Record::Tokens(vec![5; 20]), Record::Tokens(vec![id; 40])]);
    let mut spec = spec(&[(&ids(7), 1.0)]);
    (spec.shuffle_buffer, spec.held_out) = (1, bowline::data::HeldOut::SkipTokens { tokens: 0 });
    let windows = next(&mut stream(&spec, 2, 0, 1), 2).unwrap();
    assert_eq!(windows.concat()[..10], [256, 1, 2, 256, 3, 256, 5, 5, 5, 5]);
    spec.sources = vec![ids(257).source(1.0)];
    let mut broken = stream(&spec, 1, 0, 1);
    assert_eq!(next(&mut broken, 1).unwrap()[0], windows[0], "what is before it can be used");
    let want = "document 1 has token 257, the tokenizer has 257 tokens; set data.tokenizer to the one that made the file";
    assert_eq!(message(next(&mut broken, 1)), format!("Cannot read training data from ids/1: {want}"));
}

#[test]
fn a_place_in_other_data_is_refused() {
    let (a, b) = (Store::numbered("a", 40), Store::numbered("b", 40));
    let good = spec(&[(&a, 1.0), (&b, 1.0)]);
    let state = stream(&good, 2, 0, 1).state();
    let refused = |settings| message(Stream::new(settings).unwrap().restore(&state, Path::new("run/step")));
    let says = |reason: &str| format!("Cannot use the checkpoint run/step: {reason}");
    let what = "the sources' names or weights, the seed, data.shuffleBuffer, atEnd, heldOut, the separator, the tokenizer or train.seqLen";
    let other = says(&format!("it was trained on other data: {what} changed since"));
    let changes: [&dyn Fn(&mut MixtureSpec); 6] = [
        &|s| s.seed = 1,
        &|s| s.shuffle_buffer = 11,
        &|s| s.at_end = AtEnd::Drop,
        &|s| s.sources[1].weight = 2.0,
        &|s| s.sources.reverse(),
        &|s| s.sources.truncate(1),
    ];
    for change in changes {
        let mut spec = good.clone();
        change(&mut spec);
        assert_eq!(refused(settings(spec, 2, 0, 1)), other);
    }
    let mut after = settings(good.clone(), 2, 0, 1);
    after.separator = SeparatorPlacement::After;
    let mut longer = settings(good.clone(), 2, 0, 1);
    longer.seq_len = 17;
    assert_eq!((refused(after), refused(longer)), (other.clone(), other));
    let revised = std::sync::Arc::new(Store { name: "b".into(), revision: 1, ..Store::default() });
    let what = "its files, their content, its revision, column or data.minCharacters changed since; bring the old ones back";
    let want = says(&format!("it was trained on another source \"b\": {what}"));
    assert_eq!(refused(settings(spec(&[(&a, 1.0), (&revised, 1.0)]), 2, 0, 1)), want);
    assert!(Stream::new(settings(good.clone(), 7, 1, 3)).unwrap().restore(&state, Path::new("x")).is_ok(), "batch and ranks may change");
    let state = serde_json::from_str("{\"epoch\":1,\"position\":2,\"fingerprint\":\"abc\"}").unwrap();
    assert!(matches!(state, WindowsState::Corpus(_)), "checkpoints of prepared data read as before");
    let mut windows = Windows::Stream(Box::new(stream(&good, 2, 0, 1)));
    assert_eq!(message(windows.restore(&state, Path::new("run/step"))), says("it was trained on data.files, not on data.sources"));
}

#[test]
fn a_stream_that_cannot_be_is_refused() {
    let good = spec(&[(&Store::numbered("a", 40), 1.0)]);
    let mut small = settings(good.clone(), 2, 0, 1);
    small.model_vocab = 256;
    let want = "the tokenizer has 257 tokens, the model's vocabulary only 256 (model.vocab)";
    assert_eq!(message(Stream::new(small)), format!("Cannot use the plan: {want}"));
    let want = "rank 2 of 2 with 2 windows; wanted a rank below the number of ranks and a batch";
    assert_eq!(message(Stream::new(settings(good, 2, 2, 2))), format!("Cannot stream data to {want}"));
    assert_eq!(bytes().vocab(), 257);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any places of interruption, any batch: the same windows.
    #[test]
    fn interruptions_do_not_matter(stops in prop::collection::btree_set(0usize..60, 0..6), batch in 1usize..5, seed: u64) {
        let spec = MixtureSpec { seed, ..mixed() };
        let want = reference(&spec, 60 * batch);
        let mut pieces = stream(&spec, batch, 0, 1);
        for (step, want) in want.chunks(batch).enumerate() {
            if stops.contains(&step) {
                pieces = restart(pieces, &spec, batch, 0, 1);
            }
            prop_assert_eq!(&next(&mut pieces, batch).unwrap(), want, "step {}", step);
        }
    }
}
