//! The law: ranks with a part of the batch each are one rank with the whole batch.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bowline::comm::Comm;
use bowline::cpu::Cpu;
use bowline::data::Watch;
use bowline::error::Error;
use bowline::train::{EvalReport, StepReport, Trainer};

use crate::common::*;
use crate::threads::ranks;

const BASE: Micro = Micro { batch: 4, accumulation: 2, ..OLMOE };
/// In a model of width 8 roundings grow by a half in every step; twenty steps of a wider one are in `tests/cli`.
const STEPS: u64 = 6;

struct Outcome {
    steps: Vec<StepReport>,
    eval: EvalReport,
    weights: Vec<Vec<f32>>,
}

fn run(micro: &Micro, comm: Comm<Cpu>, from: Option<&Path>, to: Option<&Path>) -> Outcome {
    let mut trainer = Trainer::with_ranks(Cpu::new(1).expect("threads"), micro.plan(), comm).expect("memory");
    let start = from.map_or(0, |folder| {
        trainer.load(folder).expect("load");
        STEPS / 2
    });
    let tokens = |step| micro.windows(step, micro.batch * micro.accumulation);
    let steps = (start..STEPS).map(|i| unwatched(|w| trainer.step_tokens(&tokens(i), w)).expect("step")).collect();
    // one whole batch and one of a single window: other ranks have no part of it
    let held_out = micro.windows(99, micro.batch + 1);
    let eval = unwatched(|w| trainer.evaluate_tokens(&held_out, w)).expect("evaluation");
    if let Some(folder) = to {
        trainer.save(folder).expect("save");
    }
    let names: Vec<_> = trainer.model().layout.params.iter().map(|p| p.name.clone()).collect();
    let weights = names.iter().map(|name| trainer.read(name, false).expect("a parameter")).collect();
    trainer.leave().expect("together");
    Outcome { steps, eval, weights }
}

/// Sums in another order, multiplied by the updates: 1e-5, of what is above 1 in relation to it.
fn close(what: &str, got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-5 * want.abs().max(1.0), "{what}: got {got}, want {want}");
}

/// The same for what a model may not have, which both then say.
fn close_or_none(what: &str, got: f64, want: f64) {
    if !(got.is_nan() && want.is_nan()) {
        close(what, got, want);
    }
}

fn compare(label: &str, got: &Outcome, want: &Outcome) {
    assert_eq!(got.steps.len(), want.steps.len());
    let first = (got.steps[0].grad_norm / want.steps[0].grad_norm - 1.0).abs();
    assert!(first <= if want.steps[0].step == 1 { 1e-6 } else { 1e-4 }, "{label}: the first gradient differs by {first}");
    for (a, b) in got.steps.iter().zip(&want.steps) {
        let at = |what: &str| format!("{label}, step {}: {what}", b.step);
        assert_eq!((a.step, a.tokens, a.lr), (b.step, b.tokens, b.lr), "{label}");
        close(&at("loss"), a.loss, b.loss);
        // the gradient of so few tokens moves more than the loss: by up to 3e-5 here
        let difference = (a.grad_norm - b.grad_norm).abs();
        assert!(difference <= 1e-4, "{}: got {}, want {}", at("norm of the gradient"), a.grad_norm, b.grad_norm);
        close(&at("balance"), a.routers.balance, b.routers.balance);
        close(&at("z"), a.routers.z, b.routers.z);
        close_or_none(&at("entropy"), a.routers.entropy, b.routers.entropy);
        close_or_none(&at("agreement"), a.routers.agreement, b.routers.agreement);
        close_or_none(&at("set agreement"), a.routers.set_agreement, b.routers.set_agreement);
        close_or_none(&at("largest logit"), a.routers.max_logit, b.routers.max_logit);
    }
    assert_eq!(got.eval.tokens, want.eval.tokens, "{label}");
    close(&format!("{label}: held-out loss"), got.eval.loss, want.eval.loss);
    close(&format!("{label}: held-out balance"), got.eval.routers.balance, want.eval.routers.balance);
    for (a, b) in got.weights.iter().flatten().zip(want.weights.iter().flatten()) {
        close(&format!("{label}: a weight"), (*a).into(), (*b).into());
    }
}

#[test]
fn ranks_train_as_one_does_and_have_the_same_bits() {
    for (name, micro) in [
        ("muon", BASE),
        ("adamw", Micro { optimizer: "adamw", ..BASE }),
        ("recomputed", Micro { recompute: true, ..BASE }),
        ("argmax, head tied", Micro { batch: 4, ..VANILLA }),
        ("adapters", Micro { batch: 4, ..LORA }),
        ("dense sites", Micro { batch: 4, ..MIXED }),
        ("no router", Micro { batch: 4, layers: 2, dense: &[0, 1], ..MIXED }),
    ] {
        let one = run(&micro, Comm::single(), None, None);
        for world in [2, 4] {
            let all = ranks(world, |comm| run(&micro, comm, None, None));
            compare(&format!("{name}, {world} ranks"), &all[0], &one);
            for other in &all[1..] {
                assert!(other.weights == all[0].weights, "{name}: the bits of {world} ranks differ");
            }
        }
    }
}

#[test]
fn a_checkpoint_fits_any_number_of_ranks() {
    let dir = tempfile::tempdir().expect("temp");
    let one = run(&BASE, Comm::single(), None, None);
    let half = dir.path().join("half");
    ranks(2, |comm| {
        let mut trainer = Trainer::with_ranks(Cpu::new(1).expect("threads"), BASE.plan(), comm).expect("memory");
        for i in 0..STEPS / 2 {
            unwatched(|w| trainer.step_tokens(&BASE.windows(i, BASE.batch * BASE.accumulation), w)).expect("step");
        }
        trainer.save(&half).expect("save");
    });
    let rest = Outcome { steps: one.steps[STEPS as usize / 2..].to_vec(), eval: one.eval, weights: one.weights };
    compare("one rank goes on", &run(&BASE, Comm::single(), Some(&half), None), &rest);
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    for folder in [&first, &second] {
        let all = ranks(4, |comm| run(&BASE, comm, Some(&half), Some(folder)));
        compare("four ranks go on", &all[0], &rest);
    }
    let files = |folder: &Path| ["model.safetensors", "optimizer.safetensors"].map(|file| std::fs::read(folder.join(file)).expect("saved"));
    assert!(files(&first) == files(&second), "the same number of ranks gives the same bits");
}

#[test]
fn one_rank_that_is_to_stop_stops_all_before_anything_changes() {
    let tokens = BASE.windows(1, BASE.batch * BASE.accumulation);
    ranks(3, |comm| {
        let is_asked = comm.rank() == 1;
        let micro = Micro { batch: 3, ..BASE };
        let mut trainer = Trainer::with_ranks(Cpu::new(1).expect("threads"), micro.plan(), comm).expect("memory");
        let cancel = Arc::new(AtomicBool::new(is_asked));
        let tokens = &tokens[..3 * BASE.accumulation * (BASE.seq_len + 1)];
        let result = trainer.step_tokens(tokens, &Watch::new(&|_| {}, &cancel));
        assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
        cancel.store(false, Ordering::Relaxed);
        assert_eq!(trainer.step_tokens(tokens, &Watch::new(&|_| {}, &cancel)).expect("step").step, 1);
    });
}

#[test]
fn a_number_of_one_rank_that_is_none_fails_the_step_on_all_and_changes_nothing() {
    let tokens = BASE.windows(1, BASE.batch * BASE.accumulation);
    // met by that rank alone before the losses, and by all in the sum of the losses
    for (name, of_other) in [("router.0.weight", "a number of rank 1 is not finite"), ("final_norm.weight", "the loss")] {
        ranks(2, |comm| {
            let rank = comm.rank();
            let mut trainer = Trainer::with_ranks(Cpu::new(1).expect("threads"), BASE.plan(), comm).expect("memory");
            let weights = trainer.read(name, false).expect("a parameter");
            if rank == 1 {
                trainer.write(name, &vec![f32::NAN; weights.len()]).expect("written");
            }
            let error = unwatched(|w| trainer.step_tokens(&tokens, w)).expect_err("no number");
            assert!(matches!(error, Error::NotFinite { step: 0, .. }), "{name}, rank {rank}: {error}");
            assert!(rank == 1 || error.to_string().contains(of_other), "{name}: {error}");
            trainer.write(name, &weights).expect("written");
            assert_eq!(unwatched(|w| trainer.step_tokens(&tokens, w)).expect("all go on").step, 1);
        });
    }
}

#[test]
fn weights_that_differ_between_ranks_are_noticed_when_they_are_saved() {
    let dir = tempfile::tempdir().expect("temp");
    ranks(2, |comm| {
        let rank = comm.rank();
        let mut trainer = Trainer::with_ranks(Cpu::new(1).expect("threads"), BASE.plan(), comm).expect("memory");
        let mut gain = trainer.read("final_norm.weight", false).expect("a parameter");
        gain[0] += rank as f32 * 1e-6;
        trainer.write("final_norm.weight", &gain).expect("written");
        let error = trainer.save(&dir.path().join("never")).expect_err("they differ").to_string();
        assert!(error.contains("the weights of rank 1 are not those of rank 0"), "{error}");
    });
    assert!(!dir.path().join("never").exists());
}

#[test]
fn a_number_of_ranks_that_does_not_divide_the_batch_is_refused() {
    let error = bowline::train::require_divisor(8, 3).expect_err("3 does not divide 8").to_string();
    assert_eq!(error, "Cannot share train.batch 8 among 3 processes: wanted a divisor of it (1, 2, 4, 8), or train.batch 6 or 9");
    let error = bowline::train::require_divisor(2, 4).expect_err("4 does not divide 2").to_string();
    assert_eq!(error, "Cannot share train.batch 2 among 4 processes: wanted a divisor of it (1, 2), or train.batch 4");
}
