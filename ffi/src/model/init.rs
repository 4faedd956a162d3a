//! Initial weights: each matrix from its own random stream, named by seed, parameter and matrix, so that a bank starts the
//! same whatever other banks exist.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use crate::layout::{Init, ParamSpec};

/// A random stream named by a seed and a text.
pub fn stream(seed: u32, name: &str) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(name.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// The next number of a stream, uniform in [0, 1) with 24 bits.
pub fn uniform(rng: &mut ChaCha8Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// The initial values of a parameter.
pub fn values(spec: &ParamSpec, seed: u32) -> Vec<f32> {
    let Init::Xavier { gain } = spec.init else { return vec![1.0; spec.size()] };
    let bound = (gain * (6.0 / (spec.rows + spec.cols) as f64).sqrt()) as f32;
    let mut out = Vec::with_capacity(spec.size());
    for matrix in 0..spec.count {
        let mut rng = stream(seed, &format!("{}/{matrix}", spec.name));
        out.extend((0..spec.rows * spec.cols).map(|_| bound * (2.0 * uniform(&mut rng) - 1.0)));
    }
    out
}
