//! Linear.

use crate::common::*;
use crate::emulator::on_emulator;
use bowline::backend::Backend;
use bowline::cuda::{Cuda, Precision};

#[derive(Clone)]
struct Linear {
    precision: Precision,
    rows: usize,
    o: usize,
    i: usize,
    x: Vec<f32>,
    w: Vec<f32>,
    d_out: Vec<f32>,
    before_x: Vec<f32>,
    before_w: Vec<f32>,
}

fn cases(precision: Precision) -> Vec<Linear> {
    let mut rng = Rng(4);
    // (R, O, I): empty, single, one row of generation, odd sizes, tiles that do not divide, few outputs with many rows, a router
    [(0, 5, 3), (1, 1, 1), (1, 300, 40), (300, 130, 70), (129, 257, 33), (700, 16, 24), (256, 128, 128), (33, 600, 512)]
        .map(|(rows, o, i)| Linear {
            precision,
            rows,
            o,
            i,
            x: rng.values(rows * i),
            w: rng.values(o * i),
            d_out: rng.values(rows * o),
            before_x: rng.values(rows * i),
            before_w: rng.values(o * i),
        })
        .to_vec()
}

impl Case for Linear {
    fn label(&self) -> String {
        format!("linear {:?} R={} O={} I={}", self.precision, self.rows, self.o, self.i)
    }
    fn run<B: Backend>(&self, b: &B) -> Vec<Out> {
        let Linear { rows, o, i, .. } = *self;
        let [x, w, d_out] = [&self.x, &self.w, &self.d_out].map(|v| Floats::new(b, v));
        let mut y = Floats::new(b, &vec![7.0; rows * o]);
        b.linear_forward(&mut y.buf, &x.buf, &w.buf, rows, o, i).unwrap();
        let [mut d_x, mut d_w] = [&self.before_x, &self.before_w].map(|v| Floats::new(b, v));
        b.linear_backward_input(&mut d_x.buf, &d_out.buf, &w.buf, rows, o, i).unwrap();
        b.linear_backward_weight(&mut d_w.buf, &d_out.buf, &x.buf, rows, o, i).unwrap();
        vec![out("out", y.read(b)), out("d_x", d_x.read(b)), out("d_w", d_w.read(b))]
    }
    fn reference(&self) -> Vec<(Vec<f64>, Tolerance)> {
        let Linear { rows, o, i, .. } = *self;
        let [x, w, d_out] = [&self.x, &self.w, &self.d_out].map(|v| factors(v, self.precision));
        let y = matmul(rows, o, i, |r, c| x[r * i + c], |c, q| w[q * i + c]);
        let mut d_x = matmul(rows, i, o, |r, q| d_out[r * o + q], |q, c| w[q * i + c]);
        let mut d_w = matmul(o, i, rows, |q, r| d_out[r * o + q], |r, c| x[r * i + c]);
        d_x.iter_mut().zip(&self.before_x).for_each(|(d, &v)| *d += v as f64);
        d_w.iter_mut().zip(&self.before_w).for_each(|(d, &v)| *d += v as f64);
        vec![(y, rounding(i)), (d_x, rounding(o)), (d_w, rounding(rows))]
    }
    fn inputs(&mut self) -> Vec<&mut Vec<f32>> {
        if self.rows == 0 { Vec::new() } else { vec![&mut self.x, &mut self.w, &mut self.d_out] }
    }
}

#[test]
fn linear() {
    check(cases(Precision::F32));
}

#[test]
fn linear_in_bf16() {
    check_products(cases(Precision::Bf16));
}

#[test]
fn a_router_is_linear_in_f32() {
    let case = &cases(Precision::F32)[3];
    let Linear { rows, o, i, .. } = *case;
    let run = |b: &Cuda| {
        let [x, w, d_out] = [&case.x, &case.w, &case.d_out].map(|v| Floats::new(b, v));
        let mut y = Floats::new(b, &vec![7.0; rows * o]);
        b.router_linear_forward(&mut y.buf, &x.buf, &w.buf, rows, o, i).unwrap();
        let [mut d_x, mut d_w] = [&case.before_x, &case.before_w].map(|v| Floats::new(b, v));
        b.router_linear_backward_input(&mut d_x.buf, &d_out.buf, &w.buf, rows, o, i).unwrap();
        b.router_linear_backward_weight(&mut d_w.buf, &d_out.buf, &x.buf, rows, o, i).unwrap();
        [y, d_x, d_w].map(|v| v.read(b))
    };
    on_emulator(|emulator| {
        let got = run(emulator.with_wgmma(0));
        for (out, got) in case.run(emulator.with(0, Precision::F32)).iter().zip(got) {
            assert_eq!(out.values, got, "{}", out.name);
        }
    });
}

#[test]
fn gradients() {
    for case in cases(Precision::F32).into_iter().filter(|case| case.rows > 0 && case.rows * case.o * case.i < 1_000_000) {
        let case = Linear { before_x: vec![0.0; case.x.len()], before_w: vec![0.0; case.w.len()], ..case };
        let Linear { rows, o, i, .. } = case;
        let outs = case.run(&cpus()[1]);
        let loss = |x: &[f64], w: &[f64]| dot(&matmul(rows, o, i, |r, c| x[r * i + c], |c, q| w[q * i + c]), &case.d_out);
        let (x, w) = (f64s(&case.x), f64s(&case.w));
        // f32 rounding of the sums; the loss is linear in each, so differences are exact but for f64 rounding
        check_gradient(&format!("{} x", case.label()), &case.x, &outs[1].values, rounding(o.max(4)), |x| loss(x, &w));
        check_gradient(&format!("{} w", case.label()), &case.w, &outs[2].values, rounding(rows.max(4)), |w| loss(&x, w));
    }
}
