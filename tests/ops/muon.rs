//! Muon.

use crate::common::*;
use crate::emulator::on_emulator;
use bowline::backend::{Backend, MuonStep, MuonUpdate};
use bowline::cuda::Precision;

const STEP: MuonStep = MuonStep { momentum: 0.95, weight_decay: 0.1, newton_schulz_steps: 5, grad_scale: 1.0 };

#[derive(Clone)]
struct Parameter {
    count: usize,
    rows: usize,
    cols: usize,
    lr: f32,
    w: Vec<f32>,
    m: Vec<f32>,
    g: Vec<f32>,
}

#[derive(Clone)]
struct Muon {
    precision: Precision,
    step: MuonStep,
    parameters: Vec<Parameter>,
}

fn cases(precision: Precision) -> Vec<Muon> {
    let mut rng = Rng(19);
    let mut case = |step, shapes: &[(usize, usize, usize)]| Muon {
        precision,
        step,
        parameters: shapes
            .iter()
            .map(|&(count, rows, cols)| {
                let n = count * rows * cols;
                Parameter { count, rows, cols, lr: 0.02, w: rng.values(n), m: rng.values(n), g: rng.values(n) }
            })
            .collect(),
    };
    // (count, rows, cols): none, scalars, wide, tall, square, sides around the block of a symmetric product, many matrices at once
    let mut cases = vec![
        case(STEP, &[]),
        case(STEP, &[(0, 3, 4), (2, 1, 1)]),
        case(STEP, &[(3, 5, 9), (1, 64, 65), (2, 70, 33)]),
        case(
            MuonStep { grad_scale: 0.1, weight_decay: 0.0, newton_schulz_steps: 2, ..STEP },
            &[(1, 130, 130), (1, 65, 200), (1, 200, 129)],
        ),
        case(MuonStep { newton_schulz_steps: 2, ..STEP }, &[(16, 24, 16), (16, 16, 12)]),
    ];
    // an expert without tokens: a gradient of zero still moves by its momentum; without momentum only decay is left
    let mut idle = case(STEP, &[(2, 8, 6)]);
    idle.parameters[0].g.fill(0.0);
    idle.parameters[0].m[48..].fill(0.0);
    cases.push(idle);
    cases
}

/// Newton-Schulz as it is written in the specification, with the factors of each product as the precision has them.
fn orthogonalize(u: &[f64], rows: usize, cols: usize, steps: u32, precision: Precision) -> Vec<f64> {
    let factor = |x: &[f64]| x.iter().map(|&x| if precision == Precision::Bf16 { bf16(x) } else { x }).collect::<Vec<_>>();
    let norm = u.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-7);
    let (s, l, tall) = (rows.min(cols), rows.max(cols), rows > cols);
    let place = |i: usize, j: usize| if tall { j * cols + i } else { i * cols + j };
    let mut x: Vec<f64> = (0..s * l).map(|n| u[place(n / l, n % l)] / norm).collect();
    for _ in 0..steps {
        x = factor(&x);
        let g = matmul(s, s, l, |i, k| x[i * l + k], |k, j| x[j * l + k]);
        let of_g = factor(&g);
        let g2 = matmul(s, s, s, |i, k| of_g[i * s + k], |k, j| of_g[k * s + j]);
        let diagonal = |i: usize| if i.is_multiple_of(s + 1) { 3.4445 } else { 0.0 };
        let poly: Vec<f64> = g.iter().zip(&g2).enumerate().map(|(i, (g, g2))| diagonal(i) - 4.775 * g + 2.0315 * g2).collect();
        let poly = factor(&poly);
        x = matmul(s, l, s, |i, k| poly[i * s + k], |k, j| x[k * l + j]);
    }
    let mut out = vec![0.0; s * l];
    (0..s * l).for_each(|n| out[place(n / l, n % l)] = x[n]);
    out
}

impl Case for Muon {
    fn label(&self) -> String {
        format!("muon {:?} {:?}", self.precision, self.parameters.iter().map(|p| (p.count, p.rows, p.cols)).collect::<Vec<_>>())
    }
    fn run<B: Backend>(&self, b: &B) -> Vec<Out> {
        let mut buffers: Vec<_> = self.parameters.iter().map(|p| (p, [&p.w, &p.m, &p.g].map(|v| Floats::new(b, v)))).collect();
        let mut updates: Vec<_> = buffers
            .iter_mut()
            .map(|(p, [w, m, g])| MuonUpdate {
                w: &mut w.buf,
                m: &mut m.buf,
                g: &g.buf,
                at: 0,
                count: p.count,
                rows: p.rows,
                cols: p.cols,
                lr: p.lr,
            })
            .collect();
        b.muon_step(&mut updates, self.step).unwrap();
        drop(updates);
        buffers.iter().flat_map(|(_, [w, m, _])| [out("w", w.read(b)), out("m", m.read(b))]).collect()
    }
    fn reference(&self) -> Vec<(Vec<f64>, Tolerance)> {
        let mut outs = Vec::new();
        let (mu, decay) = (self.step.momentum as f64, self.step.weight_decay as f64);
        for p in &self.parameters {
            let (size, lr) = (p.rows * p.cols, p.lr as f64);
            let (mut w, mut m) = (f64s(&p.w), f64s(&p.m));
            for first in (0..p.count).map(|i| i * size) {
                let mut u = Vec::new();
                for (m, &g) in m[first..first + size].iter_mut().zip(&p.g[first..]) {
                    let g = g as f64 * self.step.grad_scale as f64;
                    *m = mu * *m + (1.0 - mu) * g;
                    u.push((1.0 - mu) * g + mu * *m);
                }
                let x = orthogonalize(&u, p.rows, p.cols, self.step.newton_schulz_steps, self.precision);
                let rate = lr * (p.rows as f64 / p.cols as f64).max(1.0).sqrt();
                (0..size).for_each(|i| w[first + i] = w[first + i] * (1.0 - lr * decay) - rate * x[i]);
            }
            let error = match self.precision {
                // five steps multiply a rounding of X by up to 3.4^5 = 470 where a singular value is small
                Precision::F32 => 5e-5,
                // a factor beside a tie may be rounded the other way: one of the polynomial, of up to 3.4, then differs by 2^-6, which
                // changes a row of X by that times another, of elements up to 0.35, and a later step multiplies by up to 3.4
                Precision::Bf16 => 2e-2,
            };
            // times lr
            outs.extend([(w, Tolerance { atol: 0.02 * error, rtol: 4e-7 }), (m, rounding(4))]);
        }
        outs
    }
    fn inputs(&mut self) -> Vec<&mut Vec<f32>> {
        self.parameters.iter_mut().filter(|p| p.count > 0).flat_map(|p| [&mut p.w, &mut p.m, &mut p.g]).collect()
    }
}

#[test]
fn muon() {
    check(cases(Precision::F32));
}

#[test]
fn muon_in_bf16() {
    check_products(cases(Precision::Bf16));
}

#[test]
fn a_part_of_a_parameter_is_updated_as_in_the_whole() {
    fn run<B: Backend>(b: &B, first: usize, count: usize) -> Vec<f32> {
        let (rows, cols, size) = (6, 10, 60);
        let mut rng = Rng(3);
        let (mut w, g) = (Floats::new(b, &rng.values(4 * size)), Floats::new(b, &rng.values(4 * size)));
        let mut m = Floats::new(b, &vec![0.0; count * size]);
        let at = first * size;
        b.muon_step(&mut [MuonUpdate { w: &mut w.buf, m: &mut m.buf, g: &g.buf, at, count, rows, cols, lr: 0.02 }], STEP).unwrap();
        w.read(b)
    }
    let b = &cpus()[0];
    let (whole, untouched) = (run(b, 0, 4), run(b, 0, 0));
    for (first, count) in [(0, 1), (1, 2), (3, 1)] {
        let (from, to) = (first * 60, (first + count) * 60);
        let want = [&untouched[..from], &whole[from..to], &untouched[to..]].concat();
        assert!(run(b, first, count) == want, "{count} matrices from {first} on");
        // as for whole parameters
        let tolerance = Tolerance { atol: 0.02 * 5e-5, rtol: 4e-7 };
        on_emulator(|emulator| within("w", &run(emulator.with(0, Precision::F32), first, count), &f64s(&want), tolerance).unwrap());
    }
}

#[test]
fn the_update_is_nearly_orthogonal() {
    // with w = 0, momentum 0 and lr 1 the new w is -sqrt(max(1, rows/cols)) X. Five steps bring the singular values of X between
    // 0.68 and 1.14; those that start under 1 % of the norm stay lower, so the vectors tested are combinations of all
    let mut rng = Rng(20);
    for (rows, cols) in [(32, 96), (96, 32), (70, 70)] {
        let zeros = vec![0.0; rows * cols];
        let g = rng.values(rows * cols);
        let p = Parameter { count: 1, rows, cols, lr: 1.0, w: zeros.clone(), m: zeros, g };
        let w =
            &Muon { precision: Precision::F32, step: MuonStep { momentum: 0.0, ..STEP }, parameters: vec![p] }.run(&cpus()[1])[0].values;
        let scale = (rows as f64 / cols as f64).max(1.0).sqrt();
        let (s, l) = (rows.min(cols), rows.max(cols));
        let x = |i: usize, j: usize| w[if rows > cols { j * cols + i } else { i * cols + j }] as f64 / scale;
        for _ in 0..50 {
            let v = f64s(&rng.values(s));
            let image: f64 = (0..l).map(|j| (0..s).map(|i| v[i] * x(i, j)).sum::<f64>().powi(2)).sum();
            let ratio = (image / v.iter().map(|v| v * v).sum::<f64>()).sqrt();
            assert!((0.68..=1.14).contains(&ratio), "({rows}, {cols}): a vector is stretched by {ratio}");
        }
    }
}

#[test]
fn no_gradient_and_no_momentum_leave_only_decay() {
    let zeros = vec![0.0; 12];
    let p = Parameter { count: 1, rows: 3, cols: 4, lr: 0.5, w: vec![2.0; 12], m: zeros.clone(), g: zeros };
    let outs = Muon { precision: Precision::F32, step: STEP, parameters: vec![p] }.run(&cpus()[0]);
    within("w", &outs[0].values, &[2.0 * (1.0 - 0.5 * 0.1); 12], rounding(1)).unwrap();
    assert_eq!(outs[1].values, [0.0; 12]);
}
