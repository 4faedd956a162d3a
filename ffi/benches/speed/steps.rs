//! Whole steps on random tokens with one thread, for a program that counts instructions.

use std::sync::Arc;

use bowline::cpu::{Cpu, probe};
use bowline::data::Watch;
use bowline::plan::Plan;
use bowline::train::Trainer;
use serde_json::json;

use super::sizes::random_tokens;
use super::timing::Outcome;

/// Takes `count` steps on the same tokens, those of the TypeScript benchmark, and tells the loss of each.
pub fn run(plan: &str, count: &str) -> Outcome {
    let plan = Plan::parse(plan)?;
    let count: usize = count.parse().map_err(|_| format!("Cannot take {count} steps: wanted a number"))?;
    let train = &plan.train;
    let tokens = random_tokens(train.accumulation * train.batch * (train.seq_len + 1), plan.model.vocab);
    let mut trainer = Trainer::new(Cpu::new(1)?, plan)?;
    let (backend, cancel) = (trainer.backend(), Arc::default());
    let watch = Watch::new(&|_| (), &cancel);
    let step = || trainer.step_tokens(&tokens, &watch).map(|report| report.loss);
    let losses = backend.install(|| std::iter::repeat_with(step).take(count).collect::<Result<Vec<_>, _>>())?;
    println!("{}", json!({ "isa": probe::isa(), "losses": losses }));
    Ok(())
}
