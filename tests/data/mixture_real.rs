//! A mixture as it is published, on real text: books as JSON lines and a nested column of Parquet files, three to one.

use crate::common::watched;
use crate::memory::settings;
use crate::source_common::{column, shared, spec};
use bowline::data::{
    AtEnd, HeldOut, MixtureSource, MixtureSpec, Open, Source, SourceSpec, Stream, StreamSettings, StreamState, local_files,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Windows of a step.
const STEP: usize = 8;
const NUM_STEPS: usize = 60;

fn source(name: &str, path: PathBuf, spec: SourceSpec, weight: f64) -> MixtureSource {
    let files = local_files(&path.display().to_string()).unwrap();
    let open: Open = Arc::new(move || Ok(Box::new(Source::open(files.clone(), spec.clone())?)));
    MixtureSource { name: name.into(), weight, open }
}

fn mixture() -> Option<MixtureSpec> {
    let (books, novels) = (shared("data/text/books.jsonl.zst")?, shared("data/text/novels")?);
    let sources = vec![source("books", books, spec(), 75.0), source("novels", novels, column("rollout_results.list.element.text"), 25.0)];
    let held_out = HeldOut::Documents { every: 100, index: 7 };
    // Small blocks, so that both sources go through several.
    Some(MixtureSpec { sources, seed: 42, shuffle_buffer: 6, at_end: AtEnd::Repeat, held_out })
}

/// A rank with windows of 1025 tokens.
fn rank(mixture: &MixtureSpec, rank: usize, world: usize) -> Stream {
    let settings = StreamSettings { seq_len: 1024, ..settings(mixture.clone(), STEP / world, rank, world) };
    Stream::new(settings).unwrap()
}

/// The windows of a rank's next step.
fn step(stream: &mut Stream, world: usize) -> Vec<Vec<i32>> {
    let mut out = vec![0; STEP / world * 1025];
    watched(|watch| stream.peek(0, &mut out, watch)).unwrap();
    stream.advance(1);
    out.chunks_exact(1025).map(<[i32]>::to_vec).collect()
}

#[test]
fn real_text_is_one_order_for_any_interruptions_and_ranks() {
    let Some(mixture) = mixture() else { return };
    let mut straight = rank(&mixture, 0, 1);
    let want: Vec<_> = (0..NUM_STEPS).map(|_| step(&mut straight, 1)).collect();
    let places: Vec<_> = straight.state().sources.iter().map(|source| source.place).collect();
    let documents = places[0].documents + places[1].documents;
    let share = places[0].documents as f64 / documents as f64;
    // Three standard deviations of as many draws.
    assert!((share - 0.75).abs() <= 3.0 * (0.75 * 0.25 / documents as f64).sqrt(), "{share} of {documents} documents are books");
    assert!(places.iter().all(|place| place.block >= 2), "{places:?}");

    let mut pieces = rank(&mixture, 0, 1);
    for (at, want) in want.iter().enumerate() {
        if at == 13 || at == 41 {
            let json = serde_json::to_string(&pieces.state()).unwrap();
            let state: StreamState = serde_json::from_str(&json).unwrap();
            pieces = rank(&mixture, 0, 1);
            pieces.restore(&state, Path::new("run/step")).unwrap();
        }
        assert!(step(&mut pieces, 1) == *want, "step {at} in pieces");
    }
    assert_eq!(pieces.state(), straight.state());

    for world in [2, 4] {
        let mut ranks: Vec<_> = (0..world).map(|at| rank(&mixture, at, world)).collect();
        for (at, want) in want.iter().enumerate() {
            let mut got: Vec<_> = ranks.iter_mut().flat_map(|rank| step(rank, world)).collect();
            let mut want = want.clone();
            got.sort_unstable();
            want.sort_unstable();
            assert!(got == want, "step {at} by {world} ranks");
        }
        assert!(ranks.iter().all(|rank| rank.state() == straight.state()));
    }
}
