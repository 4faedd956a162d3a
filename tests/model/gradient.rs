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
        let step = MicroStep::new(targets, 1, model.layout.sites.len(), BALANCE, counts, Z);
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

/// Compares along two directions per parameter: its gradient, which has the most signal, and a random one, which sees parts
/// that are missing. f32 rounding of the loss is about 2e-7, and a step moves it by about 1e-2: 1 % is far above the noise
/// and far below any wrong term. K = E keeps the choice of experts fixed, or the loss would not be smooth.
fn check(micro: Micro) {
    check_with(micro, 3e-2, 1e-2);
}

fn check_with(micro: Micro, largest_step: f64, bound: f64) {
    let micro = Micro { top_k: micro.experts, ..micro };
    let (mut objective, mut model) = Objective::new(&micro);
    let grads = objective.gradient(&model);
    let mut rng = rng(5);
    for (i, grad) in grads.iter().enumerate() {
        let name = model.layout.params[i].name.clone();
        let norm = grad.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        assert!(norm > 1e-6, "{name} has no gradient");
        let along: Vec<f64> = grad.iter().map(|&g| f64::from(g) / norm).collect();
        let random: Vec<f64> = grad.iter().map(|_| f64::from(centered(&mut rng)) / (grad.len() as f64).sqrt()).collect();
        for (what, direction) in [("gradient", along), ("random", random)] {
            let want: f64 = grad.iter().zip(&direction).map(|(&g, v)| f64::from(g) * v).sum();
            let eps = (4e-3 / want.abs()).clamp(1e-3, largest_step);
            let start = model.weights[i].clone();
            let mut at = |sign: f64| {
                for ((w, &s), v) in model.weights[i].iter_mut().zip(&start).zip(&direction) {
                    *w = (f64::from(s) + sign * eps * v) as f32;
                }
                objective.loss(&model)
            };
            // Richardson: two central differences without their common error of order eps^2.
            let mut difference = |part: f64| (at(part) - at(-part)) / (2.0 * part * eps);
            let got = (4.0 * difference(0.5) - difference(1.0)) / 3.0;
            model.weights[i] = start;
            let bound = bound * (want.abs() + norm / (grad.len() as f64).sqrt()) + 2e-4;
            assert!((got - want).abs() <= bound, "{name} along {what}: differences give {got}, the gradient {want} (bound {bound})");
        }
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
fn one_expert() {
    check(Micro { experts: 1, top_k: 1, ..OLMOE });
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
        let gate_up = &grads[model.layout.sites[site].moe.gate_up];
        let size = gate_up.len() / micro.experts;
        for e in 0..micro.experts {
            let is_zero = gate_up[e * size..(e + 1) * size].iter().all(|&g| g == 0.0);
            assert_eq!(is_zero, !chosen.contains(&(e as i32)), "site {site}, expert {e}, chosen {chosen:?}");
        }
    }
}

#[test]
fn recomputing_gives_the_same_bits() {
    let gradient = |recompute| {
        let (mut objective, model) = Objective::new(&Micro { recompute, ..OLMOE });
        objective.gradient(&model)
    };
    assert!(gradient(true) == gradient(false));
}
