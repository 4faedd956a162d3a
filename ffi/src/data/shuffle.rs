//! The order of the training windows in an epoch. Written out, down to the draw of one number, so that the order of a
//! run never changes with the version of a library; only ChaCha8 itself, which is a standard, comes from one.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// A permutation of `0..count` that depends on nothing but its arguments.
///
/// The key of the generator is SHA-256 of the seed (u64), the text "windows" and the epoch (u64), little endian.
pub fn permutation(count: usize, seed: u64, epoch: u64) -> Vec<u32> {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(b"windows");
    hash.update(epoch.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(hash.finalize().into());
    let mut order: Vec<u32> = (0..count as u32).collect();
    // Fisher-Yates from the end.
    for last in (1..count).rev() {
        order.swap(last, below(&mut rng, last as u64 + 1) as usize);
    }
    order
}

/// A number in `0..bound`, each as likely: the draws above the largest multiple of `bound` are thrown away.
fn below(rng: &mut ChaCha8Rng, bound: u64) -> u64 {
    let usable = u64::MAX - u64::MAX % bound;
    loop {
        let draw = rng.next_u64();
        if draw < usable {
            return draw % bound;
        }
    }
}
