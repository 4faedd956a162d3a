//! SwiGLU with combine weights.

use crate::common::*;
use bowline::backend::Backend;

#[derive(Clone)]
struct Swiglu {
    t: usize,
    k: usize,
    e: usize,
    f: usize,
    ids: Vec<i32>,
    gate_up: Vec<f32>,
    weights: Vec<f32>,
    d_act: Vec<f32>,
}

fn cases() -> Vec<Swiglu> {
    let mut rng = Rng(15);
    // (T, K, E, F, hot): empty, one element, typical, odd width, K = E, all tokens on one expert
    [(0, 2, 4, 8, None), (1, 1, 1, 1, None), (100, 4, 16, 96, None), (37, 2, 3, 33, None), (20, 5, 5, 16, None), (300, 1, 8, 17, Some(7))]
        .map(|(t, k, e, f, hot)| {
            let n = t * k;
            Swiglu {
                t,
                k,
                e,
                f,
                ids: random_ids(&mut rng, t, k, e, hot),
                gate_up: rng.values(n * 2 * f).iter().map(|v| 4.0 * v).collect(),
                weights: rng.values(n),
                d_act: rng.values(n * f),
            }
        })
        .to_vec()
}

impl Swiglu {
    fn silu(x: f64) -> f64 {
        x / (1.0 + (-x).exp())
    }

    fn forward(&self, gate_up: &[f64], weights: &[f64]) -> Vec<f64> {
        let (f, slots) = (self.f, slots_by_expert(&self.ids));
        let at = |r: usize, i: usize| weights[slots[r]] * Self::silu(gate_up[r * 2 * f + i]) * gate_up[r * 2 * f + f + i];
        (0..slots.len()).flat_map(|r| (0..f).map(move |i| (r, i))).map(|(r, i)| at(r, i)).collect()
    }
}

impl Case for Swiglu {
    fn label(&self) -> String {
        format!("swiglu T={} K={} E={} F={}", self.t, self.k, self.e, self.f)
    }
    fn run<B: Backend>(&self, b: &B) -> Vec<Out> {
        let (n, f) = (self.t * self.k, self.f);
        let plan = make_plan(b, &self.ids, self.k, self.e);
        // the latter two are overwritten in place
        let [weights, mut d_act, mut gate_up] = [&self.weights, &self.d_act, &self.gate_up].map(|v| Floats::new(b, v));
        let [mut act, mut d_weights] = [n * f, n].map(|len| Floats::new(b, &vec![8.0; len]));
        b.swiglu_forward(&mut act.buf, &gate_up.buf, &weights.buf, &plan, n, f).unwrap();
        b.swiglu_backward(&mut d_act.buf, &mut gate_up.buf, &mut d_weights.buf, &weights.buf, &plan, n, f).unwrap();
        let names = ["act", "act again", "d_gate_up", "d_combine_weights"];
        names.into_iter().zip([act, d_act, gate_up, d_weights]).map(|(name, x)| out(name, x.read(b))).collect()
    }
    fn reference(&self) -> Vec<(Vec<f64>, Tolerance)> {
        let f = self.f;
        let (gate_up, weights, d_act) = (f64s(&self.gate_up), f64s(&self.weights), f64s(&self.d_act));
        let act = self.forward(&gate_up, &weights);
        let (mut d_gate_up, mut d_weights) = (vec![0.0; gate_up.len()], vec![0.0; weights.len()]);
        for (r, slot) in slots_by_expert(&self.ids).into_iter().enumerate() {
            for i in 0..f {
                let (g, u, d) = (gate_up[r * 2 * f + i], gate_up[r * 2 * f + f + i], d_act[r * f + i]);
                let s = 1.0 / (1.0 + (-g).exp());
                d_gate_up[r * 2 * f + i] = weights[slot] * d * u * (s + g * s * (1.0 - s));
                d_gate_up[r * 2 * f + f + i] = weights[slot] * d * g * s;
                d_weights[slot] += d * g * s * u;
            }
        }
        // products of numbers up to 16
        vec![(act.clone(), rounding(16)), (act, rounding(16)), (d_gate_up, rounding(16)), (d_weights, rounding(16 * f))]
    }
    fn inputs(&mut self) -> Vec<&mut Vec<f32>> {
        vec![&mut self.gate_up, &mut self.weights, &mut self.d_act]
    }
}

#[test]
fn swiglu() {
    check(cases());
}

#[test]
fn gradients() {
    for case in cases() {
        let outs = case.run(&cpus()[1]);
        let (gate_up, weights) = (f64s(&case.gate_up), f64s(&case.weights));
        let (label, tolerance) = (case.label(), rounding(16 * case.f)); // as for the values
        check_gradient(&format!("{label} gate_up"), &case.gate_up, &outs[2].values, tolerance, |x| {
            dot(&case.forward(x, &weights), &case.d_act)
        });
        check_gradient(&format!("{label} weights"), &case.weights, &outs[3].values, tolerance, |w| {
            dot(&case.forward(&gate_up, w), &case.d_act)
        });
    }
}

#[test]
fn far_gates_are_zero_or_linear() {
    let case = Swiglu {
        t: 1,
        k: 1,
        e: 1,
        f: 4,
        ids: vec![0],
        gate_up: vec![-200.0, -90.0, 100.0, 3e4, 1.0, 1.0, 1.0, 1.0],
        weights: vec![1.0],
        d_act: vec![1.0; 4],
    };
    let outs = case.run(&cpus()[0]);
    within("act", &outs[0].values, &[0.0, 0.0, 100.0, 3e4], Tolerance { atol: 1e-30, rtol: 0.0 }).unwrap();
    within("d_gate_up", &outs[2].values[..4], &[0.0, 0.0, 1.0, 1.0], Tolerance { atol: 1e-30, rtol: 0.0 }).unwrap();
}
