//! Router: choices, combine weights, statistics, losses. One file: both orders of softmax and top-K, and both losses, share one reference.

use crate::common::*;
use bowline::backend::{Backend, BalanceCounts, RouterLoss, RouterRule, RouterScore, RouterStats, Routing};

#[derive(Clone)]
struct Router {
    t: usize,
    rule: RouterRule,
    loss: RouterLoss,
    logits: Vec<f32>,
    d_weights: Vec<f32>,
}

/// The three rules that models use, with the two ways to count.
fn rules() -> [(RouterScore, bool, BalanceCounts); 4] {
    [
        (RouterScore::SoftmaxThenTopK, false, BalanceCounts::TopK),
        (RouterScore::SoftmaxThenTopK, true, BalanceCounts::TopK),
        (RouterScore::TopKThenSoftmax, false, BalanceCounts::Argmax),
        (RouterScore::SoftmaxThenTopK, false, BalanceCounts::Argmax),
    ]
}

fn case(rng: &mut Rng, t: usize, experts: usize, top_k: usize, rule: (RouterScore, bool, BalanceCounts), step: f32) -> Router {
    let (score, renormalize, counts) = rule;
    // multiples of `step`: ties happen, and choices never hang on the last bit
    let logits = rng.values(t * experts).iter().map(|v| (4.0 * v / step).round() * step).collect();
    Router {
        t,
        rule: RouterRule { experts, top_k, score, renormalize },
        loss: RouterLoss { balance: 0.3, counts, z: 0.05 },
        logits,
        d_weights: rng.values(t * top_k),
    }
}

fn cases() -> Vec<Router> {
    let mut rng = Rng(10);
    let mut cases = Vec::new();
    for rule in rules() {
        // (T, E, K): empty, one expert, typical, sizes of the published models, K = E, many experts
        for (t, e, k) in [(0, 4, 2), (3, 1, 1), (70, 16, 4), (130, 60, 4), (65, 64, 8), (33, 5, 5), (20, 130, 1)] {
            cases.push(case(&mut rng, t, e, k, rule, 1.0 / 1024.0));
            cases.push(case(&mut rng, t, e, k, rule, 1.0));
        }
        // all equal: the first K in order
        let mut flat = case(&mut rng, 3, 7, 3, rule, 1.0);
        flat.logits.fill(-2.0);
        cases.push(flat);
        // one expert far above: every token takes it
        let mut hot = case(&mut rng, 66, 9, 2, rule, 0.25);
        hot.logits.iter_mut().skip(4).step_by(9).for_each(|v| *v = 30.0);
        cases.push(hot);
    }
    cases
}

struct Reference {
    scores: Vec<f64>,
    lse: Vec<f64>,
    ids: Vec<usize>,
    weights: Vec<f64>,
}

fn forward(rule: RouterRule, logits: &[f64]) -> Reference {
    let mut r = Reference { scores: Vec::new(), lse: Vec::new(), ids: Vec::new(), weights: Vec::new() };
    for row in logits.chunks_exact(rule.experts) {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let lse = max + row.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
        let scores: Vec<f64> = row.iter().map(|x| (x - lse).exp()).collect();
        let mut ids: Vec<usize> = (0..row.len()).collect();
        ids.sort_by(|&a, &b| row[b].partial_cmp(&row[a]).unwrap()); // stable: ties, 0 and -0 too, keep the lower id first
        ids.truncate(rule.top_k);
        let chosen: Vec<f64> = ids.iter().map(|&id| scores[id]).collect();
        let sum: f64 = chosen.iter().sum();
        let divide = rule.renormalize || rule.score == RouterScore::TopKThenSoftmax; // the small softmax is the renormalised large one
        r.weights.extend(chosen.iter().map(|s| if divide { s / sum } else { *s }));
        r.ids.extend(ids);
        r.scores.extend(scores);
        r.lse.push(lse);
    }
    r
}

impl Router {
    /// Share of each expert in the balance loss, a constant for gradients.
    fn shares(&self, ids: &[usize]) -> Vec<f64> {
        let mut shares = vec![0.0; self.rule.experts];
        for (slot, &id) in ids.iter().enumerate() {
            match self.loss.counts {
                BalanceCounts::TopK => shares[id] += 1.0 / ids.len() as f64,
                BalanceCounts::Argmax if slot % self.rule.top_k == 0 => shares[id] += 1.0 / self.t as f64,
                BalanceCounts::Argmax => (),
            }
        }
        shares
    }

    /// `<d_weights, weights> + balance E sum_e f_e p_e + z mean lse^2`, the function whose gradient `router_backward` is.
    fn total(&self, logits: &[f64], shares: &[f64]) -> f64 {
        let r = forward(self.rule, logits);
        let (e, t) = (self.rule.experts as f64, self.t as f64);
        let balance: f64 = r.scores.chunks_exact(shares.len()).map(|row| row.iter().zip(shares).map(|(p, f)| p * f).sum::<f64>()).sum();
        let z: f64 = r.lse.iter().map(|lse| lse * lse).sum();
        dot(&r.weights, &self.d_weights) + self.loss.balance as f64 * e * balance / t + self.loss.z as f64 * z / t
    }

    fn d_logits(&self) -> Vec<f64> {
        let (e, k, t) = (self.rule.experts, self.rule.top_k, self.t as f64);
        let r = forward(self.rule, &f64s(&self.logits));
        let shares = self.shares(&r.ids);
        let mut d_logits = Vec::new();
        for row in 0..self.t {
            let (scores, ids, weights) = (&r.scores[row * e..][..e], &r.ids[row * k..][..k], &r.weights[row * k..][..k]);
            let d_weights = &self.d_weights[row * k..][..k];
            let mut d: Vec<f64> = shares.iter().map(|f| self.loss.balance as f64 * e as f64 * f / t).collect();
            let divide = self.rule.renormalize || self.rule.score == RouterScore::TopKThenSoftmax;
            let sum: f64 = ids.iter().map(|&id| scores[id]).sum();
            let inner = if divide { dot(weights, d_weights) } else { 0.0 };
            for (&id, &d_weight) in ids.iter().zip(d_weights) {
                d[id] += (d_weight as f64 - inner) / if divide { sum } else { 1.0 };
            }
            let mean: f64 = scores.iter().zip(&d).map(|(p, d)| p * d).sum();
            d_logits.extend(scores.iter().zip(&d).map(|(p, d)| p * (d - mean + 2.0 * self.loss.z as f64 * r.lse[row] / t)));
        }
        d_logits
    }

    fn forward<B: Backend>(&self, b: &B) -> bowline::error::Result<(Vec<Out>, Vec<i32>, RouterStats)> {
        let Router { t, rule, .. } = *self;
        let (e, k) = (rule.experts, rule.top_k);
        let [scores, lse, weights] = [t * e, t, t * k].map(|n| Floats::new(b, &vec![9.0; n]));
        let ids = Ints::new(b, &vec![9; t * k]);
        // the guarded buffers travel inside the routing and are read again from it
        let mut routing = Routing { scores: scores.buf, lse: lse.buf, expert_ids: ids.buf, combine_weights: weights.buf };
        let stats = b.router_forward(&mut routing, &Floats::new(b, &self.logits).buf, t, rule)?;
        let mut d_logits = Floats::new(b, &vec![9.0; t * e]);
        b.router_backward(&mut d_logits.buf, &routing, &stats, &Floats::new(b, &self.d_weights).buf, t, rule, self.loss)?;
        let ids = Ints::<B>::wrap(routing.expert_ids, t * k).read(b);
        let outs = [("scores", routing.scores, t * e), ("lse", routing.lse, t), ("combine_weights", routing.combine_weights, t * k)];
        let mut outs: Vec<Out> = outs.into_iter().map(|(name, buf, n)| out(name, Floats::<B>::wrap(buf, n).read(b))).collect();
        outs.push(out("d_logits", d_logits.read(b)));
        Ok((outs, ids, stats))
    }
}

impl Case for Router {
    fn label(&self) -> String {
        format!("router T={} {:?} {:?}", self.t, self.rule, self.loss.counts)
    }
    fn run<B: Backend>(&self, b: &B) -> Vec<Out> {
        match self.forward(b) {
            Ok((mut outs, ids, stats)) => {
                outs.push(out("expert_ids", ids.iter().map(|&id| id as f32).collect()));
                outs.push(out("tokens_per_expert", stats.tokens_per_expert.iter().map(|&n| n as f32).collect()));
                outs.push(out("top1_per_expert", stats.top1_per_expert.iter().map(|&n| n as f32).collect()));
                outs.push(out("score_sum", stats.score_sum.iter().map(|&n| n as f32).collect()));
                outs.push(out("sums", vec![stats.tokens as f32, stats.z_sum as f32, stats.entropy_sum as f32, stats.max_logit]));
                outs
            }
            // a logit that is not finite is refused: no output is within anything
            Err(_) => (0..9).map(|_| out("refused", vec![f32::NAN; 3])).collect(),
        }
    }
    fn reference(&self) -> Vec<(Vec<f64>, Tolerance)> {
        let Router { t, rule: RouterRule { experts: e, top_k: k, .. }, .. } = *self;
        let logits = f64s(&self.logits);
        let r = forward(self.rule, &logits);
        let (mut counts, mut top1, mut score_sum) = (vec![0.0; e], vec![0.0; e], vec![0.0; e]);
        r.ids.iter().for_each(|&id| counts[id] += 1.0);
        r.ids.iter().step_by(k).for_each(|&id| top1[id] += 1.0);
        r.scores.chunks_exact(e).for_each(|row| row.iter().zip(&mut score_sum).for_each(|(p, sum)| *sum += p));
        let entropy: f64 = r.scores.iter().map(|p| -p * p.ln()).sum();
        let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sums = vec![t as f64, r.lse.iter().map(|lse| lse * lse).sum(), entropy, max];
        let ids = r.ids.iter().map(|&id| id as f64).collect();
        // a logit up to 4 (30 in the hot case) is rounded once when the maximum is taken off it; entropy is a difference of such numbers
        let sums_tolerance = Tolerance { atol: 4e-6 * t as f64, rtol: 1e-6 };
        vec![
            (r.scores, rounding(16)),
            (r.lse, rounding(16)),
            (r.weights, rounding(16)),
            (self.d_logits(), rounding(64)),
            (ids, EXACT),
            (counts, EXACT),
            (top1, EXACT),
            (score_sum, rounding(t)),
            (sums, sums_tolerance),
        ]
    }
    fn inputs(&mut self) -> Vec<&mut Vec<f32>> {
        vec![&mut self.logits, &mut self.d_weights]
    }
}

#[test]
fn router() {
    check(cases().into_iter().filter(|case| case.t > 0).collect());
}

#[test]
fn no_tokens_no_counts() {
    for case in cases().into_iter().filter(|case| case.t == 0) {
        let (outs, ids, stats) = case.forward(&cpus()[0]).unwrap();
        assert!(ids.is_empty() && outs.iter().all(|out| out.values.is_empty()));
        assert_eq!(stats.tokens_per_expert, [0; 4]);
        assert_eq!((stats.tokens, stats.z_sum, stats.max_logit), (0, 0.0, f32::NEG_INFINITY));
    }
}

#[test]
fn gradients() {
    for case in cases().into_iter().filter(|case| case.t > 0) {
        let (outs, ..) = case.forward(&cpus()[1]).unwrap();
        let shares = case.shares(&forward(case.rule, &f64s(&case.logits)).ids);
        // only where no step of a difference changes a choice
        let tied = case.logits.chunks_exact(case.rule.experts).any(|row| {
            let mut row = row.to_vec();
            row.sort_by(f32::total_cmp);
            row.windows(2).any(|pair| pair[1] - pair[0] < 1e-4)
        });
        if !tied {
            check_gradient(&case.label(), &case.logits, &outs[3].values, rounding(64), |logits| case.total(logits, &shares));
        }
    }
    // the filter above leaves cases of every rule: one of them is enough to know it does not leave nothing
    let mut rng = Rng(11);
    for rule in rules() {
        let mut case = case(&mut rng, 70, 6, 3, rule, 1.0);
        for row in case.logits.chunks_exact_mut(6) {
            row.iter_mut().enumerate().for_each(|(i, v)| *v = (*v + i as f32 * 0.15) * if i % 2 == 0 { 1.0 } else { -0.9 });
        }
        let (outs, ..) = case.forward(&cpus()[1]).unwrap();
        let shares = case.shares(&forward(case.rule, &f64s(&case.logits)).ids);
        check_gradient(&case.label(), &case.logits, &outs[3].values, rounding(64), |logits| case.total(logits, &shares));
    }
}

#[test]
fn every_choice_lands_once_and_scores_sum_to_one() {
    for case in cases() {
        let (outs, ids, stats) = case.forward(&cpus()[2]).unwrap();
        assert_eq!(stats.tokens_per_expert.iter().sum::<u64>() as usize, case.t * case.rule.top_k);
        assert_eq!(stats.top1_per_expert.iter().sum::<u64>() as usize, case.t);
        for ids in ids.chunks_exact(case.rule.top_k) {
            assert!((1..ids.len()).all(|i| !ids[..i].contains(&ids[i])), "{}: an expert twice in {ids:?}", case.label());
        }
        let sums: Vec<f32> = outs[0].values.chunks_exact(case.rule.experts).map(|row| row.iter().sum()).collect();
        within(&case.label(), &sums, &vec![1.0; case.t], rounding(4)).unwrap();
    }
}

#[test]
fn refuses_a_logit_that_is_not_finite() {
    let mut rng = Rng(12);
    for (value, b) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].into_iter().zip(cpus()) {
        let mut case = case(&mut rng, 200, 5, 2, rules()[0], 1.0);
        case.logits[150 * 5 + 3] = value;
        case.logits[190 * 5] = f32::NAN;
        let error = case.forward(b).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), format!("Cannot route token 150: the logit of expert 3 is {value}, must be finite"));
    }
}
