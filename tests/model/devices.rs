//! Training, writing and scoring on the emulated GPU: equal to the bit with itself, and within rounding with the CPU.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bowline::backend::Backend;
use bowline::cpu::Cpu;
use bowline::cuda::Precision;
use bowline::data::Watch;
use bowline::error::Error;
use bowline::layout::Layout;
use bowline::model::Model;
use bowline::score::{Pair, Score, score_pairs};
use bowline::train::{StepReport, Trainer};

use crate::common::*;

const MICRO: Micro = Micro { accumulation: 2, ..OLMOE };

fn steps<B: Backend>(trainer: &mut Trainer<B>, micro: &Micro, range: std::ops::Range<u64>) -> Vec<StepReport> {
    let batch = micro.batch * micro.accumulation;
    range.map(|i| unwatched(|w| trainer.step_tokens(&micro.windows(i, batch), w)).expect("step")).collect()
}

fn on<B: Backend>(backend: B, micro: &Micro) -> Trainer<B> {
    Trainer::new(backend, micro.plan()).expect("memory")
}

/// Runs `range` from a checkpoint, if there is one, and saves.
fn run<B: Backend>(backend: B, micro: &Micro, from: Option<&Path>, range: std::ops::Range<u64>, to: &Path) {
    let mut trainer = on(backend, micro);
    if let Some(from) = from {
        trainer.load(from).expect("load");
    }
    steps(&mut trainer, micro, range);
    trainer.save(to).expect("save");
}

fn cpu() -> Cpu {
    Cpu::new(1).expect("a thread")
}

/// All weights of a checkpoint of `micro`.
fn weights(micro: &Micro, folder: &Path) -> Vec<f32> {
    let mut trainer = on(cpu(), micro);
    trainer.load_weights(folder).expect("load");
    trainer.model().weights.concat()
}

/// Distance of two lists, relative to the length of the second.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    squares(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b))) / squares(&mut b.iter().map(|&b| f64::from(b)))
}

#[test]
fn a_run_on_the_emulated_gpu_goes_on_to_the_bit() {
    let dir = tempfile::tempdir().expect("temp");
    let at = |name: &str| dir.path().join(name);
    let Some(first) = emulated(Precision::F32) else { return };
    let device = || emulated(Precision::F32).expect("opened before");
    run(first, &MICRO, None, 0..4, &at("whole"));
    run(device(), &MICRO, None, 0..2, &at("half"));
    run(device(), &MICRO, Some(&at("half")), 2..4, &at("rest"));
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let read = |name: &str| std::fs::read(at(name).join(file)).expect("saved");
        assert!(read("whole") == read("rest"), "the bits of {file} differ");
    }
}

#[test]
fn a_checkpoint_of_one_device_goes_on_on_another_within_rounding() {
    let dir = tempfile::tempdir().expect("temp");
    let at = |name: &str| dir.path().join(name);
    for micro in [MICRO, Micro { accumulation: 2, ..LORA }, Micro { accumulation: 2, ..MIXED }] {
        let Some(first) = emulated(Precision::F32) else { return };
        let device = || emulated(Precision::F32).expect("opened before");
        run(cpu(), &micro, None, 0..4, &at("cpu"));
        run(first, &micro, None, 0..2, &at("half on the gpu"));
        run(cpu(), &micro, Some(&at("half on the gpu")), 2..4, &at("gpu then cpu"));
        run(cpu(), &micro, None, 0..2, &at("half on the cpu"));
        run(device(), &micro, Some(&at("half on the cpu")), 2..4, &at("cpu then gpu"));
        let want = weights(&micro, &at("cpu"));
        let moved = distance(&weights(&micro, &at("half on the cpu")), &want);
        for mixed in ["gpu then cpu", "cpu then gpu"] {
            // Other sums round otherwise, by 1e-7 a step, which Newton-Schulz multiplies; two steps move the weights by over 1e-3.
            let got = distance(&weights(&micro, &at(mixed)), &want);
            assert!(got <= 1e-5 && moved > 100.0 * got, "{mixed}: {got}, moved {moved}");
        }
        for name in ["cpu", "half on the gpu", "gpu then cpu", "half on the cpu", "cpu then gpu"] {
            std::fs::remove_dir_all(at(name)).expect("remove");
        }
    }
}

#[test]
fn a_step_that_is_cancelled_on_the_emulated_gpu_changes_nothing() {
    let Some(device) = emulated(Precision::F32) else { return };
    let mut trainer = on(device, &MICRO);
    steps(&mut trainer, &MICRO, 0..1);
    let before = trainer.read("experts.0.down", false).expect("weights");
    let cancel = Arc::new(AtomicBool::new(true));
    let result = trainer.step_tokens(&MICRO.windows(1, 4), &Watch::new(&|_| {}, &cancel));
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    assert!(trainer.read("experts.0.down", false).expect("weights") == before);
    assert_eq!(steps(&mut trainer, &MICRO, 1..2)[0].step, 2);
}

#[test]
fn evaluation_and_the_cache_of_keys_and_values_are_the_same_on_either_device() {
    for micro in [OLMOE, QWEN3, VANILLA, LORA, MIXED] {
        let Some(device) = emulated(Precision::F32) else { return };
        let (mut here, mut there) = (on(cpu(), &micro), on(device, &micro));
        let windows = micro.windows(3, 2 * micro.batch + 1);
        let evaluated = |report: Result<_, _>| -> bowline::train::EvalReport { report.expect("evaluate") };
        let want = evaluated(unwatched(|w| here.evaluate_tokens(&windows, w)));
        let got = evaluated(unwatched(|w| there.evaluate_tokens(&windows, w)));
        assert!((got.loss - want.loss).abs() <= 1e-5 * want.loss, "{} and {}", got.loss, want.loss);
        assert_eq!((got.tokens, got.routers.agreement), (want.tokens, want.routers.agreement));
        let tokens = micro.windows(5, 2);
        let (got, want) = (there.logits(&tokens).expect("logits"), here.logits(&tokens).expect("logits"));
        let largest = want.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            assert!((got - want).abs() <= 1e-5 * largest, "logit {i}: {got} and {want}, the largest is {largest}");
        }
    }
}

/// Scores by a fresh model of `micro`, and how often the model ran.
fn scored<B: Backend>(backend: B, micro: &Micro, pairs: &[Pair]) -> (Vec<Score>, usize) {
    let plan = micro.plan();
    let model = Model::new(&backend, Layout::new(&plan).expect("checked"), plan.seed).expect("memory");
    unwatched(|w| score_pairs(&model, &backend.lanes().expect("lanes"), pairs, w)).expect("scores")
}

#[test]
fn scores_are_the_same_on_either_device() {
    let Some(device) = emulated(Precision::F32) else { return };
    let tokens = QWEN3.windows(9, 40);
    let pair = |context: usize, continuation: usize| Pair {
        context: tokens[..context].to_vec(),
        continuation: tokens[context..context + continuation].to_vec(),
    };
    let pairs = [pair(1, 1), pair(5, 9), pair(5, 3), pair(120, 20), pair(3, 140)];
    let ((got, read), (want, tokens)) = (scored(device, &QWEN3, &pairs), scored(cpu(), &QWEN3, &pairs));
    assert_eq!(read, tokens);
    for (got, want) in got.iter().zip(&want) {
        let (got, is_greedy) = (got.log_likelihood, got.is_greedy == want.is_greedy);
        assert!(is_greedy && (got - want.log_likelihood).abs() <= 1e-5 * want.log_likelihood.abs(), "{got} and {want:?}");
    }
}
