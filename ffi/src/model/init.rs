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
    let (count, rows) = (spec.count * spec.muon_parts, spec.rows / spec.muon_parts);
    let mut draw: Box<dyn FnMut(&mut ChaCha8Rng) -> f32> = match spec.init {
        Init::Ones => return vec![1.0; spec.size()],
        Init::Zeros => return vec![0.0; spec.size()],
        Init::Xavier { gain } => {
            let bound = (gain * (6.0 / (rows + spec.cols) as f64).sqrt()) as f32;
            Box::new(move |rng| bound * (2.0 * uniform(rng) - 1.0))
        }
        Init::Normal { std } => Box::new(move |rng| (std * normal(rng)) as f32),
    };
    let mut out = Vec::with_capacity(spec.size());
    for matrix in 0..count {
        let mut rng = stream(seed, &format!("{}/{matrix}", spec.name));
        out.extend((0..rows * spec.cols).map(|_| draw(&mut rng)));
    }
    out
}

/// The next number of a stream, normal with mean 0 and deviation 1: the sum of twelve uniform ones, less six, which needs
/// no function that differs between machines and has no value beyond 6 deviations.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| f64::from(uniform(rng))).sum::<f64>() - 6.0
}
