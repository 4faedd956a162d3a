//! Linear maps of row ranges by their expert.

use crate::common::*;
use bowline::backend::Backend;
use bowline::cuda::Precision;

#[derive(Clone)]
struct Grouped {
    precision: Precision,
    o: usize,
    i: usize,
    counts: Vec<usize>,
    x: Vec<f32>,
    w: Vec<f32>,
    d_out: Vec<f32>,
    before_w: Vec<f32>,
}

fn cases(precision: Precision) -> Vec<Grouped> {
    let mut rng = Rng(14);
    // rows of each expert, O, I: no rows, one expert, empty experts first, between and last, all rows on one expert, typical
    [
        (vec![0, 0, 0], 3, 5),
        (vec![1], 1, 1),
        (vec![70], 33, 17),
        (vec![3, 0, 129, 0, 1, 0], 20, 65),
        (vec![300, 0, 0, 0], 64, 40),
        (vec![130, 100, 7, 140, 60, 75, 128, 1], 96, 64),
        (vec![2; 64], 16, 24),
    ]
    .map(|(counts, o, i)| {
        let (n, e) = (counts.iter().sum::<usize>(), counts.len());
        Grouped {
            precision,
            o,
            i,
            counts,
            x: rng.values(n * i),
            w: rng.values(e * o * i),
            d_out: rng.values(n * o),
            before_w: rng.values(e * o * i),
        }
    })
    .to_vec()
}

impl Grouped {
    fn rows(&self) -> usize {
        self.counts.iter().sum()
    }

    fn experts(&self) -> Vec<usize> {
        self.counts.iter().enumerate().flat_map(|(e, &count)| std::iter::repeat_n(e, count)).collect()
    }

    fn forward(&self, x: &[f64], w: &[f64]) -> Vec<f64> {
        let (o, i) = (self.o, self.i);
        let row = |(r, e): (usize, usize)| (0..o).map(move |q| (0..i).map(|c| x[r * i + c] * w[(e * o + q) * i + c]).sum::<f64>());
        self.experts().into_iter().enumerate().flat_map(row).collect()
    }
}

impl Case for Grouped {
    fn label(&self) -> String {
        format!("grouped_linear {:?} rows {:?} O={} I={}", self.precision, self.counts, self.o, self.i)
    }
    fn run<B: Backend>(&self, b: &B) -> Vec<Out> {
        let (n, e, o, i) = (self.rows(), self.counts.len(), self.o, self.i);
        let mut offsets = vec![0];
        for &count in &self.counts {
            offsets.push(offsets[offsets.len() - 1] + count as i32);
        }
        let offsets = Ints::new(b, &offsets).buf;
        let [x, w, d_out] = [&self.x, &self.w, &self.d_out].map(|v| Floats::new(b, v));
        let [mut y, mut d_x] = [n * o, n * i].map(|len| Floats::new(b, &vec![6.0; len]));
        let mut d_w = Floats::new(b, &self.before_w);
        b.grouped_linear_forward(&mut y.buf, &x.buf, &w.buf, &offsets, e, o, i).unwrap();
        b.grouped_linear_backward_input(&mut d_x.buf, &d_out.buf, &w.buf, &offsets, e, o, i).unwrap();
        b.grouped_linear_backward_weight(&mut d_w.buf, &d_out.buf, &x.buf, &offsets, e, o, i).unwrap();
        vec![out("out", y.read(b)), out("d_x", d_x.read(b)), out("d_w", d_w.read(b))]
    }
    fn reference(&self) -> Vec<(Vec<f64>, Tolerance)> {
        let (o, i) = (self.o, self.i);
        let [x, w, d_out] = [&self.x, &self.w, &self.d_out].map(|v| factors(v, self.precision));
        let (mut d_x, mut d_w) = (vec![0.0; x.len()], f64s(&self.before_w));
        for (r, e) in self.experts().into_iter().enumerate() {
            for (q, c) in (0..o).flat_map(|q| (0..i).map(move |c| (q, c))) {
                d_x[r * i + c] += d_out[r * o + q] * w[(e * o + q) * i + c];
                d_w[(e * o + q) * i + c] += d_out[r * o + q] * x[r * i + c];
            }
        }
        vec![(self.forward(&x, &w), rounding(i)), (d_x, rounding(o)), (d_w, rounding(self.rows()))]
    }
    fn inputs(&mut self) -> Vec<&mut Vec<f32>> {
        // the first element of `w` is read when the first expert has rows
        if self.counts[0] == 0 { Vec::new() } else { vec![&mut self.x, &mut self.w, &mut self.d_out] }
    }
}

#[test]
fn grouped_linear() {
    check(cases(Precision::F32));
}

#[test]
fn grouped_linear_in_bf16() {
    check_products(cases(Precision::Bf16));
}

#[test]
fn gradients() {
    for case in cases(Precision::F32).into_iter().filter(|case| case.rows() > 0) {
        let case = Grouped { before_w: vec![0.0; case.w.len()], ..case };
        let outs = case.run(&cpus()[1]);
        let (x, w) = (f64s(&case.x), f64s(&case.w));
        // f32 rounding of the sums; the loss is linear in each, so differences are exact but for f64 rounding
        check_gradient(&format!("{} x", case.label()), &case.x, &outs[1].values, rounding(case.o.max(16)), |x| {
            dot(&case.forward(x, &w), &case.d_out)
        });
        let tolerance = rounding(case.rows().max(16));
        check_gradient(&format!("{} w", case.label()), &case.w, &outs[2].values, tolerance, |w| dot(&case.forward(&x, w), &case.d_out));
    }
}

#[test]
fn an_expert_without_rows_keeps_its_gradient() {
    for case in cases(Precision::F32) {
        let d_w = &case.run(&cpus()[1])[2].values;
        let size = case.o * case.i;
        for (e, _) in case.counts.iter().enumerate().filter(|&(_, &count)| count == 0) {
            assert_eq!(d_w[e * size..][..size], case.before_w[e * size..][..size], "{} expert {e}", case.label());
        }
    }
}
