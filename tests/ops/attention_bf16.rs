//! Causal attention with factors in bf16: the reference is that of f32, from rounded inputs.

use crate::attention::{Attention, Reference, case, reference};
use crate::common::*;
use crate::emulator::on_emulator;
use bowline::backend::Backend;
use bowline::cuda::Precision::Bf16;

/// Largest relative error of one rounding to the 8 bits of bf16.
const UNIT: f64 = 1.0 / 256.0;

#[derive(Clone)]
struct Rounded(Attention);

fn cases() -> Vec<Rounded> {
    let mut rng = Rng(10);
    // (B, S, H, Hkv, P): empty, one position, tiles of 64 rows and of 32 and their neighbours, grouped heads; heads of every kernel
    // (32, 64, 96, 128 elements) and odd ones between; heads that are too long for them
    [
        (0, 5, 2, 1, 32),
        (1, 0, 2, 1, 32),
        (1, 1, 1, 1, 2),
        (2, 31, 2, 2, 16),
        (1, 64, 4, 1, 8),
        (2, 65, 4, 2, 32),
        (1, 130, 3, 3, 7),
        (1, 300, 2, 1, 16),
        (2, 97, 2, 1, 64),
        (1, 70, 2, 2, 33),
        (1, 66, 3, 1, 96),
        (1, 129, 2, 1, 128),
        (2, 33, 2, 2, 100),
        (1, 40, 2, 1, 200),
    ]
    .map(|shape| Rounded(case(&mut rng, shape)))
    .to_vec()
}

impl Rounded {
    fn reference(&self) -> Reference {
        let [q, k, v, d_out] = [&self.0.q, &self.0.k, &self.0.v, &self.0.d_out].map(|x| rounded(x));
        reference(self.0.dims, &f64s(&q), &f64s(&k), &f64s(&v), &d_out)
    }

    /// What the sums in f32 are off by, as without rounding.
    fn rounding(&self) -> Tolerance {
        rounding(64 + self.0.dims.seq * self.0.dims.heads / self.0.dims.kv_heads)
    }
}

/// The bound of an element: P and dS are rounded once each, and what is left of 1 % covers that a product has both errors.
fn bound(slack: f64, rounding: Tolerance) -> f64 {
    1.01 * UNIT * slack + rounding.atol
}

impl Case for Rounded {
    fn label(&self) -> String {
        format!("{} in bf16", self.0.label())
    }
    fn run<B: Backend>(&self, b: &B) -> Vec<Out> {
        self.0.run(b)
    }
    fn reference(&self) -> Vec<(Vec<f64>, Tolerance)> {
        let r = self.reference();
        let [out, d_q, d_k, d_v] = r.slack.map(|slack| {
            let atol = bound(slack.into_iter().fold(0.0, f64::max), self.rounding());
            Tolerance { atol, ..self.rounding() }
        });
        vec![(r.out, out), (r.lse, rounding(16)), (r.d_q, d_q), (r.d_k, d_k), (r.d_v, d_v)]
    }
    fn inputs(&mut self) -> Vec<&mut Vec<f32>> {
        self.0.inputs()
    }
}

#[test]
fn attention() {
    check_emulated(Bf16, cases());
}

#[test]
fn every_element_is_within_its_own_bound() {
    on_emulator(|emulator| {
        for case in cases() {
            let (r, outs) = (case.reference(), case.run(emulator.with(0, Bf16)));
            for ((i, want), slack) in [(0, &r.out), (2, &r.d_q), (3, &r.d_k), (4, &r.d_v)].into_iter().zip(&r.slack) {
                for (at, (&want, &slack)) in want.iter().zip(slack).enumerate() {
                    let tolerance = Tolerance { atol: bound(slack, case.rounding()), ..case.rounding() };
                    let name = format!("{} {}, element {at}:", case.label(), outs[i].name);
                    within(&name, &outs[i].values[at..=at], &[want], tolerance).unwrap();
                }
            }
        }
    });
}

#[test]
fn gradients() {
    on_emulator(|emulator| {
        for case in cases().into_iter().filter(|case| case.0.dims.seq <= 66 && !case.0.q.is_empty()) {
            let outs = case.run(emulator.with(0, Bf16));
            let Attention { dims, q, k, v, d_out } = &case.0;
            let [q, k, v, d_out] = [q, k, v, d_out].map(|x| rounded(x));
            let tolerances: Vec<_> = Case::reference(&case).into_iter().map(|(_, tolerance)| tolerance).collect();
            let loss = |q: &[f64], k: &[f64], v: &[f64]| dot(&reference(*dims, q, k, v, &d_out).out, &d_out);
            let (all_q, all_k, all_v) = (f64s(&q), f64s(&k), f64s(&v));
            let label = case.label();
            check_gradient(&format!("{label} q"), &q, &outs[2].values, tolerances[2], |q| loss(q, &all_k, &all_v));
            check_gradient(&format!("{label} k"), &k, &outs[3].values, tolerances[3], |k| loss(&all_q, k, &all_v));
            check_gradient(&format!("{label} v"), &v, &outs[4].values, tolerances[4], |v| loss(&all_q, &all_k, v));
        }
    });
}
