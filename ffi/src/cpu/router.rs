//! From router logits to choices and combine weights, the sums that the losses and metrics need, and back.
//! The linear map before it is a plain `linear`.

use multiversion::multiversion;
use rayon::prelude::*;

use super::{Cpu, math};
use crate::backend::{RouterLoss, RouterRule, RouterScore, RouterStats, Routing};
use crate::error::{Error, Result};

/// Tokens of one task.
const TOKENS: usize = 64;

// --- forward ---

pub fn forward(routing: &mut Routing<Cpu>, logits: &[f32], t: usize, rule: RouterRule) -> Result<RouterStats> {
    let (e, k) = (rule.experts, rule.top_k);
    let scores = routing.scores[..t * e].par_chunks_mut(TOKENS * e);
    let lse = routing.lse[..t].par_chunks_mut(TOKENS);
    let ids = routing.expert_ids[..t * k].par_chunks_mut(TOKENS * k);
    let weights = routing.combine_weights[..t * k].par_chunks_mut(TOKENS * k);
    let blocks: Vec<RouterStats> = (scores, lse, ids, weights, logits.par_chunks(TOKENS * e))
        .into_par_iter()
        .map(|(scores, lse, ids, weights, logits)| forward_rows(scores, lse, ids, weights, logits, rule))
        .collect();
    let mut stats = empty_stats(e);
    for block in &blocks {
        add_stats(&mut stats, block);
    }
    if stats.max_logit.is_nan() {
        let at = logits.iter().position(|v| !v.is_finite()).unwrap_or(0);
        return Err(Error::Argument(format!(
            "Cannot route token {}: the logit of expert {} is {}, must be finite",
            at / e,
            at % e,
            logits[at]
        )));
    }
    Ok(stats)
}

fn empty_stats(e: usize) -> RouterStats {
    RouterStats {
        tokens: 0,
        tokens_per_expert: vec![0; e],
        top1_per_expert: vec![0; e],
        score_sum: vec![0.0; e],
        z_sum: 0.0,
        entropy_sum: 0.0,
        max_logit: f32::NEG_INFINITY,
    }
}

fn add_stats(stats: &mut RouterStats, block: &RouterStats) {
    stats.tokens += block.tokens;
    for e in 0..stats.score_sum.len() {
        stats.tokens_per_expert[e] += block.tokens_per_expert[e];
        stats.top1_per_expert[e] += block.top1_per_expert[e];
        stats.score_sum[e] += block.score_sum[e];
    }
    stats.z_sum += block.z_sum;
    stats.entropy_sum += block.entropy_sum;
    stats.max_logit = max_or_nan(stats.max_logit, block.max_logit);
}

/// The larger of two, NaN when either is.
#[inline(always)]
fn max_or_nan(a: f32, b: f32) -> f32 {
    if a >= b || a.is_nan() { a } else { b }
}

/// Routes the tokens of one block. A logit that is not finite leaves NaN in `max_logit`.
#[multiversion(targets = "simd")]
fn forward_rows(
    scores: &mut [f32],
    lse: &mut [f32],
    ids: &mut [i32],
    weights: &mut [f32],
    logits: &[f32],
    rule: RouterRule,
) -> RouterStats {
    let (e, k) = (rule.experts, rule.top_k);
    let mut stats = empty_stats(e);
    stats.tokens = lse.len();
    for (t, logits) in logits.chunks_exact(e).enumerate() {
        let scores = &mut scores[t * e..][..e];
        // 0 * v is 0 for finite v alone
        let faults: f32 = logits.iter().map(|v| v * 0.0).sum();
        let max = math::max(logits) + faults;
        scores.copy_from_slice(logits);
        let sum = math::exp_all(scores, max);
        for (score, total) in scores.iter_mut().zip(&mut stats.score_sum) {
            *score /= sum;
            *total += *score as f64;
        }
        lse[t] = max + sum.ln();
        stats.z_sum += lse[t] as f64 * lse[t] as f64;
        // entropy = -sum p ln p with ln p = logit - lse
        stats.entropy_sum += (lse[t] - math::dot(scores, logits)) as f64;
        stats.max_logit = max_or_nan(stats.max_logit, max);
        let ids = &mut ids[t * k..][..k];
        let weights = &mut weights[t * k..][..k];
        match rule.score {
            RouterScore::SoftmaxThenTopK => {
                choose(ids, scores);
                for (weight, &id) in weights.iter_mut().zip(&*ids) {
                    *weight = scores[id as usize];
                }
                if rule.renormalize {
                    divide_by_sum(weights);
                }
            }
            RouterScore::TopKThenSoftmax => {
                choose(ids, logits);
                for (weight, &id) in weights.iter_mut().zip(&*ids) {
                    *weight = math::exp(logits[id as usize] - max);
                }
                divide_by_sum(weights);
            }
        }
        for &id in &*ids {
            stats.tokens_per_expert[id as usize] += 1;
        }
        stats.top1_per_expert[ids[0] as usize] += 1;
    }
    stats
}

#[inline(always)]
fn divide_by_sum(weights: &mut [f32]) {
    let sum: f32 = weights.iter().sum();
    for weight in weights {
        *weight /= sum;
    }
}

/// Overwrites `ids` with the places of the largest values, largest first, ties to the lower place.
#[inline(always)]
fn choose(ids: &mut [i32], values: &[f32]) {
    let mut filled = 0;
    for (e, &value) in values.iter().enumerate() {
        if filled == ids.len() && value <= values[ids[filled - 1] as usize] {
            continue;
        }
        let mut at = filled.min(ids.len() - 1);
        while at > 0 && value > values[ids[at - 1] as usize] {
            ids[at] = ids[at - 1];
            at -= 1;
        }
        ids[at] = e as i32;
        filled = ids.len().min(filled + 1);
    }
}

// --- backward ---

pub fn backward(
    d_logits: &mut [f32],
    routing: &Routing<Cpu>,
    stats: &RouterStats,
    d_combine_weights: &[f32],
    t: usize,
    rule: RouterRule,
    loss: RouterLoss,
) {
    if t == 0 {
        return;
    }
    let (e, k) = (rule.experts, rule.top_k);
    let balance = stats.balance_gradient(rule, loss);
    let z = (2.0 * loss.z as f64 / stats.tokens as f64) as f32;
    let rows = (
        d_logits.par_chunks_mut(TOKENS * e),
        routing.scores[..t * e].par_chunks(TOKENS * e),
        routing.lse[..t].par_chunks(TOKENS),
        routing.expert_ids[..t * k].par_chunks(TOKENS * k),
        routing.combine_weights[..t * k].par_chunks(TOKENS * k),
        d_combine_weights.par_chunks(TOKENS * k),
    );
    rows.into_par_iter().for_each(|(d_logits, scores, lse, ids, weights, d_weights)| {
        let saved = SavedRows { scores, lse, ids, weights };
        backward_rows(d_logits, saved, d_weights, rule, &balance, z);
    });
}

/// The part of a `Routing` that belongs to one block of tokens.
struct SavedRows<'a> {
    scores: &'a [f32],
    lse: &'a [f32],
    ids: &'a [i32],
    weights: &'a [f32],
}

// d_score = balance, plus for softmax-then-top-k the gradient that reaches the chosen scores;
// d_logit = score * (d_score - sum_j score_j d_score_j) + 2 z lse score / T, plus for top-k-then-softmax that of the small softmax
#[multiversion(targets = "simd")]
fn backward_rows(d_logits: &mut [f32], saved: SavedRows<'_>, d_weights: &[f32], rule: RouterRule, balance: &[f32], z: f32) {
    let (e, k) = (rule.experts, rule.top_k);
    for (t, d_logits) in d_logits.chunks_exact_mut(e).enumerate() {
        let scores = &saved.scores[t * e..][..e];
        let ids = &saved.ids[t * k..][..k];
        let weights = &saved.weights[t * k..][..k];
        let d_weights = &d_weights[t * k..][..k];
        let inner: f32 = weights.iter().zip(d_weights).map(|(w, d)| w * d).sum();
        d_logits.copy_from_slice(balance);
        if rule.score == RouterScore::SoftmaxThenTopK {
            let chosen: f32 = ids.iter().map(|&id| scores[id as usize]).sum();
            for (&id, &d) in ids.iter().zip(d_weights) {
                // a renormalised weight is score / chosen
                d_logits[id as usize] += if rule.renormalize { (d - inner) / chosen } else { d };
            }
        }
        let shift = z * saved.lse[t] - math::dot(scores, d_logits);
        for (d, &score) in d_logits.iter_mut().zip(scores) {
            *d = score * (*d + shift);
        }
        if rule.score == RouterScore::TopKThenSoftmax {
            for ((&id, &d), &weight) in ids.iter().zip(d_weights).zip(weights) {
                d_logits[id as usize] += weight * (d - inner);
            }
        }
    }
}
