//! The models whose sizes are timed, and buffers filled with numbers like theirs.

/// Sizes of a model and of its micro-step; letters as in the op list.
pub struct Sizes {
    pub model: &'static str,
    pub batch: usize,
    pub seq: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub d: usize,
    pub e: usize,
    pub k: usize,
    pub f: usize,
    pub v: usize,
    /// Queries and keys are normalised head by head.
    pub is_norm_by_head: bool,
    /// Combine weights sum to 1.
    pub is_renormalized: bool,
}

const NANO: Sizes = Sizes {
    model: "nano",
    batch: 16,
    seq: 128,
    heads: 4,
    kv_heads: 4,
    d: 128,
    e: 16,
    k: 4,
    f: 96,
    v: 2048,
    is_norm_by_head: false,
    is_renormalized: false,
};

pub const MODELS: &[Sizes] = &[
    NANO,
    Sizes { model: "olmoe-tiny", batch: 2, seq: 512, d: 512, e: 64, k: 8, f: 256, v: 100_277, ..NANO },
    Sizes {
        model: "qwen3-tiny",
        batch: 2,
        seq: 512,
        heads: 6,
        kv_heads: 1,
        d: 384,
        e: 60,
        k: 4,
        f: 192,
        v: 100_277,
        is_norm_by_head: true,
        is_renormalized: true,
    },
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

/// Numbers between 0 and 1, the same ones each time (the multiplicative generator modulo 2^31 - 1).
fn uniform() -> impl Iterator<Item = f64> {
    let next = |&state: &u64| Some(state * 48_271 % 0x7fff_ffff);
    std::iter::successors(next(&20_260_101), next).map(|state| state as f64 / f64::from(0x7fff_ffff))
}

/// Numbers in -1/2..1/2.
pub fn random(len: usize) -> Vec<f32> {
    uniform().map(|x| x as f32 - 0.5).take(len).collect()
}

/// Ids below `vocab`: the tokens on which cli/bench/steps.ts trains.
pub fn random_tokens(len: usize, vocab: usize) -> Vec<i32> {
    uniform().map(|x| (x * vocab as f64) as i32).take(len).collect()
}
