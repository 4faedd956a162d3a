//! The models whose sizes are timed, and buffers filled with numbers like theirs.

/// Sizes of a model and of its micro-step; letters as in the op list.
pub struct Sizes {
    pub model: &'static str,
    pub batch: usize,
    pub seq: usize,
    pub heads: usize,
    pub d: usize,
    pub e: usize,
    pub k: usize,
    pub f: usize,
    pub v: usize,
}

pub const MODELS: &[Sizes] = &[
    Sizes { model: "nano", batch: 16, seq: 128, heads: 4, d: 128, e: 16, k: 4, f: 96, v: 2048 },
    Sizes { model: "olmoe-tiny", batch: 2, seq: 512, heads: 4, d: 512, e: 64, k: 8, f: 256, v: 100_277 },
];

impl Sizes {
    /// `T`
    pub fn t(&self) -> usize {
        self.batch * self.seq
    }

    /// `N`
    pub fn n(&self) -> usize {
        self.t() * self.k
    }

    /// `P`
    pub fn p(&self) -> usize {
        self.d / self.heads
    }
}

/// Numbers in -1/2..1/2, the same ones each time (the multiplicative generator modulo 2^31 - 1).
pub fn random(len: usize) -> Vec<f32> {
    let mut state = 20_260_101_u64;
    let mut next = || {
        state = state * 48_271 % 0x7fff_ffff;
        state as f32 / 0x7fff_ffff as f32 - 0.5
    };
    (0..len).map(|_| next()).collect()
}

/// Ids below `below`.
pub fn random_ids(len: usize, below: usize) -> Vec<i32> {
    random(len).into_iter().map(|x| (((x + 0.5) * below as f32) as usize).min(below - 1) as i32).collect()
}
