//! AdamW.

use crate::common::*;
use crate::emulator::on_emulator;
use bowline::backend::{AdamwStep, AdamwUpdate, Backend};
use bowline::cuda::Precision;

#[derive(Clone)]
struct Adamw {
    step: AdamwStep,
    /// Of each parameter: w, m, v, g and the learning rate.
    parameters: Vec<([Vec<f32>; 4], f32)>,
}

fn cases() -> Vec<Adamw> {
    let mut rng = Rng(8);
    let step = AdamwStep { beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.01, update: 1, grad_scale: 1.0 };
    let late = AdamwStep { update: 100_000, grad_scale: 0.25, weight_decay: 0.0, ..step };
    let mut case = |step, sizes: &[usize]| Adamw {
        step,
        parameters: sizes
            .iter()
            .map(|&n| {
                let second = rng.values(n).iter().map(|v| v * v).collect();
                ([rng.values(n), rng.values(n), second, rng.values(n)], 1e-2 * (1.0 + n as f32 / 1000.0))
            })
            .collect(),
    };
    // several parameters at once, across blocks, an empty one, none
    vec![case(step, &[5, 0, 1, 17]), case(late, &[16_384, 16_385, 40_000]), case(AdamwStep { update: 3, ..step }, &[64]), case(step, &[])]
}

impl Case for Adamw {
    fn label(&self) -> String {
        format!("adamw {:?} update {}", self.parameters.iter().map(|(p, _)| p[0].len()).collect::<Vec<_>>(), self.step.update)
    }
    fn run<B: Backend>(&self, b: &B) -> Vec<Out> {
        let mut buffers: Vec<_> =
            self.parameters.iter().map(|(p, lr)| (p.each_ref().map(|v| Floats::new(b, v)), p[0].len(), *lr)).collect();
        let mut updates: Vec<_> = buffers
            .iter_mut()
            .map(|([w, m, v, g], n, lr)| AdamwUpdate { w: &mut w.buf, m: &mut m.buf, v: &mut v.buf, g: &g.buf, at: 0, n: *n, lr: *lr })
            .collect();
        b.adamw_step(&mut updates, self.step).unwrap();
        drop(updates);
        buffers.iter().flat_map(|([w, m, v, _], ..)| [out("w", w.read(b)), out("m", m.read(b)), out("v", v.read(b))]).collect()
    }
    fn reference(&self) -> Vec<(Vec<f64>, Tolerance)> {
        let AdamwStep { beta1, beta2, eps, weight_decay, update, grad_scale } = self.step;
        let [beta1, beta2, eps, decay, scale] = [beta1, beta2, eps, weight_decay, grad_scale].map(|v| v as f64);
        let mut outs = Vec::new();
        for (parameter, lr) in &self.parameters {
            let [mut w, mut m, mut v, g] = parameter.each_ref().map(|v| f64s(v));
            let lr = *lr as f64;
            for i in 0..w.len() {
                let g = g[i] * scale;
                m[i] = beta1 * m[i] + (1.0 - beta1) * g;
                v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
                let m_hat = m[i] / (1.0 - beta1.powf(update as f64));
                let v_hat = v[i] / (1.0 - beta2.powf(update as f64));
                w[i] = w[i] * (1.0 - lr * decay) - lr * m_hat / (v_hat.sqrt() + eps);
            }
            // a first step with a small second moment moves by up to 10 lr / sqrt(v): a relative error there is that much of an absolute one
            outs.extend([(w, Tolerance { atol: 3e-6, rtol: 1e-6 }), (m, rounding(4)), (v, rounding(4))]);
        }
        outs
    }
    fn inputs(&mut self) -> Vec<&mut Vec<f32>> {
        self.parameters.iter_mut().flat_map(|(p, _)| p.iter_mut()).collect()
    }
}

#[test]
fn adamw() {
    check(cases());
}

#[test]
fn a_part_of_a_parameter_is_updated_as_in_the_whole() {
    fn run<B: Backend>(b: &B, at: usize, n: usize) -> Vec<f32> {
        let values = |scale: f32| (0..40_000).map(|i| scale * (i as f32).sin()).collect::<Vec<_>>();
        let (mut w, g) = (Floats::new(b, &values(1.0)), Floats::new(b, &values(0.3)));
        let [mut m, mut v] = [(); 2].map(|()| Floats::new(b, &vec![0.0; n]));
        let step = AdamwStep { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.1, update: 1, grad_scale: 1.0 };
        b.adamw_step(&mut [AdamwUpdate { w: &mut w.buf, m: &mut m.buf, v: &mut v.buf, g: &g.buf, at, n, lr: 0.1 }], step).unwrap();
        w.read(b)
    }
    let b = &cpus()[0];
    let (whole, untouched) = (run(b, 0, 40_000), run(b, 0, 0));
    for (at, n) in [(0, 7), (3, 20_000), (39_999, 1)] {
        let want = [&untouched[..at], &whole[at..at + n], &untouched[at + n..]].concat();
        assert!(run(b, at, n) == want, "{n} elements from {at} on");
        // the first update divides by a gradient's own size, which for a small one is a few roundings
        let tolerance = Tolerance { atol: 3e-6, rtol: 1e-6 };
        on_emulator(|emulator| within("w", &run(emulator.with(0, Precision::F32), at, n), &f64s(&want), tolerance).unwrap());
    }
}

#[test]
fn first_update_moves_by_the_learning_rate() {
    // with zero moments, bias correction makes the first update lr * sign(g)
    let b = &cpus()[2];
    let [mut w, mut m, mut v] = [(); 3].map(|()| Floats::new(b, &[0.0; 3]));
    let g = Floats::new(b, &[0.5, -2.0, 1e-3]);
    let step = AdamwStep { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.1, update: 1, grad_scale: 1.0 };
    b.adamw_step(&mut [AdamwUpdate { w: &mut w.buf, m: &mut m.buf, v: &mut v.buf, g: &g.buf, at: 0, n: 3, lr: 0.1 }], step).unwrap();
    // eps against sqrt(v) = 1e-3 is 1e-5
    within("w", &w.read(b), &[-0.1, 0.1, -0.1], Tolerance { atol: 0.0, rtol: 2e-5 }).unwrap();
}
