//! Rotary position embedding.

use crate::common::*;
use bowline::backend::Backend;

const THETA: f32 = 10_000.0;

#[derive(Clone)]
struct Rope {
    batch: usize,
    seq: usize,
    heads: usize,
    p: usize,
    start: usize,
    x: Vec<f32>,
}

fn cases() -> Vec<Rope> {
    let mut rng = Rng(6);
    // (B, S, heads, P, start): empty, one pair, blocks of rows that cross sequences, a late position of generation
    [(0, 4, 1, 2, 0), (1, 1, 1, 2, 0), (2, 45, 3, 32, 0), (3, 33, 1, 64, 0), (1, 1, 4, 128, 3000), (1, 70, 2, 6, 5)]
        .map(|(batch, seq, heads, p, start)| Rope { batch, seq, heads, p, start, x: rng.values(batch * seq * heads * p) })
        .to_vec()
}

impl Rope {
    /// Rotation by `sign` times the angle. The angle is an f32 product, as in PyTorch: its rounding is part of the model.
    fn rotate(&self, sign: f64) -> Vec<f64> {
        self.rotate_values(&f64s(&self.x), sign)
    }
    fn rotate_values(&self, x: &[f64], sign: f64) -> Vec<f64> {
        let half = self.p / 2;
        let mut y = x.to_vec();
        for (row, head) in y.chunks_exact_mut(self.p).enumerate() {
            let pos = self.start + row / self.heads % self.seq;
            for j in 0..half {
                let frequency = 1.0f32 / (THETA as f64).powf((2 * j) as f64 / self.p as f64) as f32;
                let angle = (pos as f32 * frequency) as f64;
                let (sin, cos) = (sign * angle.sin(), angle.cos());
                let (a, b) = (head[j], head[j + half]);
                head[j] = a * cos - b * sin;
                head[j + half] = b * cos + a * sin;
            }
        }
        y
    }
}

impl Case for Rope {
    fn label(&self) -> String {
        format!("rope B={} S={} heads={} P={} start={}", self.batch, self.seq, self.heads, self.p, self.start)
    }
    fn run<B: Backend>(&self, b: &B) -> Vec<Out> {
        let Rope { batch, seq, heads, p, start, .. } = *self;
        let [mut x, mut d_x] = [(); 2].map(|()| Floats::new(b, &self.x));
        b.rope_forward(&mut x.buf, start, batch, seq, heads, p, THETA).unwrap();
        b.rope_backward(&mut d_x.buf, start, batch, seq, heads, p, THETA).unwrap();
        vec![out("x", x.read(b)), out("d_x", d_x.read(b))]
    }
    fn reference(&self) -> Vec<(Vec<f64>, Tolerance)> {
        // the gradient of a rotation is the rotation back
        vec![(self.rotate(1.0), rounding(2)), (self.rotate(-1.0), rounding(2))]
    }
    fn inputs(&mut self) -> Vec<&mut Vec<f32>> {
        vec![&mut self.x]
    }
}

#[test]
fn rope() {
    check(cases());
}

#[test]
fn backward_undoes_forward() {
    let b = &cpus()[1];
    for case in cases() {
        let Rope { batch, seq, heads, p, start, .. } = case;
        let mut x = Floats::new(b, &case.x);
        b.rope_forward(&mut x.buf, start, batch, seq, heads, p, THETA).unwrap();
        b.rope_backward(&mut x.buf, start, batch, seq, heads, p, THETA).unwrap();
        within(&case.label(), &x.read(b), &f64s(&case.x), rounding(4)).unwrap();
    }
}

#[test]
fn a_later_start_continues_the_sequence() {
    let (b, mut rng) = (&cpus()[0], Rng(7));
    let (seq, at, p) = (40, 13, 8);
    let x = rng.values(seq * p);
    let [mut whole, mut tail] = [&x[..], &x[at * p..]].map(|x| Floats::new(b, x));
    b.rope_forward(&mut whole.buf, 0, 1, seq, 1, p, THETA).unwrap();
    b.rope_forward(&mut tail.buf, at, 1, seq - at, 1, p, THETA).unwrap();
    assert_eq!(whole.read(b)[at * p..], tail.read(b));
}

#[test]
fn gradients() {
    let (b, mut rng) = (&cpus()[1], Rng(8));
    for case in cases() {
        let Rope { batch, seq, heads, p, start, .. } = case;
        let d_out = rng.values(case.x.len());
        let mut d_x = Floats::new(b, &d_out);
        b.rope_backward(&mut d_x.buf, start, batch, seq, heads, p, THETA).unwrap();
        check_gradient(&case.label(), &case.x, &d_x.read(b), rounding(2), |x| dot(&case.rotate_values(x, 1.0), &d_out));
    }
}
