//! Causal attention: forward, backward, and over a cache.

use crate::common::*;
use crate::emulator::on_emulator;
use bowline::backend::{AttentionDims, Backend};
use bowline::cuda::Precision;

#[derive(Clone)]
pub struct Attention {
    pub dims: AttentionDims,
    pub q: Vec<f32>,
    pub k: Vec<f32>,
    pub v: Vec<f32>,
    pub d_out: Vec<f32>,
}

/// A case of a shape (B, S, H, Hkv, P).
pub fn case(rng: &mut Rng, (batch, seq, heads, kv_heads, head_dim): (usize, usize, usize, usize, usize)) -> Attention {
    let dims = AttentionDims { batch, seq, heads, kv_heads, head_dim };
    let (n, kv) = (batch * seq * heads * head_dim, batch * seq * kv_heads * head_dim);
    // scores of a few units: neither flat nor one-hot rows
    let mut grown = |n| rng.values(n).iter().map(|v| 2.0 * v).collect::<Vec<f32>>();
    let (q, k) = (grown(n), grown(kv));
    Attention { dims, q, k, v: rng.values(kv), d_out: rng.values(n) }
}

fn cases() -> Vec<Attention> {
    let mut rng = Rng(9);
    // (B, S, H, Hkv, P): empty, one position, one tile and its neighbours, grouped queries, more than one backward piece
    [
        (0, 5, 2, 1, 4),
        (1, 0, 2, 1, 4),
        (1, 1, 1, 1, 2),
        (2, 63, 2, 2, 16),
        (1, 64, 4, 1, 8),
        (3, 65, 4, 2, 32),
        (1, 130, 3, 3, 7),
        (1, 600, 2, 1, 16),
    ]
    .map(|shape| case(&mut rng, shape))
    .to_vec()
}

pub struct Reference {
    pub out: Vec<f64>,
    pub lse: Vec<f64>,
    pub d_q: Vec<f64>,
    pub d_k: Vec<f64>,
    pub d_v: Vec<f64>,
    /// How far each element of out, d_q, d_k, d_v may be off, as a multiple of the relative error of the probabilities P and of the
    /// gradients of scores dS, where these are rounded as factors of products.
    pub slack: [Vec<f64>; 4],
}

/// Forward and backward, row by row.
pub fn reference(dims: AttentionDims, q: &[f64], k: &[f64], v: &[f64], d_out: &[f32]) -> Reference {
    let AttentionDims { batch, seq, heads, kv_heads, head_dim: p } = dims;
    let scale = 1.0 / (p as f64).sqrt();
    let mut r = Reference {
        out: vec![0.0; q.len()],
        lse: vec![0.0; batch * heads * seq],
        d_q: vec![0.0; q.len()],
        d_k: vec![0.0; k.len()],
        d_v: vec![0.0; v.len()],
        slack: [q, q, k, v].map(|x| vec![0.0; x.len()]),
    };
    for (b, head, s) in (0..batch).flat_map(|b| (0..heads).flat_map(move |h| (0..seq).map(move |s| (b, h, s)))) {
        let kv_head = head / (heads / kv_heads);
        let query = ((b * seq + s) * heads + head) * p;
        let key = |j: usize| ((b * seq + j) * kv_heads + kv_head) * p;
        let inner = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let scores: Vec<f64> = (0..=s).map(|j| scale * inner(&q[query..][..p], &k[key(j)..][..p])).collect();
        let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let lse = max + scores.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
        let prob: Vec<f64> = scores.iter().map(|x| (x - lse).exp()).collect();
        let d_o = f64s(&d_out[query..][..p]);
        let d_prob: Vec<f64> = (0..=s).map(|j| inner(&d_o, &v[key(j)..][..p])).collect();
        let delta = inner(&prob, &d_prob);
        // |d_o| P |v|: delta is <d_o, o> of an o that was summed up from rounded probabilities
        let sizes = |j: usize| d_o.iter().zip(&v[key(j)..]).map(|(x, y)| (x * y).abs()).sum::<f64>();
        let delta_slack: f64 = (0..=s).map(|j| prob[j] * sizes(j)).sum();
        r.lse[(b * heads + head) * seq + s] = lse;
        for j in 0..=s {
            let d_score = scale * prob[j] * (d_prob[j] - delta);
            let d_score_slack = d_score.abs() + scale * prob[j] * delta_slack;
            for c in 0..p {
                r.slack[0][query + c] += prob[j] * v[key(j) + c].abs();
                r.slack[1][query + c] += d_score_slack * k[key(j) + c].abs();
                r.slack[2][key(j) + c] += d_score_slack * q[query + c].abs();
                r.slack[3][key(j) + c] += prob[j] * d_o[c].abs();
                r.out[query + c] += prob[j] * v[key(j) + c];
                r.d_v[key(j) + c] += prob[j] * d_o[c];
                r.d_q[query + c] += d_score * k[key(j) + c];
                r.d_k[key(j) + c] += d_score * q[query + c];
            }
        }
    }
    r
}

impl Case for Attention {
    fn label(&self) -> String {
        format!("attention {:?}", self.dims)
    }
    fn run<B: Backend>(&self, b: &B) -> Vec<Out> {
        let dims = self.dims;
        let [q, k, v, d_out] = [&self.q, &self.k, &self.v, &self.d_out].map(|x| Floats::new(b, x));
        let [mut y, mut d_q] = [(); 2].map(|()| Floats::new(b, &vec![5.0; self.q.len()]));
        let [mut d_k, mut d_v] = [(); 2].map(|()| Floats::new(b, &vec![5.0; self.k.len()]));
        let mut lse = Floats::new(b, &vec![5.0; dims.batch * dims.heads * dims.seq]);
        b.attention_forward(&mut y.buf, &mut lse.buf, &q.buf, &k.buf, &v.buf, dims).unwrap();
        b.attention_backward(&mut d_q.buf, &mut d_k.buf, &mut d_v.buf, &y.buf, &lse.buf, &q.buf, &k.buf, &v.buf, &d_out.buf, dims).unwrap();
        let names = ["out", "lse", "d_q", "d_k", "d_v"];
        names.into_iter().zip([y, lse, d_q, d_k, d_v]).map(|(name, x)| out(name, x.read(b))).collect()
    }
    fn reference(&self) -> Vec<(Vec<f64>, Tolerance)> {
        let r = reference(self.dims, &f64s(&self.q), &f64s(&self.k), &f64s(&self.v), &self.d_out);
        // a score of size 4 is off by 4 roundings, and so is its exponential; gradients sum up to S * H / Hkv such terms
        let terms = self.dims.seq * self.dims.heads / self.dims.kv_heads;
        vec![
            (r.out, rounding(16)),
            (r.lse, rounding(16)),
            (r.d_q, rounding(64)),
            (r.d_k, rounding(64 + terms)),
            (r.d_v, rounding(64 + terms)),
        ]
    }
    fn inputs(&mut self) -> Vec<&mut Vec<f32>> {
        vec![&mut self.q, &mut self.k, &mut self.v, &mut self.d_out]
    }
}

#[test]
fn attention() {
    check(cases());
}

#[test]
fn gradients() {
    for case in cases().into_iter().filter(|case| case.dims.seq <= 65 && !case.q.is_empty()) {
        let outs = case.run(&cpus()[1]);
        let (q, k, v) = (f64s(&case.q), f64s(&case.k), f64s(&case.v));
        let loss = |q: &[f64], k: &[f64], v: &[f64]| dot(&reference(case.dims, q, k, v, &case.d_out).out, &case.d_out);
        let (label, tolerance) = (case.label(), rounding(256)); // as for the values
        check_gradient(&format!("{label} q"), &case.q, &outs[2].values, tolerance, |q| loss(q, &k, &v));
        check_gradient(&format!("{label} k"), &case.k, &outs[3].values, tolerance, |k| loss(&q, k, &v));
        check_gradient(&format!("{label} v"), &case.v, &outs[4].values, tolerance, |v| loss(&q, &k, v));
    }
}

#[test]
fn rows_of_the_softmax_sum_to_one() {
    for mut case in cases() {
        case.v.fill(1.0);
        let y = &case.run(&cpus()[1])[0].values;
        within(&case.label(), y, &vec![1.0; y.len()], rounding(16)).unwrap();
    }
}

#[test]
fn large_scores_do_not_overflow() {
    let dims = AttentionDims { batch: 1, seq: 3, heads: 1, kv_heads: 1, head_dim: 1 };
    // scores 0, then 0 and 1e4, then the same with 2e4: the last key takes all
    let case = Attention { dims, q: vec![0.0, 100.0, 200.0], k: vec![0.0, 100.0, -100.0], v: vec![1.0, 2.0, 3.0], d_out: vec![1.0; 3] };
    let outs = case.run(&cpus()[0]);
    within("out", &outs[0].values, &[1.0, 2.0, 2.0], EXACT).unwrap();
    assert!(outs.iter().all(|out| out.values.iter().all(|v| v.is_finite())));
}

/// The case through a cache that is filled in parts: the rows of its output.
fn run_over_cache<B: Backend>(case: &Attention, b: &B) -> Vec<f32> {
    let AttentionDims { seq, heads, kv_heads, head_dim: p, .. } = case.dims;
    // capacity beyond the sequence; what is not yet written must not be read
    let spare = vec![f32::NAN; (seq + 3) * kv_heads * p];
    let [mut k_cache, mut v_cache] = [(); 2].map(|()| Floats::new(b, &spare));
    let mut rows = Vec::new();
    let mut start = 0;
    for take in [1, 1, 70, 5, 100, 1, 10_000] {
        let s = take.min(seq - start);
        let dims = AttentionDims { seq: s, ..case.dims };
        let q = Floats::new(b, &case.q[start * heads * p..][..s * heads * p]);
        let [k, v] = [&case.k, &case.v].map(|x| Floats::new(b, &x[start * kv_heads * p..][..s * kv_heads * p]));
        let mut y = Floats::new(b, &vec![5.0; s * heads * p]);
        b.attention_cached(&mut y.buf, &mut k_cache.buf, &mut v_cache.buf, &q.buf, &k.buf, &v.buf, start, dims).unwrap();
        rows.extend(y.read(b));
        start += s;
    }
    assert_eq!(k_cache.read(b)[..case.k.len()], case.k);
    assert_eq!(v_cache.read(b)[..case.v.len()], case.v);
    rows
}

#[test]
fn a_cache_filled_in_parts_gives_the_rows_of_the_whole() {
    for case in cases().into_iter().filter(|case| case.dims.batch == 1) {
        let want = reference(case.dims, &f64s(&case.q), &f64s(&case.k), &f64s(&case.v), &case.d_out).out;
        let runs: Vec<_> = cpus().iter().map(|b| run_over_cache(&case, b)).collect();
        within(&case.label(), &runs[0], &want, rounding(16)).unwrap();
        assert!(runs.iter().all(|rows| *rows == runs[0]), "{}: bits differ between thread counts", case.label());
        on_emulator(|emulator| {
            // in f32 whatever the precision is
            let [f32, bf16] = [Precision::F32, Precision::Bf16].map(|precision| run_over_cache(&case, emulator.with(0, precision)));
            within(&case.label(), &f32, &want, rounding(16)).unwrap();
            assert!(f32 == bf16, "{}: bits differ between precisions", case.label());
        });
    }
}
