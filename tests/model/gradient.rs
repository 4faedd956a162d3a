//! The gradient of every parameter of whole models against central differences of the loss.

use bowline::backend::BalanceCounts;
use bowline::cpu::Cpu;
use bowline::model::metrics::RouterMetrics;
use bowline::model::{MicroStep, Model, Workspace};

use crate::common::*;

/// Everything that makes one number out of a model: the weighted sum of all losses.
struct Objective {
    cpu: Cpu,
    workspace: Workspace<Cpu>,
    step: MicroStep,
    counts: BalanceCounts,
    /// First choices per expert and site at the start: the `f_e` of the balance loss are constants of the gradient.
    top1: Vec<Vec<u64>>,
}

const BALANCE: f64 = 0.1;
const Z: f64 = 0.01;

impl Objective {
    fn new(micro: &Micro) -> (Objective, Model<Cpu>) {
        let cpu = Cpu::new(1).expect("threads");
        let model = micro.model(&cpu);
        let mut workspace = Workspace::new(&cpu, &model.layout, micro.batch, micro.seq_len, true, micro.recompute).expect("memory");
        let targets = workspace.load(&cpu, &model.layout, &micro.windows(11, micro.batch), false).expect("tokens");
        let counts = micro.plan().losses.balance.counts.into();
        let step = MicroStep::new(targets, 1, model.layout.routed_sites(), BALANCE, counts, Z);
        (Objective { cpu, workspace, step, counts, top1: Vec::new() }, model)
    }

    fn loss(&mut self, model: &Model<Cpu>) -> f64 {
        let mut stats = unwatched(|w| self.workspace.forward(&self.cpu, model, w)).expect("forward");
        for (site, top1) in stats.iter_mut().zip(&self.top1) {
            site.top1_per_expert.clone_from(top1);
        }
        let losses = self.workspace.losses(&self.cpu, model).expect("losses");
        let lm = losses.iter().map(|&l| f64::from(l)).sum::<f64>() / losses.len() as f64;
        let m = RouterMetrics::new(&model.layout, &stats, &self.workspace.expert_ids, self.counts);
        lm + BALANCE * m.balance + Z * m.z
    }

    fn gradient(&mut self, model: &Model<Cpu>) -> Vec<Vec<f32>> {
        let mut grads = model.zeros_like(&self.cpu).expect("memory");
        let stats = unwatched(|w| self.workspace.forward(&self.cpu, model, w)).expect("forward");
        self.top1 = stats.into_iter().map(|s| s.top1_per_expert).collect();
        unwatched(|w| self.workspace.backward(&self.cpu, model, &mut grads, &self.step, w)).expect("backward");
        grads
    }
}

/// K = E keeps the choice of experts fixed, or the loss would not be smooth.
fn check(micro: Micro) {
    check_with(micro, 3e-2, 1e-2);
}

fn check_with(micro: Micro, largest_step: f64, bound: f64) {
    let micro = Micro { top_k: micro.experts, ..micro };
    let (mut objective, mut model) = Objective::new(&micro);
    let grads = objective.gradient(&model);
    for (i, grad) in grads.iter().enumerate() {
        let (name, start) = (model.layout.params[i].name.clone(), model.weights[i].clone());
        check_gradient(&name, &start, grad, largest_step, bound, |values| {
            model.weights[i].copy_from_slice(values);
            objective.loss(&model)
        });
        model.weights[i] = start;
    }
}

#[test]
fn olmoe() {
    check(OLMOE);
}

#[test]
fn olmoe_where_the_clamp_cuts() {
    // Elements that cross the limit within a difference make the loss bend: shorter steps, and more room for their rounding.
    check_with(Micro { clamp: Some(1.1), ..OLMOE }, 3e-3, 3e-2);
}

#[test]
fn qwen3_with_grouped_queries_and_renormalisation() {
    check(QWEN3);
}

#[test]
fn vanilla_with_a_tied_head_and_argmax_balance() {
    check(VANILLA);
}

#[test]
fn shared_attention_and_routers_with_adapters() {
    check(LORA);
    check(Micro { heads: 4, kv_heads: 2, recompute: Recompute::Sites, ..LORA });
}

#[test]
fn one_expert() {
    check(Micro { experts: 1, top_k: 1, ..OLMOE });
}

#[test]
fn dense_sites_beside_experts_and_alone() {
    check(MIXED);
    check(Micro { recompute: Recompute::Sites, dense: &[2, 3], slices: "split", ..MIXED });
    check(Micro { layers: 2, dense: &[0, 1], tied_head: true, ..MIXED });
}

#[test]
fn no_qk_norm() {
    check(Micro { qk_norm: "none", seq_len: 2, batch: 5, ..OLMOE });
}

#[test]
fn chosen_experts_alone_get_gradients() {
    let micro = Micro { experts: 16, top_k: 1, batch: 1, seq_len: 3, group_size: 1, ..OLMOE };
    let (mut objective, model) = Objective::new(&micro);
    let grads = objective.gradient(&model);
    let ids = objective.workspace.expert_ids.clone();
    for (site, chosen) in ids.iter().enumerate() {
        let gate_up = &grads[model.layout.sites[site].ffn.moe().expect("experts").gate_up];
        let size = gate_up.len() / micro.experts;
        for e in 0..micro.experts {
            let is_zero = gate_up[e * size..(e + 1) * size].iter().all(|&g| g == 0.0);
            assert_eq!(is_zero, !chosen.contains(&(e as i32)), "site {site}, expert {e}, chosen {chosen:?}");
        }
    }
}

#[test]
fn recomputing_gives_the_same_bits() {
    for micro in [OLMOE, MIXED] {
        let gradient = |recompute| {
            let (mut objective, model) = Objective::new(&Micro { recompute, ..micro });
            objective.gradient(&model)
        };
        let kept = gradient(Recompute::Nothing);
        for recompute in [Recompute::Experts, Recompute::Sites] {
            assert!(gradient(recompute) == kept, "{recompute:?}");
        }
    }
}
