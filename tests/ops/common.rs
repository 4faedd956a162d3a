//! Helpers of the op tests: random numbers, guarded buffers, comparisons that NaN fails, finite differences; and the driver of the cases.

use bowline::backend::{Backend, DispatchPlan};
use bowline::cuda::Precision;

pub use crate::driver::*;

// --- data ---

/// SplitMix64: equal on every machine.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [-1, 1), or a zero now and then.
    pub fn value(&mut self) -> f32 {
        let bits = self.next();
        if bits & 31 == 0 { 0.0 } else { (bits >> 40) as f32 / (1u64 << 23) as f32 - 1.0 }
    }

    pub fn values(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.value()).collect()
    }

    /// Uniform in 0..n.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

pub fn f64s(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&v| v as f64).collect()
}

/// The nearest bf16, ties to even.
pub fn bf16(x: f64) -> f64 {
    half::bf16::from_f32(x as f32).to_f64()
}

/// Each number rounded to bf16.
pub fn rounded(x: &[f32]) -> Vec<f32> {
    x.iter().map(|&v| bf16(v as f64) as f32).collect()
}

/// The factors of a product as the precision has them.
pub fn factors(x: &[f32], precision: Precision) -> Vec<f64> {
    match precision {
        Precision::F32 => f64s(x),
        Precision::Bf16 => f64s(&rounded(x)),
    }
}

/// Row-major (m, n) product `a b` with `a(i, l)` and `b(l, j)`.
pub fn matmul(m: usize, n: usize, k: usize, a: impl Fn(usize, usize) -> f64, b: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let mut out = vec![0.0; m * n];
    for i in 0..m {
        for l in 0..k {
            let a = a(i, l);
            for j in 0..n {
                out[i * n + j] += a * b(l, j);
            }
        }
    }
    out
}

// --- buffers ---

/// Elements behind each buffer that no op may touch, nor read: NaN spoils a result, and the id is out of every range.
const GUARD: usize = 37;
const GUARD_BITS: u32 = 0x7fc0_beef;
const GUARD_ID: i32 = i32::MIN + 7;

/// A buffer of f32 with a guard zone behind it.
pub struct Floats<B: Backend> {
    pub buf: B::F,
    n: usize,
}

impl<B: Backend> Floats<B> {
    pub fn new(b: &B, values: &[f32]) -> Self {
        let mut all = values.to_vec();
        all.resize(values.len() + GUARD, f32::from_bits(GUARD_BITS));
        let mut buf = b.zeros(all.len()).unwrap();
        b.upload(&mut buf, &all).unwrap();
        Floats { buf, n: values.len() }
    }

    /// A buffer made by `new` with `n` values and taken apart since.
    pub fn wrap(buf: B::F, n: usize) -> Self {
        Floats { buf, n }
    }

    /// The values; fails when the guard zone changed.
    pub fn read(&self, b: &B) -> Vec<f32> {
        let mut all = vec![0.0; self.n + GUARD];
        b.download(&mut all, &self.buf).unwrap();
        let guard = all.split_off(self.n);
        assert!(guard.iter().all(|v| v.to_bits() == GUARD_BITS), "an op wrote behind its output");
        all
    }
}

/// A buffer of i32 with a guard zone behind it.
pub struct Ints<B: Backend> {
    pub buf: B::I,
    n: usize,
}

impl<B: Backend> Ints<B> {
    pub fn new(b: &B, values: &[i32]) -> Self {
        let mut all = values.to_vec();
        all.resize(values.len() + GUARD, GUARD_ID);
        let mut buf = b.zeros_i32(all.len()).unwrap();
        b.upload_i32(&mut buf, &all).unwrap();
        Ints { buf, n: values.len() }
    }

    /// A buffer made by `new` with `n` values and taken apart since.
    pub fn wrap(buf: B::I, n: usize) -> Self {
        Ints { buf, n }
    }

    /// The values; fails when the guard zone changed.
    pub fn read(&self, b: &B) -> Vec<i32> {
        let mut all = vec![0; self.n + GUARD];
        b.download_i32(&mut all, &self.buf).unwrap();
        let guard = all.split_off(self.n);
        assert!(guard.iter().all(|&v| v == GUARD_ID), "an op wrote behind its output");
        all
    }
}

/// A dispatch plan made by the backend from `ids` (T, K), in guarded buffers.
pub fn make_plan<B: Backend>(b: &B, ids: &[i32], k: usize, e: usize) -> DispatchPlan<B> {
    let junk = vec![-5; ids.len().max(e + 1)];
    let mut plan = DispatchPlan {
        offsets: Ints::new(b, &junk[..e + 1]).buf,
        slot_of_row: Ints::new(b, &junk[..ids.len()]).buf,
        row_of_slot: Ints::new(b, &junk[..ids.len()]).buf,
    };
    let ids_buf = Ints::new(b, ids);
    b.dispatch_plan(&mut plan, &ids_buf.buf, ids.len() / k, k, e).unwrap();
    plan
}

/// Rows by slot for `ids`: the reference of the dispatch plan, returned as `slot_of_row`.
pub fn slots_by_expert(ids: &[i32]) -> Vec<usize> {
    let mut slots: Vec<usize> = (0..ids.len()).collect();
    slots.sort_by_key(|&slot| ids[slot]);
    slots
}

/// Different ids for each token: `t` rows of `k` out of `e`. Expert `hot`, when given, is in every row.
pub fn random_ids(rng: &mut Rng, t: usize, k: usize, e: usize, hot: Option<usize>) -> Vec<i32> {
    let mut ids = Vec::with_capacity(t * k);
    for _ in 0..t {
        let mut row: Vec<usize> = hot.into_iter().collect();
        while row.len() < k {
            let id = rng.below(e);
            if !row.contains(&id) {
                row.push(id);
            }
        }
        ids.extend(row.iter().map(|&id| id as i32));
    }
    ids
}

// --- comparisons ---

/// `|got - want| <= atol + rtol |want|` for each element. The reason for the numbers stands where they are chosen.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    pub atol: f64,
    pub rtol: f64,
}

pub const EXACT: Tolerance = Tolerance { atol: 0.0, rtol: 0.0 };

/// Rounding of a sum of `terms` numbers of size 1: partial sums wander up to sqrt(terms), and their `terms` roundings, each relative
/// to that, add up like sqrt(terms) again. The margin covers a few operations more and the worst of 10^5 elements.
pub fn rounding(terms: usize) -> Tolerance {
    let unit = f32::EPSILON as f64 / 2.0;
    Tolerance { atol: unit * (8 + terms) as f64, rtol: 8.0 * unit }
}

pub fn within(name: &str, got: &[f32], want: &[f64], tolerance: Tolerance) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{name}: got {} elements, want {}", got.len(), want.len()));
    }
    let excess = |i: usize| (got[i] as f64 - want[i]).abs() - (tolerance.atol + tolerance.rtol * want[i].abs());
    // written as "is within": NaN is not
    let outside: Vec<usize> = (0..got.len()).filter(|&i| !matches!(excess(i), x if x <= 0.0)).collect();
    let rank = |&i: &usize| {
        if excess(i).is_nan() { f64::INFINITY } else { excess(i) }
    };
    match outside.iter().copied().max_by(|a, b| rank(a).total_cmp(&rank(b))) {
        None => Ok(()),
        Some(i) => {
            let count = outside.len();
            Err(format!("{name}[{i}]: got {}, want {} ({tolerance:?}; {count} of {} outside)", got[i], want[i], got.len()))
        }
    }
}

/// Compares `got` with central differences of `loss` at up to 24 places of `x`. `loss` is f64, so the differences are good to about 1e-9.
pub fn check_gradient(name: &str, x: &[f32], got: &[f32], tolerance: Tolerance, loss: impl Fn(&[f64]) -> f64) {
    assert_eq!(x.len(), got.len(), "{name}");
    let mut x = f64s(x);
    let mut rng = Rng(17);
    for sample in 0..24.min(x.len()) {
        let i = if x.len() <= 24 { sample } else { rng.below(x.len()) };
        let (h, at) = (1e-5, x[i]);
        x[i] = at + h;
        let up = loss(&x);
        x[i] = at - h;
        let down = loss(&x);
        x[i] = at;
        let want = [(up - down) / (2.0 * h)];
        within(&format!("gradient of {name} at {i}"), &got[i..i + 1], &want, tolerance).unwrap();
    }
}

pub fn dot(a: &[f64], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, &b)| a * b as f64).sum()
}

#[test]
fn nan_is_never_within() {
    let loose = Tolerance { atol: f64::INFINITY, rtol: 0.0 };
    assert!(within("x", &[f32::NAN], &[0.0], loose).is_err());
    assert!(within("x", &[0.0], &[f64::NAN], loose).is_err());
    assert!(within("x", &[1.0, 2.0], &[1.0], loose).is_err());
    assert!(within("x", &[1.0], &[1.0], EXACT).is_ok());
}
