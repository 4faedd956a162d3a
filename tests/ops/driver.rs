//! What a case of an op is, and running it on every backend.

use std::sync::OnceLock;

use bowline::backend::Backend;
use bowline::cpu::Cpu;
use bowline::cuda::Precision;

use crate::common::{Tolerance, within};
use crate::emulator::on_emulator;

/// One output of an op.
pub struct Out {
    pub name: &'static str,
    pub values: Vec<f32>,
}

pub fn out(name: &'static str, values: Vec<f32>) -> Out {
    Out { name, values }
}

/// One case of an op.
pub trait Case: Clone {
    fn label(&self) -> String;
    /// Runs the op on guarded buffers and returns its outputs.
    fn run<B: Backend>(&self, b: &B) -> Vec<Out>;
    /// The same outputs in f64, each with its tolerance.
    fn reference(&self) -> Vec<(Vec<f64>, Tolerance)>;
    /// Inputs where a NaN in the first element must reach an output.
    fn inputs(&mut self) -> Vec<&mut Vec<f32>>;
}

/// CPU backends with 1, 2 and 3 threads.
pub fn cpus() -> &'static [Cpu] {
    static CPUS: OnceLock<Vec<Cpu>> = OnceLock::new();
    CPUS.get_or_init(|| (1..=3).map(|threads| Cpu::new(threads).unwrap()).collect())
}

/// Runs the cases on every backend: with several numbers of threads on the CPU, in several orders of execution on the emulated GPU.
pub fn check<C: Case>(cases: Vec<C>) {
    check_on(cpus().len(), |i| &cpus()[i], &cases, true);
    check_emulated(Precision::F32, cases);
}

/// Runs the cases on the emulated GPU only. NaN is left out under the checker, which looks at accesses and not at values.
pub fn check_emulated<C: Case>(precision: Precision, cases: Vec<C>) {
    on_emulator(|emulator| {
        check_on(emulator.seeds(precision), |seed| emulator.with(seed, precision), &cases, !emulator.is_checked);
    });
}

/// Runs the cases in bf16, by either kind of products on tensor cores.
pub fn check_products<C: Case>(cases: Vec<C>) {
    check_emulated(Precision::Bf16, cases.clone());
    on_emulator(|emulator| {
        check_on(emulator.seeds(Precision::Bf16), |seed| emulator.with_wgmma(seed), &cases, !emulator.is_checked);
    });
}

/// Runs the cases `runs` times, the i-th on `backend(i)`: values, equal bits between the runs, and NaN in each input if that is asked for.
fn check_on<'b, C: Case, B: Backend>(runs: usize, backend: impl Fn(usize) -> &'b B, cases: &[C], is_spoiled: bool) {
    for case in cases {
        let label = format!("{} on {}", case.label(), std::any::type_name::<B>());
        let want = case.reference();
        let first = case.run(backend(0));
        compare(&label, &first, &want).unwrap();
        for i in 1..runs {
            for (a, b) in first.iter().zip(case.run(backend(i))) {
                let same = a.values.iter().zip(&b.values).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{label}: {} has other bits in run {i}", a.name);
            }
        }
        let inputs = if is_spoiled { case.clone().inputs().len() } else { 0 };
        for i in 0..inputs {
            let mut spoiled = case.clone();
            let Some(slot) = spoiled.inputs().into_iter().nth(i).and_then(|input| input.first_mut()) else {
                continue;
            };
            *slot = f32::NAN;
            let result = compare(&label, &spoiled.run(backend(0)), &want);
            assert!(result.is_err(), "{label}: NaN in input {i} does not show in any output");
        }
    }
}

fn compare(label: &str, got: &[Out], want: &[(Vec<f64>, Tolerance)]) -> Result<(), String> {
    assert_eq!(got.len(), want.len(), "{label}: outputs");
    got.iter().zip(want).try_for_each(|(got, (want, tolerance))| within(&format!("{label} {}", got.name), &got.values, want, *tolerance))
}
