//! Documents cut into windows.

use bowline::data::{Packer, SeparatorPlacement};
use proptest::prelude::*;

const SEPARATOR: u32 = 9;

/// A document with its separator.
fn with_separator(document: &[u32], placement: SeparatorPlacement) -> Vec<i32> {
    let document = document.iter().map(|&id| id as i32);
    match placement {
        SeparatorPlacement::Before => [SEPARATOR as i32].into_iter().chain(document).collect(),
        SeparatorPlacement::After => document.chain([SEPARATOR as i32]).collect(),
        SeparatorPlacement::None => document.collect(),
    }
}

/// All windows of `documents`, and for each the document it ends in and the tokens of it that are used.
fn pack(documents: &[Vec<u32>], size: usize, placement: SeparatorPlacement, skip: usize) -> Vec<(Vec<i32>, usize, usize)> {
    let mut packer = Packer::new(size, SEPARATOR, placement);
    let mut windows = Vec::new();
    for (at, document) in documents.iter().enumerate() {
        assert!(packer.push(document, if at == 0 { skip } else { 0 }, |window, used| {
            windows.push((window, at, used));
            true
        }));
    }
    windows
}

fn placement() -> impl Strategy<Value = SeparatorPlacement> {
    prop_oneof![Just(SeparatorPlacement::Before), Just(SeparatorPlacement::After), Just(SeparatorPlacement::None)]
}

#[test]
fn windows_run_over_documents() {
    let documents = [vec![1, 2], vec![], vec![3, 4, 5, 6, 7]];
    let windows = |placement| pack(&documents, 4, placement, 0).into_iter().map(|(window, ..)| window).collect::<Vec<_>>();
    assert_eq!(windows(SeparatorPlacement::Before), [[9, 1, 2, 9], [9, 3, 4, 5]]);
    assert_eq!(windows(SeparatorPlacement::After), [[1, 2, 9, 9], [3, 4, 5, 6]]);
    assert_eq!(windows(SeparatorPlacement::None), [[1, 2, 3, 4]]);
    assert_eq!(pack(&[], 4, SeparatorPlacement::Before, 0), []);
}

#[test]
fn a_window_that_is_not_wanted_ends_the_document() {
    let mut packer = Packer::new(2, SEPARATOR, SeparatorPlacement::None);
    let mut seen = Vec::new();
    let more = packer.push(&[1, 2, 3, 4, 5, 6], 0, |window, used| {
        seen.push((window, used));
        used < 4
    });
    assert!(!more);
    assert_eq!(seen, [(vec![1, 2], 2), (vec![3, 4], 4)]);
}

proptest! {
    /// The windows are the text with its separators in pieces, and each says how far it reaches.
    #[test]
    fn nothing_is_lost_or_repeated(
        documents in prop::collection::vec(prop::collection::vec(0u32..9, 0..20), 0..12), size in 1usize..9, placement in placement()
    ) {
        let all: Vec<Vec<i32>> = documents.iter().map(|document| with_separator(document, placement)).collect();
        let windows = pack(&documents, size, placement, 0);
        let want = all.concat();
        let got: Vec<i32> = windows.iter().flat_map(|(window, ..)| window.clone()).collect();
        prop_assert_eq!(&got, &want[..want.len() / size * size]);
        for (at, (_, document, used)) in windows.iter().enumerate() {
            let before: usize = all[..*document].iter().map(Vec::len).sum();
            prop_assert_eq!(before + used, (at + 1) * size);
            // Where a window says that it ends, another packer goes on.
            let resumed = pack(&documents[*document..], size, placement, *used);
            let rest: Vec<_> = windows[at + 1..].iter().map(|(window, ..)| window).collect();
            prop_assert_eq!(resumed.iter().map(|(window, ..)| window).collect::<Vec<_>>(), rest);
        }
        let packer = Packer::new(size, SEPARATOR, placement);
        prop_assert!(documents.iter().zip(&all).all(|(document, whole)| packer.length(document.len()) == whole.len()));
    }
}
