//! The order of an epoch: a permutation, and for ever the same one.

use bowline::data::permutation;
use proptest::prelude::*;

/// Written down once: a run that was started with an older version must go on in the same order.
#[test]
fn the_order_never_changes() {
    assert_eq!(permutation(12, 42, 0), PINNED[0]);
    assert_eq!(permutation(12, 42, 1), PINNED[1]);
    assert_eq!(permutation(12, 43, 0), PINNED[2]);
    assert_eq!(permutation(0, 1, 1), [0; 0]);
    assert_eq!(permutation(1, 1, 1), [0]);
}

/// Computed by an independent ChaCha8 (RFC 7539's block with 8 rounds, a 64-bit counter, low word first).
const PINNED: [[u32; 12]; 3] =
    [[5, 6, 4, 0, 8, 7, 10, 3, 2, 9, 1, 11], [9, 1, 0, 8, 4, 11, 3, 6, 2, 10, 5, 7], [9, 11, 1, 4, 6, 0, 5, 7, 2, 10, 3, 8]];

#[test]
fn every_first_window_is_as_likely() {
    let mut counts = [0; 5];
    for seed in 0..5000 {
        counts[permutation(5, seed, 3)[0] as usize] += 1;
    }
    // Five standard deviations of a binomial with 5000 draws at 1/5.
    assert!(counts.iter().all(|&count: &i32| (count - 1000).abs() <= 141), "{counts:?}");
}

proptest! {
    #[test]
    fn each_window_comes_once(count in 0usize..2000, seed: u64, epoch: u64) {
        let mut order = permutation(count, seed, epoch);
        order.sort_unstable();
        prop_assert!(order.into_iter().eq(0..count as u32));
    }
}
