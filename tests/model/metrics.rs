//! Router metrics against numbers worked out by hand.

use bowline::backend::{BalanceCounts, RouterStats};
use bowline::layout::Layout;
use bowline::model::metrics::RouterMetrics;

use crate::common::*;

/// Three sites, of which the first two share their experts; four experts, two of them chosen by each token.
fn layout() -> Layout {
    Layout::new(&OLMOE.plan()).expect("checked")
}

fn stats(tokens: usize, counts: [u64; 4], top1: [u64; 4]) -> RouterStats {
    let score_sum = vec![0.4 * tokens as f64, 0.3 * tokens as f64, 0.2 * tokens as f64, 0.1 * tokens as f64];
    let (z_sum, entropy_sum) = (2.0 * tokens as f64, 0.5 * tokens as f64);
    RouterStats { tokens, tokens_per_expert: counts.into(), top1_per_expert: top1.into(), score_sum, z_sum, entropy_sum, max_logit: 3.0 }
}

fn metrics(ids: [&[i32]; 3], counts: BalanceCounts) -> RouterMetrics {
    let stats: Vec<RouterStats> = ids
        .iter()
        .map(|ids| {
            let count = |chosen: &mut dyn Iterator<Item = &i32>| {
                let mut out = [0; 4];
                chosen.for_each(|&id| out[id as usize] += 1);
                out
            };
            stats(ids.len() / 2, count(&mut ids.iter()), count(&mut ids.iter().step_by(2)))
        })
        .collect();
    let ids: Vec<Vec<i32>> = ids.iter().map(|ids| ids.to_vec()).collect();
    RouterMetrics::new(&layout(), &stats, &ids, counts)
}

#[test]
fn agreement_is_of_first_choices_and_set_agreement_of_unique_experts() {
    // Tokens 0 and 2 have the same first choice at both tied sites. Unique experts: 2, 4 and 3, in the mean 3; K = 2, and at most 4.
    let m = metrics([&[0, 1, 2, 3, 1, 0], &[0, 1, 0, 1, 1, 3], &[3, 2, 3, 2, 3, 2]], BalanceCounts::TopK);
    assert_eq!(m.agreement, 2.0 / 3.0);
    assert_eq!(m.set_agreement, 1.0 - (3.0 - 2.0) / (4.0 - 2.0));
}

#[test]
fn a_model_without_tied_experts_has_no_agreement() {
    let layout = Layout::new(&Micro { group_size: 1, ..OLMOE }.plan()).expect("checked");
    let stats = vec![stats(1, [1, 1, 0, 0], [1, 0, 0, 0]); 3];
    let m = RouterMetrics::new(&layout, &stats, &vec![vec![0, 1]; 3], BalanceCounts::TopK);
    assert!(m.agreement.is_nan() && m.set_agreement.is_nan(), "{m:?}");
}

#[test]
fn shares_and_losses_are_means_over_sites_and_extremes_stay() {
    let m = metrics([&[0, 1, 0, 1, 0, 1], &[0, 1, 1, 2, 2, 0], &[3, 2, 3, 2, 3, 2]], BalanceCounts::TopK);
    assert_eq!((m.max_expert_share, m.max_logit, m.entropy, m.z), (1.0, 3.0, 0.5, 2.0));
    // Experts that are nobody's first choice: 3, 1 and 3 of 4.
    assert!((m.dead_expert_share - 7.0 / 12.0).abs() < 1e-12, "{}", m.dead_expert_share);
    // 4 sum f p: f is (1/2, 1/2, 0, 0), (1/3, 1/3, 1/3, 0), (0, 0, 1/2, 1/2) and p (0.4, 0.3, 0.2, 0.1).
    let want = 4.0 * (0.35 + 0.3 + 0.15) / 3.0;
    assert!((m.balance - want).abs() < 1e-12, "{} and {want}", m.balance);
    let m = metrics([&[0, 1, 0, 1, 0, 1], &[0, 1, 1, 2, 2, 0], &[3, 2, 3, 2, 3, 2]], BalanceCounts::Argmax);
    // By first choices, f is (1, 0, 0, 0), (1/3, 1/3, 1/3, 0) and (0, 0, 0, 1).
    let want = 4.0 * (0.4 + 0.3 + 0.1) / 3.0;
    assert!((m.balance - want).abs() < 1e-12, "{} and {want}", m.balance);
}

#[test]
fn the_mean_of_batches_is_weighted_by_their_tokens() {
    let all = metrics([&[0, 1], &[0, 1], &[0, 1]], BalanceCounts::TopK);
    let none = metrics([&[0, 1], &[1, 0], &[0, 1]], BalanceCounts::TopK);
    let m = RouterMetrics::mean(&[(RouterMetrics { max_logit: 5.0, ..all }, 3.0), (none, 1.0)]);
    assert_eq!((m.agreement, m.max_logit), (0.75, 5.0));
}

#[test]
fn a_dense_site_takes_no_part() {
    let layout = Layout::new(&Micro { layers: 3, dense: &[2], ..MIXED }.plan()).expect("checked");
    assert_eq!((layout.routed_sites(), layout.tied_groups()), (2, vec![vec![0, 1]]));
    let two = [stats(1, [1, 1, 0, 0], [1, 0, 0, 0]), stats(1, [1, 1, 0, 0], [0, 1, 0, 0])];
    let m = RouterMetrics::new(&layout, &two, &[vec![0, 1], vec![1, 0], vec![]], BalanceCounts::TopK);
    assert_eq!((m.agreement, m.set_agreement, m.z, m.dead_expert_share), (0.0, 1.0, 2.0, 0.75));
}

#[test]
fn without_a_router_the_losses_are_0_and_there_is_nothing_to_tell() {
    let layout = Layout::new(&Micro { layers: 2, dense: &[0, 1], ..MIXED }.plan()).expect("checked");
    let none = RouterMetrics::new(&layout, &[], &[vec![], vec![]], BalanceCounts::TopK);
    let m = RouterMetrics::mean(&[(none, 1.0), (none, 1.0)]);
    assert_eq!((m.balance, m.z), (0.0, 0.0));
    assert!(
        [m.entropy, m.max_expert_share, m.dead_expert_share, m.max_logit, m.imbalance, m.agreement].iter().all(|x| x.is_nan()),
        "{m:?}"
    );
}
