//! From router logits to choices, combine weights and sums over tokens, and back.

use super::library::{In, Out};
use super::{Cuda, F};
use crate::backend::{RouterLoss, RouterRule, RouterScore, RouterStats, Routing};
use crate::error::{Error, Result};

pub fn forward(b: &Cuda, routing: &mut Routing<Cuda>, logits: &F, t: usize, rule: RouterRule) -> Result<RouterStats> {
    let (e, k) = (rule.experts, rule.top_k);
    let (choose_first, renormalize) = flags(rule);
    let mut sums = vec![0.0; 3 * e + 3];
    b.device.router_forward(
        routing.scores.output(t * e),
        routing.lse.output(t),
        routing.expert_ids.output(t * k),
        routing.combine_weights.output(t * k),
        Out::host(&mut sums),
        logits.input(t * e),
        t,
        e,
        k,
        choose_first,
        renormalize,
    )?;
    let counts = |from: usize| sums[from..from + e].iter().map(|&n| n as u64).collect();
    let stats = RouterStats {
        tokens: t,
        tokens_per_expert: counts(0),
        top1_per_expert: counts(e),
        score_sum: sums[2 * e..3 * e].to_vec(),
        z_sum: sums[3 * e],
        entropy_sum: sums[3 * e + 1],
        max_logit: sums[3 * e + 2] as f32,
    };
    if stats.max_logit.is_nan() { Err(not_finite(logits, t, e)?) } else { Ok(stats) }
}

pub fn backward(
    b: &Cuda,
    d_logits: &mut F,
    routing: &Routing<Cuda>,
    stats: &RouterStats,
    d_combine_weights: &F,
    t: usize,
    rule: RouterRule,
    loss: RouterLoss,
) -> Result<()> {
    let (e, k) = (rule.experts, rule.top_k);
    let (choose_first, renormalize) = flags(rule);
    let balance = stats.balance_gradient(rule, loss);
    b.device.router_backward(
        d_logits.output(t * e),
        routing.scores.input(t * e),
        routing.lse.input(t),
        routing.expert_ids.input(t * k),
        routing.combine_weights.input(t * k),
        d_combine_weights.input(t * k),
        In::host(&balance),
        (2.0 * loss.z as f64 / stats.tokens as f64) as f32,
        t,
        e,
        k,
        choose_first,
        renormalize,
    )
}

/// The rule as the library takes it: whether choosing comes before the softmax, and whether to renormalise.
fn flags(rule: RouterRule) -> (i32, i32) {
    ((rule.score == RouterScore::TopKThenSoftmax).into(), rule.renormalize.into())
}

/// Names the first logit that is not finite.
fn not_finite(logits: &F, t: usize, e: usize) -> Result<Error> {
    let mut values = vec![0.0f32; t * e];
    logits.download(&mut values)?;
    let at = values.iter().position(|v| !v.is_finite()).unwrap_or(0);
    let (token, expert, value) = (at / e, at % e, values[at]);
    Ok(Error::Argument(format!("Cannot route token {token}: the logit of expert {expert} is {value}, must be finite")))
}
