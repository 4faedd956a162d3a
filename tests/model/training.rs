//! Steps, evaluation and checkpoints: what two runs must have in common, and how a step fails.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bowline::cpu::Cpu;
use bowline::data::Watch;
use bowline::error::Error;
use bowline::train::{StepReport, Trainer};

use crate::common::*;

const MICRO: Micro = Micro { accumulation: 2, ..OLMOE };

fn trainer(micro: &Micro, threads: usize) -> Trainer<Cpu> {
    Trainer::new(Cpu::new(threads).expect("threads"), micro.plan()).expect("memory")
}

fn steps(trainer: &mut Trainer<Cpu>, micro: &Micro, range: std::ops::Range<u64>) -> Vec<StepReport> {
    let batch = micro.batch * micro.accumulation;
    range.map(|i| unwatched(|w| trainer.step_tokens(&micro.windows(i, batch), w)).expect("step")).collect()
}

fn files(folder: &Path) -> [Vec<u8>; 2] {
    ["model.safetensors", "optimizer.safetensors"].map(|name| std::fs::read(folder.join(name)).expect("saved"))
}

#[test]
fn a_run_saved_and_loaded_goes_on_as_if_it_had_not_stopped() {
    let dir = tempfile::tempdir().expect("temp");
    for micro in [
        MICRO,
        Micro { optimizer: "adamw", ..MICRO },
        Micro { accumulation: 2, ..VANILLA },
        Micro { accumulation: 2, ..LORA },
        Micro { accumulation: 2, ..MIXED },
        Micro { batch: 1, ..MICRO }, // so few tokens that the embedding's gradient is kept by rows
    ] {
        let (straight, first, second) = (dir.path().join("straight"), dir.path().join("first"), dir.path().join("second"));
        let mut whole = trainer(&micro, 1);
        steps(&mut whole, &micro, 0..8);
        whole.save(&straight).expect("save");
        let mut half = trainer(&micro, 2);
        steps(&mut half, &micro, 0..3);
        half.save(&first).expect("save");
        let mut rest = trainer(&micro, 3);
        rest.load(&first).expect("load");
        let reports = steps(&mut rest, &micro, 3..8);
        assert_eq!(reports.last().map(|r| (r.step, r.tokens)), Some((8, 8 * 2 * micro.batch as u64 * 7)));
        rest.save(&second).expect("save");
        assert!(files(&straight) == files(&second), "the bits differ");
        for folder in [straight, first, second] {
            std::fs::remove_dir_all(folder).expect("remove");
        }
    }
}

#[test]
fn training_on_one_batch_learns_it() {
    let mut trainer = trainer(&Micro { accumulation: 1, ..OLMOE }, 0);
    let tokens = OLMOE.windows(1, OLMOE.batch);
    let losses: Vec<f64> = (0..20).map(|_| unwatched(|w| trainer.step_tokens(&tokens, w)).expect("step").lm_loss).collect();
    assert!((losses[0] - (VOCAB as f64).ln()).abs() < 0.7, "a fresh model knows nothing: {}", losses[0]);
    assert!(losses[19] < losses[0] - 0.3, "{losses:?}");
}

#[test]
fn a_model_without_experts_learns_too() {
    let micro = Micro { layers: 2, dense: &[0, 1], accumulation: 1, ..MIXED };
    let mut trainer = trainer(&micro, 0);
    let tokens = micro.windows(1, micro.batch);
    let reports: Vec<_> = (0..20).map(|_| unwatched(|w| trainer.step_tokens(&tokens, w)).expect("step")).collect();
    assert!(reports.iter().all(|r| r.loss == r.lm_loss && r.routers.entropy.is_nan()), "there is no router");
    assert!(reports[19].lm_loss < reports[0].lm_loss - 0.3, "{reports:?}");
}

#[test]
fn accumulation_is_the_mean_over_the_whole_batch() {
    let tokens = OLMOE.windows(3, 4);
    // Without router losses: those are means of micro-step products, which are not the product of means.
    let gradient = |batch, accumulation| {
        let mut json = Micro { batch, accumulation, ..OLMOE }.json();
        json["losses"]["balance"]["coefficient"] = 0.0.into();
        json["losses"]["z"]["coefficient"] = 0.0.into();
        let plan = bowline::plan::Plan::parse(&json.to_string()).expect("valid");
        let mut trainer = Trainer::new(Cpu::new(1).expect("threads"), plan).expect("memory");
        let report = unwatched(|w| trainer.step_tokens(&tokens, w)).expect("step");
        (report.lm_loss, trainer.read("experts.0.gate_up", true).expect("gradient"))
    };
    let ((loss, whole), (loss_parts, parts)) = (gradient(4, 1), gradient(1, 4));
    assert!((loss - loss_parts).abs() <= 1e-6, "{loss} and {loss_parts}");
    let largest = whole.iter().fold(0.0f32, |a, g| a.max(g.abs()));
    assert!(largest > 0.0);
    for (i, (a, b)) in whole.iter().zip(&parts).enumerate() {
        assert!((a - b).abs() <= 1e-5 * largest, "[{i}]: {a} and {b}");
    }
}

#[test]
fn evaluation_changes_nothing() {
    let tokens = MICRO.windows(8, MICRO.batch);
    let run = |evaluates: bool| {
        let mut trainer = trainer(&MICRO, 1);
        steps(&mut trainer, &MICRO, 0..1);
        if evaluates {
            let report = unwatched(|w| trainer.evaluate_tokens(&tokens, w)).expect("evaluate");
            assert_eq!(report.tokens, 14);
            assert!(report.bits_per_byte.is_nan(), "the bytes of bare tokens are unknown");
            assert!(report.routers.entropy > 0.0 && report.routers.agreement >= 0.0, "{:?}", report.routers);
        }
        steps(&mut trainer, &MICRO, 1..2);
        trainer.read("embedding.weight", false).expect("weights")
    };
    assert!(run(true) == run(false));
}

#[test]
fn a_cancelled_step_leaves_everything_as_it_was() {
    let mut trainer = trainer(&MICRO, 1);
    steps(&mut trainer, &MICRO, 0..1);
    let before = trainer.read("experts.0.down", false).expect("weights");
    let cancel = Arc::new(AtomicBool::new(true));
    let tokens = MICRO.windows(1, 4);
    let result = trainer.step_tokens(&tokens, &Watch::new(&|_| {}, &cancel));
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    assert!(trainer.read("experts.0.down", false).expect("weights") == before);
    assert_eq!(steps(&mut trainer, &MICRO, 1..2)[0].step, 2);
}

#[test]
fn weights_that_are_not_finite_stop_the_step_and_are_named() {
    let mut trainer = trainer(&MICRO, 1);
    let mut values = trainer.read("experts.1.gate_up", false).expect("weights");
    values[0] = f32::NAN;
    trainer.write("experts.1.gate_up", &values).expect("same shape");
    let before = trainer.read("head.weight", false).expect("weights");
    let error = unwatched(|w| trainer.step_tokens(&MICRO.windows(1, 4), w)).expect_err("NaN").to_string();
    assert!(error.starts_with("Cannot go on at step 0: ") && error.contains("experts.1.gate_up"), "{error}");
    assert!(trainer.read("head.weight", false).expect("weights") == before, "a failed step must not update");
}

#[test]
fn wrong_tokens_are_refused_with_what_was_wanted() {
    let mut trainer = trainer(&MICRO, 1);
    let error = unwatched(|w| trainer.step_tokens(&[1, 2, 3], w)).expect_err("too few").to_string();
    assert_eq!(error, "Cannot train on 3 tokens: wanted 32 (accumulation 2 x batch 2 x (sequence length 7 + 1))");
    let mut tokens = MICRO.windows(1, 4);
    tokens[5] = VOCAB as i32;
    let error = unwatched(|w| trainer.step_tokens(&tokens, w)).expect_err("out of range").to_string();
    assert_eq!(error, "Cannot use token 23 at position 5: wanted 0 to 22");
}

#[test]
fn the_schedule_is_warmup_then_cosine_and_ends() {
    let mut trainer = trainer(&MICRO, 1);
    let rates: Vec<f64> = steps(&mut trainer, &MICRO, 0..20).iter().map(|r| r.lr.muon).collect();
    let want = |step: usize| 0.02 * (0.1 + 0.9 * 0.5 * (1.0 + (std::f64::consts::PI * (step - 2) as f64 / 18.0).cos()));
    assert_eq!(rates[..2], [0.01, 0.02]);
    for (step, &rate) in rates.iter().enumerate().skip(2) {
        assert!((rate - want(step)).abs() < 1e-12, "step {step}: {rate}");
    }
    let error = unwatched(|w| trainer.step_tokens(&MICRO.windows(1, 4), w)).expect_err("over").to_string();
    assert_eq!(error, "Cannot train past step 20: the schedule ends there");
}
