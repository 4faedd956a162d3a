//! The operations of a site's experts, all on one routing of random tokens.

use bowline::backend::{Backend, BalanceCounts, DispatchPlan, RouterLoss, RouterRule, RouterScore, Routing};
use bowline::cpu::Cpu;

use super::sizes::{Sizes, random};
use super::timing::Work::{Floats, Flops};
use super::timing::{Outcome, Timer};

pub fn run(timer: &mut Timer, cpu: &Cpu, s: &Sizes) -> Outcome {
    let (t, e, k) = (s.t(), s.e, s.k);
    let mut logits = random(t * e);
    let mut routing: Routing<Cpu> =
        Routing { scores: vec![0.0; t * e], lse: vec![0.0; t], expert_ids: vec![0; s.n()], combine_weights: vec![0.0; s.n()] };
    let rule = RouterRule { experts: e, top_k: k, score: RouterScore::SoftmaxThenTopK, renormalize: s.is_renormalized };
    let shape = format!("T {t} E {e} K {k}");
    timer.time("router_forward", shape.clone(), Floats(2 * t * e), || cpu.router_forward(&mut routing, &logits, t, rule).map(|_| ()))?;
    let stats = cpu.router_forward(&mut routing, &logits, t, rule)?;
    let loss = RouterLoss { balance: 0.01, counts: BalanceCounts::TopK, z: 1e-4 };
    let d_combine_weights = random(s.n());
    timer.time("router_backward", shape.clone(), Floats(2 * t * e), || {
        cpu.router_backward(&mut logits, &routing, &stats, &d_combine_weights, t, rule, loss)
    })?;
    let mut plan: DispatchPlan<Cpu> = DispatchPlan { offsets: vec![0; e + 1], slot_of_row: vec![0; s.n()], row_of_slot: vec![0; s.n()] };
    timer.time("dispatch_plan", shape, Floats(3 * s.n()), || cpu.dispatch_plan(&mut plan, &routing.expert_ids, t, k, e))?;
    moves(timer, cpu, s, &plan)?;
    for (what, o, i) in [("gate_up", 2 * s.f, s.d), ("down", s.d, s.f)] {
        grouped_linear(timer, cpu, s, &plan, what, o, i)?;
    }
    swiglu(timer, cpu, s, &plan, &routing.combine_weights)
}

fn moves(timer: &mut Timer, cpu: &Cpu, s: &Sizes, plan: &DispatchPlan<Cpu>) -> Outcome {
    let (t, k, d, n) = (s.t(), s.k, s.d, s.n());
    let (mut x, mut rows, shape) = (random(t * d), random(n * d), format!("N {n} D {d}"));
    timer.time("permute", shape.clone(), Floats((t + n) * d), || cpu.permute(&mut rows, &x, plan, t, k, d))?;
    timer.time("combine", shape, Floats((n + 2 * t) * d), || cpu.combine(&mut x, &rows, plan, t, k, d))
}

fn grouped_linear(timer: &mut Timer, cpu: &Cpu, s: &Sizes, plan: &DispatchPlan<Cpu>, what: &str, o: usize, i: usize) -> Outcome {
    let (e, n, offsets) = (s.e, s.n(), &plan.offsets);
    let (mut x, mut w, mut out) = (random(n * i), random(e * o * i), random(n * o));
    let (shape, work) = (format!("{what}: N {n} E {e} O {o} I {i}"), || Flops(2 * n * o * i));
    timer.time("grouped_linear_forward", shape.clone(), work(), || cpu.grouped_linear_forward(&mut out, &x, &w, offsets, e, o, i))?;
    timer.time("grouped_linear_backward_input", shape.clone(), work(), || {
        cpu.grouped_linear_backward_input(&mut x, &out, &w, offsets, e, o, i)
    })?;
    timer.time("grouped_linear_backward_weight", shape, work(), || cpu.grouped_linear_backward_weight(&mut w, &out, &x, offsets, e, o, i))
}

fn swiglu(timer: &mut Timer, cpu: &Cpu, s: &Sizes, plan: &DispatchPlan<Cpu>, combine_weights: &Vec<f32>) -> Outcome {
    let (n, f) = (s.n(), s.f);
    let (mut act, mut gate_up, shape) = (random(n * f), random(2 * n * f), format!("N {n} F {f}"));
    timer
        .time("swiglu_forward", shape.clone(), Floats(3 * n * f), || cpu.swiglu_forward(&mut act, &gate_up, combine_weights, plan, n, f))?;
    let mut d_combine_weights = random(n);
    timer.time("swiglu_backward", shape, Floats(6 * n * f), || {
        cpu.swiglu_backward(&mut act, &mut gate_up, &mut d_combine_weights, combine_weights, plan, n, f)
    })
}
