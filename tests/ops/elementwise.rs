//! Fill, copy, add, sum of squares.

use crate::common::*;
use crate::emulator::on_emulator;
use bowline::backend::{Backend, Memory};
use bowline::cuda::Precision;

#[derive(Clone)]
struct Elementwise {
    x: Vec<f32>,
    before: Vec<f32>,
}

fn cases() -> Vec<Elementwise> {
    let mut rng = Rng(1);
    // around the lanes of a vector and the block of a task
    [0, 1, 15, 16, 17, 1000, 16384, 16385, 50_000].map(|n| Elementwise { x: rng.values(n), before: rng.values(n) }).to_vec()
}

impl Case for Elementwise {
    fn label(&self) -> String {
        format!("elementwise n={}", self.x.len())
    }
    fn run<B: Backend>(&self, b: &B) -> Vec<Out> {
        let n = self.x.len();
        let x = Floats::new(b, &self.x);
        let [mut filled, mut copied, mut added] = [(); 3].map(|()| Floats::new(b, &self.before));
        b.fill(&mut filled.buf, 2.5, n).unwrap();
        b.copy(&mut copied.buf, &x.buf, n).unwrap();
        b.add(&mut added.buf, &x.buf, n).unwrap();
        vec![out("fill", filled.read(b)), out("copy", copied.read(b)), out("add", added.read(b))]
    }
    fn reference(&self) -> Vec<(Vec<f64>, Tolerance)> {
        // one f32 addition is exact to half a unit: the f32 sum is the reference
        let sum: Vec<f32> = self.x.iter().zip(&self.before).map(|(a, b)| a + b).collect();
        vec![(vec![2.5; self.x.len()], EXACT), (f64s(&self.x), EXACT), (f64s(&sum), EXACT)]
    }
    fn inputs(&mut self) -> Vec<&mut Vec<f32>> {
        vec![&mut self.x]
    }
}

#[test]
fn elementwise() {
    check(cases());
}

#[test]
fn sum_squares() {
    for case in cases() {
        let n = case.x.len();
        let sums: Vec<f64> = cpus().iter().map(|b| b.sum_squares(&Floats::new(b, &case.x).buf, 0, n).unwrap()).collect();
        let want: f64 = case.x.iter().map(|&v| v as f64 * v as f64).sum();
        // the same f64 terms in another order
        assert!((sums[0] - want).abs() <= 1e-13 * want, "n={n}: got {}, want {want}", sums[0]);
        assert!(sums.iter().all(|sum| sum.to_bits() == sums[0].to_bits()), "n={n}: bits differ between thread counts");
    }
    let b = &cpus()[0];
    assert_eq!(b.sum_squares(&Floats::new(b, &[7.0, 1.0, 2.0, 9.0]).buf, 1, 2).unwrap(), 5.0, "from a place on");
    on_emulator(|emulator| {
        let b = emulator.with(0, Precision::F32);
        assert_eq!(b.sum_squares(&Floats::new(b, &[7.0, 1.0, 2.0, 9.0]).buf, 1, 2).unwrap(), 5.0, "from a place on");
    });
    assert!(b.sum_squares(&Floats::new(b, &[1.0, f32::NAN]).buf, 0, 2).unwrap().is_nan());
}

#[test]
fn copies_between_host_and_device() {
    for b in cpus() {
        let mut x = b.zeros(5).unwrap();
        b.upload(&mut x, &[1.0, 2.0]).unwrap();
        let mut back = [9.0; 4];
        b.download(&mut back, &x).unwrap();
        assert_eq!(back, [1.0, 2.0, 0.0, 0.0]);
        let mut ids = b.zeros_i32(3).unwrap();
        b.upload_i32(&mut ids, &[-7]).unwrap();
        let mut back = [9; 2];
        b.download_i32(&mut back, &ids).unwrap();
        assert_eq!(back, [-7, 0]);
    }
}
