//! The law of tying: the gradient of a tied bank is the sum of the gradients of its untied copies.

use bowline::cpu::Cpu;
use bowline::model::{MicroStep, Model, Workspace};

use crate::common::*;

fn gradients(cpu: &Cpu, micro: &Micro, model: &Model<Cpu>) -> Vec<Vec<f32>> {
    let mut workspace = Workspace::new(cpu, &model.layout, micro.batch, micro.seq_len, true, false).expect("memory");
    let targets = workspace.load(cpu, &model.layout, &micro.windows(4, micro.batch), false).expect("tokens");
    let counts = micro.plan().losses.balance.counts.into();
    let step = MicroStep::new(targets, 1, model.layout.sites.len(), 0.1, counts, 0.01);
    let mut grads = model.zeros_like(cpu).expect("memory");
    unwatched(|w| workspace.forward(cpu, model, w)).expect("forward");
    unwatched(|w| workspace.backward(cpu, model, &mut grads, &step, w)).expect("backward");
    grads
}

#[test]
fn the_gradient_of_a_tied_bank_is_the_sum_over_its_copies() {
    let cpu = Cpu::new(2).expect("threads");
    for base in [OLMOE, QWEN3, VANILLA] {
        let tied_micro = Micro { layers: 5, group_size: 3, ..base };
        let free_micro = Micro { group_size: 1, ..tied_micro };
        let (tied, mut free) = (tied_micro.model(&cpu), free_micro.model(&cpu));
        // Every copy gets the values of its bank, everything else by name.
        for site in 0..tied_micro.layers {
            for part in ["gate_up", "down"] {
                let from = tied.layout.find(&format!("experts.{}.{part}", site / 3)).expect("bank");
                free.write(&cpu, &format!("experts.{site}.{part}"), &tied.weights[from]).expect("same shape");
            }
        }
        for (p, w) in tied.layout.params.iter().zip(&tied.weights).filter(|(p, _)| !p.name.starts_with("experts.")) {
            free.write(&cpu, &p.name, w).expect("same name");
        }
        let (tied_grads, free_grads) = (gradients(&cpu, &tied_micro, &tied), gradients(&cpu, &free_micro, &free));
        for (p, got) in tied.layout.params.iter().zip(&tied_grads) {
            let copies: Vec<String> = match p.name.strip_prefix("experts.").and_then(|rest| rest.split_once('.')) {
                Some((bank, part)) => {
                    let bank: usize = bank.parse().expect("number");
                    (3 * bank..tied_micro.layers.min(3 * bank + 3)).map(|site| format!("experts.{site}.{part}")).collect()
                }
                None => vec![p.name.clone()],
            };
            let largest = got.iter().fold(0.0f32, |a, g| a.max(g.abs()));
            assert!(largest > 0.0, "{} has no gradient", p.name);
            for (j, &g) in got.iter().enumerate() {
                let want: f64 = copies.iter().map(|c| f64::from(free_grads[free.layout.find(c).expect("copy")][j])).sum();
                // The same products, added up in another order: a few roundings of the largest element.
                assert!((f64::from(g) - want).abs() <= 1e-5 * f64::from(largest), "{}[{j}]: got {g}, want {want}", p.name);
            }
        }
    }
}
