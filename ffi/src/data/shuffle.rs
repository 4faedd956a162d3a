//! Orders that only their names decide: of the training windows in an epoch, of the documents in a block. Written out,
//! down to the draw of one number, so that the order of a run never changes with the version of a library; only ChaCha8
//! itself, which is a standard, comes from one.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// A permutation of `0..count` that depends on nothing but its arguments.
///
/// The key of the generator is SHA-256 of the seed (u64), the text "windows" and the epoch (u64), little endian.
pub fn permutation(count: usize, seed: u64, epoch: u64) -> Vec<u32> {
    shuffled(count, &mut keyed(&[&seed.to_le_bytes(), b"windows", &epoch.to_le_bytes()]))
}

/// The generator whose key is SHA-256 of `parts`, one after the other.
pub(super) fn keyed(parts: &[&[u8]]) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// `0..count` in the order that the next numbers of `rng` give.
pub(super) fn shuffled(count: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    // Fisher-Yates from the end.
    for last in (1..count).rev() {
        order.swap(last, below(rng, last as u64 + 1) as usize);
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
