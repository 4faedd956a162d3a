//! RMSNorm.

use crate::common::*;
use bowline::backend::Backend;

const EPS: f32 = 1e-5;

#[derive(Clone)]
struct Rmsnorm {
    rows: usize,
    d: usize,
    x: Vec<f32>,
    w: Vec<f32>,
    d_out: Vec<f32>,
    before_x: Vec<f32>,
    before_w: Vec<f32>,
}

fn cases() -> Vec<Rmsnorm> {
    let mut rng = Rng(3);
    // (R, D): empty, one element, odd widths, several blocks of rows, the width of one head, one row past a block
    [(0, 8), (1, 1), (3, 7), (300, 128), (1030, 32), (65, 130), (2, 3000)]
        .map(|(rows, d)| {
            let mut x = rng.values(rows * d);
            if rows > 1 {
                x[..d].fill(0.0); // a row of zeros: only eps is under the root
            }
            Rmsnorm { rows, d, x, w: rng.values(d), d_out: rng.values(rows * d), before_x: rng.values(rows * d), before_w: rng.values(d) }
        })
        .to_vec()
}

fn forward(x: &[f64], w: &[f64]) -> Vec<f64> {
    let d = w.len();
    let row = |x: &[f64]| {
        let rstd = 1.0 / (x.iter().map(|v| v * v).sum::<f64>() / d as f64 + EPS as f64).sqrt();
        x.iter().zip(w).map(|(x, w)| x * rstd * w).collect::<Vec<f64>>()
    };
    x.chunks_exact(d).flat_map(row).collect()
}

impl Rmsnorm {
    /// Gradients without what was in the outputs before.
    fn backward(&self) -> (Vec<f64>, Vec<f64>) {
        let d = self.d;
        let (x, w, d_out) = (f64s(&self.x), f64s(&self.w), f64s(&self.d_out));
        let (mut d_x, mut d_w) = (vec![0.0; x.len()], vec![0.0; d]);
        for r in 0..self.rows {
            let at = |i: usize| r * d + i;
            let rstd = 1.0 / ((0..d).map(|i| x[at(i)] * x[at(i)]).sum::<f64>() / d as f64 + EPS as f64).sqrt();
            let mean = (0..d).map(|i| x[at(i)] * w[i] * d_out[at(i)]).sum::<f64>() / d as f64;
            for i in 0..d {
                d_x[at(i)] = rstd * (w[i] * d_out[at(i)] - x[at(i)] * rstd * rstd * mean);
                d_w[i] += x[at(i)] * rstd * d_out[at(i)];
            }
        }
        (d_x, d_w)
    }
}

impl Case for Rmsnorm {
    fn label(&self) -> String {
        format!("rmsnorm R={} D={}", self.rows, self.d)
    }
    fn run<B: Backend>(&self, b: &B) -> Vec<Out> {
        let [x, w, d_out] = [&self.x, &self.w, &self.d_out].map(|v| Floats::new(b, v));
        let mut y = Floats::new(b, &self.before_x);
        b.rmsnorm_forward(&mut y.buf, &x.buf, &w.buf, self.rows, self.d, EPS).unwrap();
        let [mut d_x, mut d_w] = [&self.before_x, &self.before_w].map(|v| Floats::new(b, v));
        b.rmsnorm_backward(&mut d_x.buf, &mut d_w.buf, &x.buf, &w.buf, &d_out.buf, self.rows, self.d, EPS).unwrap();
        vec![out("out", y.read(b)), out("d_x", d_x.read(b)), out("d_w", d_w.read(b))]
    }
    fn reference(&self) -> Vec<(Vec<f64>, Tolerance)> {
        let (mut d_x, mut d_w) = self.backward();
        d_x.iter_mut().zip(&self.before_x).for_each(|(d, &v)| *d += v as f64);
        d_w.iter_mut().zip(&self.before_w).for_each(|(d, &v)| *d += v as f64);
        // the row of zeros has rstd = 316: its d_x are that much larger than 1, hence the relative part counts
        vec![(forward(&f64s(&self.x), &f64s(&self.w)), rounding(4)), (d_x, rounding(16)), (d_w, rounding(self.rows))]
    }
    fn inputs(&mut self) -> Vec<&mut Vec<f32>> {
        if self.rows == 0 { Vec::new() } else { vec![&mut self.x, &mut self.w, &mut self.d_out] }
    }
}

#[test]
fn rmsnorm() {
    check(cases());
}

#[test]
fn gradients() {
    for case in cases().into_iter().filter(|case| case.rows > 0) {
        let case = Rmsnorm { before_x: vec![0.0; case.x.len()], before_w: vec![0.0; case.d], ..case };
        let outs = case.run(&cpus()[1]);
        let (x, w) = (f64s(&case.x), f64s(&case.w));
        // f32 rounding as in the values; the row of zeros bends within the step (its scale is sqrt(eps) = 3e-3), worth 1e-5 relative
        let tolerance = Tolerance { atol: rounding(case.rows).atol, rtol: 3e-5 };
        check_gradient(&format!("{} x", case.label()), &case.x, &outs[1].values, tolerance, |x| dot(&forward(x, &w), &case.d_out));
        check_gradient(&format!("{} w", case.label()), &case.w, &outs[2].values, tolerance, |w| dot(&forward(&x, w), &case.d_out));
    }
}
