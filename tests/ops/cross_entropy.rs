//! Head and cross-entropy.

use crate::common::*;
use crate::emulator::on_emulator;
use bowline::backend::Backend;
use bowline::cuda::Precision;

const GRAD_SCALE: f32 = 0.37;

#[derive(Clone)]
struct CrossEntropy {
    precision: Precision,
    v: usize,
    d: usize,
    h: Vec<f32>,
    w: Vec<f32>,
    targets: Vec<i32>,
    before_w: Vec<f32>,
}

fn case(precision: Precision, rng: &mut Rng, t: usize, v: usize, d: usize) -> CrossEntropy {
    let mut targets: Vec<i32> = (0..t).map(|_| rng.below(v) as i32).collect();
    targets.iter_mut().skip(3).step_by(7).for_each(|target| *target = -1);
    if let [.., a, b] = &mut targets[..] {
        (*a, *b) = (0, v as i32 - 1);
    }
    CrossEntropy { precision, v, d, h: rng.values(t * d), w: rng.values(v * d), targets, before_w: rng.values(v * d) }
}

fn cases(precision: Precision) -> Vec<CrossEntropy> {
    let mut rng = Rng(16);
    // (T, V, D): empty, one word, odd sizes, two chunks of rows, also of the largest ones, groups of several blocks
    let shapes = [(0, 5, 3), (1, 1, 1), (5, 64, 8), (300, 130, 17), (1030, 9, 8), (257, 2048, 16), (40, 1000, 128), (33, 20_000, 8)];
    let mut cases = shapes.map(|(t, v, d)| case(precision, &mut rng, t, v, d)).to_vec();
    let mut none = case(precision, &mut rng, 9, 70, 4);
    none.targets.fill(-1);
    cases.push(none);
    cases
}

impl CrossEntropy {
    /// Softmax rows (T, V) and losses.
    fn forward(&self, h: &[f64], w: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (t, v, d) = (self.targets.len(), self.v, self.d);
        let mut prob = Vec::with_capacity(t * v);
        let mut losses = Vec::new();
        for (h, &target) in h.chunks_exact(d).zip(&self.targets) {
            let logits: Vec<f64> = w.chunks_exact(d).map(|w| h.iter().zip(w).map(|(h, w)| h * w).sum()).collect();
            let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let lse = max + logits.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
            losses.push(if target < 0 { 0.0 } else { lse - logits[target as usize] });
            prob.extend(logits.iter().map(|x| (x - lse).exp()));
        }
        (prob, losses)
    }
}

impl Case for CrossEntropy {
    fn label(&self) -> String {
        format!("cross_entropy {:?} T={} V={} D={}", self.precision, self.targets.len(), self.v, self.d)
    }
    fn run<B: Backend>(&self, b: &B) -> Vec<Out> {
        let (t, v, d) = (self.targets.len(), self.v, self.d);
        let [h, w] = [&self.h, &self.w].map(|x| Floats::new(b, x));
        let targets = Ints::new(b, &self.targets);
        let [mut losses, mut again, mut d_h] = [t, t, t * d].map(|n| Floats::new(b, &vec![3.0; n]));
        let mut d_w = Floats::new(b, &self.before_w);
        b.cross_entropy_forward(&mut losses.buf, &h.buf, &w.buf, &targets.buf, t, v, d).unwrap();
        b.cross_entropy_forward_backward(&mut again.buf, &mut d_h.buf, &mut d_w.buf, &h.buf, &w.buf, &targets.buf, GRAD_SCALE, t, v, d)
            .unwrap();
        let names = ["losses", "losses again", "d_h", "d_w"];
        names.into_iter().zip([losses, again, d_h, d_w]).map(|(name, x)| out(name, x.read(b))).collect()
    }
    fn reference(&self) -> Vec<(Vec<f64>, Tolerance)> {
        let (t, v, d) = (self.targets.len(), self.v, self.d);
        let [h, w] = [&self.h, &self.w].map(|x| factors(x, self.precision));
        let (mut d_logits, losses) = self.forward(&h, &w);
        let probabilities = d_logits.clone();
        for (row, &target) in d_logits.chunks_exact_mut(v).zip(&self.targets) {
            match usize::try_from(target) {
                Ok(target) => row[target] -= 1.0,
                Err(_) => row.fill(0.0),
            }
            row.iter_mut().for_each(|x| *x *= GRAD_SCALE as f64);
        }
        // the logits' gradient is a factor, too: what its rounding leaves open where its f32 value lies beside a tie moves its products
        let mut open = vec![0.0; t * v];
        if self.precision == Precision::Bf16 {
            for ((x, open), p) in d_logits.iter_mut().zip(&mut open).zip(&probabilities) {
                // the logits' own rounding, as a share of the probability, and that of the subtraction
                let error = GRAD_SCALE as f64 * p * rounding(64).atol + x.abs() * f32::EPSILON as f64;
                *open = bf16(*x + error) - bf16(*x - error);
                *x = bf16(*x);
            }
        }
        let largest = |x: Vec<f64>| x.into_iter().fold(0.0, f64::max);
        let open_h = largest(matmul(t, d, v, |r, c| open[r * v + c], |c, j| w[c * d + j].abs()));
        let open_w = largest(matmul(v, d, t, |c, r| open[r * v + c], |r, j| h[r * d + j].abs()));
        let d_h = matmul(t, d, v, |r, c| d_logits[r * v + c], |c, j| w[c * d + j]);
        let mut d_w = matmul(v, d, t, |c, r| d_logits[r * v + c], |r, j| h[r * d + j]);
        d_w.iter_mut().zip(&self.before_w).for_each(|(x, &before)| *x += before as f64);
        // logits of up to 10 units: their rounding is that of 10 numbers of size 1, and so is that of the losses;
        // gradients of a row have absolute sum 2, whatever V is, and d_w sums T of them
        let wider = |tolerance: Tolerance, open: f64| Tolerance { atol: tolerance.atol + open, ..tolerance };
        let of_gradients = [(d_h, wider(rounding(64), open_h)), (d_w, wider(rounding(64 + t), open_w))];
        [(losses.clone(), rounding(64)), (losses, rounding(64))].into_iter().chain(of_gradients).collect()
    }
    fn inputs(&mut self) -> Vec<&mut Vec<f32>> {
        // without targets nothing depends on the inputs
        if self.targets.iter().all(|&target| target < 0) { Vec::new() } else { vec![&mut self.h, &mut self.w] }
    }
}

#[test]
fn cross_entropy() {
    check(cases(Precision::F32));
}

#[test]
fn cross_entropy_in_bf16() {
    // half a million logits take the emulator half a minute, and show no more than a few thousand
    check_products(cases(Precision::Bf16).into_iter().filter(|case| case.targets.len() * case.v < 50_000).collect());
}

#[test]
fn gradients() {
    for case in cases(Precision::F32).into_iter().filter(|case| case.targets.len() * case.v < 50_000) {
        let case = CrossEntropy { before_w: vec![0.0; case.w.len()], ..case };
        let outs = case.run(&cpus()[1]);
        let (h, w) = (f64s(&case.h), f64s(&case.w));
        let loss = |h: &[f64], w: &[f64]| GRAD_SCALE as f64 * case.forward(h, w).1.iter().sum::<f64>();
        let (label, tolerance) = (case.label(), rounding(256)); // as for the values
        check_gradient(&format!("{label} h"), &case.h, &outs[2].values, tolerance, |h| loss(h, &w));
        check_gradient(&format!("{label} w"), &case.w, &outs[3].values, tolerance, |w| loss(&h, w));
    }
}

#[test]
fn a_vocabulary_that_shortens_the_chunks() {
    // 140,000 words: a chunk has fewer rows than usual, and the 245 rows need two
    let case = case(Precision::F32, &mut Rng(18), 245, 140_000, 2);
    let outs = case.run(&cpus()[1]);
    let sums: Vec<f64> = f64s(&outs[2].values);
    let (_, losses) = case.forward(&f64s(&case.h), &f64s(&case.w));
    within("losses", &outs[0].values, &losses, rounding(64)).unwrap();
    within("losses again", &outs[1].values, &losses, rounding(64)).unwrap();
    assert!(sums.iter().all(|v| v.is_finite()));
    // each row of d_logits sums to 0, so d_w summed over words is 0 too; 140,000 differences of numbers of size 1
    for j in 0..2 {
        let column = |x: &[f32]| x.iter().skip(j).step_by(2).map(|&v| v as f64).sum::<f64>();
        let sum = column(&outs[3].values) - column(&case.before_w);
        assert!(sum.abs() <= 1e-2, "column {j} of d_w sums to {sum}, want 0");
    }
}

#[test]
fn a_negative_target_costs_nothing() {
    let case = &cases(Precision::F32)[8];
    let outs = case.run(&cpus()[2]);
    assert!(outs[..3].iter().all(|out| out.values.iter().all(|&v| v == 0.0)));
    assert_eq!(outs[3].values, case.before_w);
}

#[test]
fn refuses_a_target_outside_the_vocabulary() {
    fn refuses<B: Backend>(b: &B) {
        let [h, w] = [2, 4].map(|n| Floats::new(b, &vec![0.0; n]));
        let (mut losses, targets) = (Floats::new(b, &[3.0; 2]), Ints::new(b, &[0, 4]));
        let error = b.cross_entropy_forward(&mut losses.buf, &h.buf, &w.buf, &targets.buf, 2, 4, 1).unwrap_err();
        assert_eq!(error.to_string(), "Cannot score target 4 at position 1: ids must be below 4, or negative for none");
        losses.read(b);
    }
    refuses(&cpus()[0]);
    on_emulator(|emulator| refuses(emulator.with(0, Precision::F32)));
}
