//! The law of tying: the gradient of a tied bank is the sum of the gradients of its untied copies.

use bowline::cpu::Cpu;
use bowline::model::{MicroStep, Model, Workspace};

use crate::common::*;

fn gradients(cpu: &Cpu, micro: &Micro, model: &Model<Cpu>) -> Vec<Vec<f32>> {
    let mut workspace = Workspace::new(cpu, &model.layout, micro.batch, micro.seq_len, true, Recompute::Nothing).expect("memory");
    let targets = workspace.load(cpu, &model.layout, &micro.windows(4, micro.batch), false).expect("tokens");
    let counts = micro.plan().losses.balance.counts.into();
    let step = MicroStep::new(targets, 1, model.layout.routed_sites(), 0.1, counts, 0.01);
    let mut grads = model.zeros_like(cpu).expect("memory");
    unwatched(|w| workspace.forward(cpu, model, w)).expect("forward");
    unwatched(|w| workspace.backward(cpu, model, &mut grads, &step, w)).expect("backward");
    grads
}

#[test]
fn the_gradient_of_a_tied_bank_is_the_sum_over_its_copies() {
    let cpu = Cpu::new(2).expect("threads");
    for base in [OLMOE, QWEN3, VANILLA, LORA, Micro { dense: &[0, 1, 2], ..QWEN3 }] {
        let tied_micro = Micro { layers: 5, group_size: 3, ..base };
        let free_micro = Micro { group_size: 1, ..tied_micro };
        let (tied, mut free) = (tied_micro.model(&cpu), free_micro.model(&cpu));
        let shared: &[&str] = if base.all_tied { &["experts", "attention", "router"] } else { &["experts", "feed_forward"] };
        // The copies of a parameter: one per site of its bank, or itself.
        let copies = |name: &str| -> Vec<String> {
            let (bank, part) = name.rsplit_once('.').expect("bank and part");
            match bank.split_once('.').filter(|(kind, _)| shared.contains(kind)) {
                Some((kind, number)) => {
                    let first = 3 * number.parse::<usize>().expect("number");
                    (first..tied_micro.layers.min(first + 3)).map(|site| format!("{kind}.{site}.{part}")).collect()
                }
                None => vec![name.to_owned()],
            }
        };
        for (p, w) in tied.layout.params.iter().zip(&tied.weights) {
            for copy in copies(&p.name) {
                free.write(&cpu, &copy, w).expect("same shape");
            }
        }
        let (tied_grads, free_grads) = (gradients(&cpu, &tied_micro, &tied), gradients(&cpu, &free_micro, &free));
        for (p, got) in tied.layout.params.iter().zip(&tied_grads) {
            let largest = got.iter().fold(0.0f32, |a, g| a.max(g.abs()));
            assert!(largest > 0.0, "{} has no gradient", p.name);
            for (j, &g) in got.iter().enumerate() {
                let want: f64 = copies(&p.name).iter().map(|c| f64::from(free_grads[free.layout.find(c).expect("copy")][j])).sum();
                // The same products, added up in another order: a few roundings of the largest element.
                assert!((f64::from(g) - want).abs() <= 1e-5 * f64::from(largest), "{}[{j}]: got {g}, want {want}", p.name);
            }
        }
    }
}
