//! Clamp.

use crate::common::*;
use bowline::backend::Backend;

const LIMIT: f32 = 0.5;

#[derive(Clone)]
struct Clamp {
    x: Vec<f32>,
    d: Vec<f32>,
}

fn cases() -> Vec<Clamp> {
    let mut rng = Rng(5);
    let mut cases = [0, 1, 17, 16_400].map(|n| Clamp { x: rng.values(n), d: rng.values(n) }).to_vec();
    // the limits themselves stay and pass their gradient; infinities are clamped
    let edge = vec![LIMIT, -LIMIT, LIMIT + 1e-6, -LIMIT - 1e-6, f32::INFINITY, f32::NEG_INFINITY, 0.0];
    cases.push(Clamp { d: rng.values(edge.len()), x: edge });
    cases
}

impl Case for Clamp {
    fn label(&self) -> String {
        format!("clamp n={}", self.x.len())
    }
    fn run<B: Backend>(&self, b: &B) -> Vec<Out> {
        let n = self.x.len();
        let [mut x, mut d] = [&self.x, &self.d].map(|v| Floats::new(b, v));
        b.clamp_backward(&mut d.buf, &x.buf, LIMIT, n).unwrap();
        b.clamp_forward(&mut x.buf, LIMIT, n).unwrap();
        vec![out("x", x.read(b)), out("d_x", d.read(b))]
    }
    fn reference(&self) -> Vec<(Vec<f64>, Tolerance)> {
        let limit = LIMIT as f64;
        let x = self.x.iter().map(|&v| (v as f64).clamp(-limit, limit)).collect();
        let d = self.x.iter().zip(&self.d).map(|(x, &d)| if x.abs() > LIMIT { 0.0 } else { d as f64 }).collect();
        vec![(x, EXACT), (d, EXACT)]
    }
    fn inputs(&mut self) -> Vec<&mut Vec<f32>> {
        vec![&mut self.x]
    }
}

#[test]
fn clamp() {
    check(cases());
}

#[test]
fn gradients() {
    let b = &cpus()[1];
    // Away from the limits, where the clamp has no derivative.
    let is_smooth = |x: &f32| (x.abs() - LIMIT).abs() > 1e-3 && x.is_finite();
    for case in cases() {
        let (x, d): (Vec<f32>, Vec<f32>) = case.x.iter().zip(&case.d).filter(|(x, _)| is_smooth(x)).unzip();
        let mut d_x = Floats::new(b, &d);
        b.clamp_backward(&mut d_x.buf, &Floats::new(b, &x).buf, LIMIT, x.len()).unwrap();
        check_gradient(&case.label(), &x, &d_x.read(b), rounding(1), |x| {
            let y: Vec<f64> = x.iter().map(|v| v.clamp(-LIMIT as f64, LIMIT as f64)).collect();
            dot(&y, &d)
        });
    }
}
