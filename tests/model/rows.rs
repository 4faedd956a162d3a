//! The gradient of the embedding's table by the rows that a step touches: every bit is that of the whole gradient.

use bowline::comm::assign;
use bowline::cpu::Cpu;
use bowline::layout::Layout;
use bowline::model::{Gradients, MicroStep, Model, Workspace};
use bowline::optim::{LearningRates, Optimizer, schedule};
use bowline::plan::Plan;
use bowline::train::{StepReport, Trainer};

use crate::common::*;

/// 14 tokens a step, of a vocabulary of 23.
const FEW: Micro = Micro { batch: 1, accumulation: 2, ..OLMOE };

/// A step as the trainer makes it, with all rows of every gradient.
struct Whole {
    cpu: Cpu,
    plan: Plan,
    model: Model<Cpu>,
    grads: Gradients<Cpu>,
    optimizer: Optimizer<Cpu>,
    workspace: Workspace<Cpu>,
}

impl Whole {
    fn new(plan: &Plan) -> Self {
        let cpu = Cpu::new(1).expect("a thread");
        let (layout, train) = (Layout::new(plan).expect("checked"), &plan.train);
        let model = Model::new(&cpu, layout.clone(), plan.seed).expect("memory");
        let shards = assign(&layout, 1, plan.optimizer.muon.newton_schulz_steps);
        Whole {
            grads: Gradients::new(&cpu, &layout, None).expect("memory"),
            optimizer: Optimizer::new(&cpu, &layout, shards, 0).expect("memory"),
            workspace: Workspace::new(&cpu, &layout, train.batch, train.seq_len, true, train.recompute).expect("memory"),
            plan: plan.clone(),
            model,
            cpu,
        }
    }

    /// Step number `step` (from 0); its norm, and what the gradient was clipped by.
    fn step(&mut self, tokens: &[i32], step: u64) -> (f64, f32) {
        let Whole { cpu, plan, model, grads, optimizer, workspace } = self;
        let (train, losses, layout) = (&plan.train, &plan.losses, &model.layout);
        let targets = train.accumulation * train.batch * train.seq_len;
        let (balance, z) = (losses.balance.coefficient, losses.z.coefficient);
        let micro = MicroStep::new(targets, train.accumulation, layout.routed_sites(), balance, losses.balance.counts.into(), z);
        grads.begin(cpu, layout, tokens, train.seq_len).expect("zeroed");
        for windows in tokens.chunks(train.batch * (train.seq_len + 1)) {
            workspace.load(cpu, layout, windows, false).expect("tokens");
            unwatched(|w| workspace.forward(cpu, model, w)).expect("forward");
            unwatched(|w| workspace.backward(cpu, model, &mut grads.buffers, &micro, w)).expect("backward");
        }
        let squares = layout.params.iter().enumerate().map(|(param, p)| grads.sum_squares(cpu, param, 0, p.size()).expect("summed"));
        let norm = squares.sum::<f64>().sqrt();
        let scale = (plan.optimizer.clip_norm / (norm + 1e-6)).min(1.0) as f32;
        let factor = schedule::factor(&plan.schedule, step);
        let lr = LearningRates { muon: plan.optimizer.muon.lr * factor, adamw: plan.optimizer.adamw.lr * factor };
        optimizer.step(cpu, model, grads, &plan.optimizer, lr, step + 1, scale).expect("updated");
        (norm, scale)
    }
}

#[test]
fn steps_are_those_of_a_whole_gradient() {
    for padding_token in [None, Some(5)] {
        let mut plan = FEW.plan();
        plan.model.padding_token = padding_token;
        let mut whole = Whole::new(&plan);
        let mut trainer = Trainer::new(Cpu::new(2).expect("threads"), plan).expect("memory");
        let table = whole.model.layout.embedding;
        let name = whole.model.layout.params[table].name.clone();
        for step in 0..6 {
            let tokens = FEW.windows(step, FEW.batch * FEW.accumulation);
            let (norm, scale) = whole.step(&tokens, step);
            let report: StepReport = unwatched(|w| trainer.step_tokens(&tokens, w)).expect("step");
            assert_eq!(report.grad_norm.to_bits(), norm.to_bits(), "the norm of step {step}");
            assert!(trainer.model().weights == whole.model.weights, "the weights after step {step}");
            let want: Vec<f32> = whole.grads.buffers[table].iter().map(|g| g * scale).collect();
            assert!(trainer.read(&name, true).expect("read") == want, "the gradient of step {step}");
            let rows = want.chunks(8).filter(|row| row.iter().any(|&g| g != 0.0)).count();
            assert!((1..VOCAB).contains(&rows), "{rows} rows have a gradient");
        }
    }
}

#[test]
fn tokens_out_of_range_are_refused_and_leave_the_gradient_as_it_should_be() {
    let mut trainer = Trainer::new(Cpu::new(1).expect("a thread"), FEW.plan()).expect("memory");
    for bad in [-1, VOCAB as i32, i32::MIN] {
        let mut tokens = FEW.windows(0, 2);
        tokens[3] = bad;
        let error = unwatched(|w| trainer.step_tokens(&tokens, w)).expect_err("refused").to_string();
        assert_eq!(error, format!("Cannot use token {bad} at position 3: wanted 0 to {}", VOCAB - 1));
    }
    assert_eq!(unwatched(|w| trainer.step_tokens(&FEW.windows(0, 2), w)).expect("step").step, 1);
}
