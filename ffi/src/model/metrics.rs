//! What the routers of a forward pass tell, summed over its sites: the auxiliary losses and the metrics of a step.

use crate::backend::{BalanceCounts, RouterStats};
use crate::layout::Layout;

/// Means over the sites that have a router, each unscaled. Where none has one, the losses are 0 and all else is NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RouterMetrics {
    /// `E * sum_e f_e p_e`; 1 when balanced.
    pub balance: f64,
    /// Mean of `logsumexp(logits)^2`.
    pub z: f64,
    /// Mean entropy of the softmax, nats.
    pub entropy: f64,
    /// Largest share of first choices that any expert of any site has.
    pub max_expert_share: f64,
    /// Share of experts that are nobody's first choice.
    pub dead_expert_share: f64,
    pub max_logit: f64,
    /// Largest over mean number of choices of an expert, averaged over sites.
    pub imbalance: f64,
    /// Over the pairs of sites in tied groups: share of tokens with the same first choice (the paper's definition; chance is 1/E). NaN without tied groups.
    pub agreement: f64,
    /// `1 - (mean unique experts chosen by the group - K) / (min(g K, E) - K)`, mean over groups (the public code's set measure). NaN without tied groups.
    pub set_agreement: f64,
}

const NO_ROUTER: RouterMetrics = RouterMetrics {
    balance: 0.0,
    z: 0.0,
    entropy: f64::NAN,
    max_expert_share: f64::NAN,
    dead_expert_share: f64::NAN,
    max_logit: f64::NAN,
    imbalance: f64::NAN,
    agreement: f64::NAN,
    set_agreement: f64::NAN,
};

impl RouterMetrics {
    /// From the statistics of every site with a router and the chosen experts (T, K) of every site.
    pub fn new(layout: &Layout, stats: &[RouterStats], expert_ids: &[Vec<i32>], counts: BalanceCounts) -> Self {
        let mut m = Self::of_stats(stats, counts);
        if !stats.is_empty() {
            (m.agreement, m.set_agreement) = agreements(layout, expert_ids);
        }
        m
    }

    /// The same from the statistics alone, with no agreements.
    pub fn of_stats(stats: &[RouterStats], counts: BalanceCounts) -> Self {
        if stats.is_empty() {
            return NO_ROUTER;
        }
        let mut m = RouterMetrics { max_logit: f64::NEG_INFINITY, ..Default::default() };
        let sites = stats.len() as f64;
        for s in stats {
            let (t, e) = (s.tokens as f64, s.tokens_per_expert.len() as f64);
            let chosen = if counts == BalanceCounts::TopK { &s.tokens_per_expert } else { &s.top1_per_expert };
            let total = chosen.iter().sum::<u64>() as f64;
            let fp: f64 = chosen.iter().zip(&s.score_sum).map(|(&c, &p)| c as f64 / total * p / t).sum();
            m.balance += e * fp / sites;
            m.z += s.z_sum / t / sites;
            m.entropy += s.entropy_sum / t / sites;
            let top = |counts: &[u64]| counts.iter().copied().max().unwrap_or(0) as f64;
            m.max_expert_share = m.max_expert_share.max(top(&s.top1_per_expert) / t);
            m.dead_expert_share += s.top1_per_expert.iter().filter(|&&c| c == 0).count() as f64 / e / sites;
            m.max_logit = m.max_logit.max(s.max_logit.into());
            m.imbalance += top(&s.tokens_per_expert) * e / s.tokens_per_expert.iter().sum::<u64>() as f64 / sites;
        }
        m
    }

    /// The mean over micro-steps or batches, each with its weight; extremes stay extremes.
    pub fn mean(all: &[(RouterMetrics, f64)]) -> Self {
        let total: f64 = all.iter().map(|(_, weight)| weight).sum();
        let mean = |f: fn(&RouterMetrics) -> f64| all.iter().map(|(m, weight)| weight * f(m)).sum::<f64>() / total;
        let max = |f: fn(&RouterMetrics) -> f64| all.iter().map(|(m, _)| f(m)).fold(f64::NAN, f64::max);
        RouterMetrics {
            balance: mean(|m| m.balance),
            z: mean(|m| m.z),
            entropy: mean(|m| m.entropy),
            max_expert_share: max(|m| m.max_expert_share),
            dead_expert_share: mean(|m| m.dead_expert_share),
            max_logit: max(|m| m.max_logit),
            imbalance: mean(|m| m.imbalance),
            agreement: mean(|m| m.agreement),
            set_agreement: mean(|m| m.set_agreement),
        }
    }
}

fn agreements(layout: &Layout, expert_ids: &[Vec<i32>]) -> (f64, f64) {
    let groups = layout.tied_groups();
    let (mut same, mut pairs, mut set) = (0.0, 0.0, 0.0);
    for group in &groups {
        let rule_of = |site: usize| layout.sites[site].ffn.moe().expect("a tied group has experts").rule;
        let rule = rule_of(group[0]);
        let k = rule.top_k;
        let tokens = expert_ids[group[0]].len() / k;
        debug_assert!(group.iter().all(|&s| rule_of(s).top_k == k), "checked with the plan");
        for (n, &a) in group.iter().enumerate() {
            for &b in &group[n + 1..] {
                let equal = (0..tokens).filter(|&t| expert_ids[a][t * k] == expert_ids[b][t * k]).count();
                same += equal as f64 / tokens as f64;
                pairs += 1.0;
            }
        }
        let mut unique = 0;
        let mut seen = vec![0; rule.experts];
        for t in 0..tokens {
            for &site in group {
                for &id in &expert_ids[site][t * k..(t + 1) * k] {
                    unique += usize::from(seen[id as usize] != t + 1);
                    seen[id as usize] = t + 1;
                }
            }
        }
        let most = (group.len() * k).min(rule.experts);
        // With K = E every group agrees.
        set += if most == k { 1.0 } else { 1.0 - (unique as f64 / tokens as f64 - k as f64) / (most - k) as f64 };
    }
    (same / pairs, set / groups.len() as f64)
}
