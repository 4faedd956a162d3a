//! Log-likelihoods: against the losses of whole sequences, and to the bit whatever is scored beside them.

use bowline::cpu::Cpu;
use bowline::model::Workspace;
use bowline::score::{Pair, Score, rolling_windows, score_pairs};
use rand_chacha::rand_core::Rng;

use crate::common::*;

fn tokens(seed: u64, count: usize) -> Vec<i32> {
    let mut rng = rng(seed);
    (0..count).map(|_| (rng.next_u32() as usize % VOCAB) as i32).collect()
}

fn scored(micro: Micro, lanes: usize, pairs: &[Pair]) -> Vec<Score> {
    let lanes: Vec<Cpu> = (0..lanes).map(|_| Cpu::new(1).expect("a thread")).collect();
    let model = micro.model(&lanes[0]);
    unwatched(|watch| score_pairs(&model, &lanes, pairs, watch)).expect("scores").0
}

/// Contexts and continuations of many lengths, also beyond the pieces in which the decoder takes them; four share a context.
fn mixed() -> Vec<Pair> {
    let lengths = [(1, 1), (1, 2), (5, 17), (127, 1), (128, 16), (129, 33), (200, 3), (300, 140), (2, 290)];
    let mut pairs: Vec<Pair> = lengths
        .iter()
        .enumerate()
        .map(|(i, &(context, continuation))| Pair {
            context: tokens(i as u64, context),
            continuation: tokens(100 + i as u64, continuation),
        })
        .collect();
    pairs.extend((0..4).map(|i| Pair { context: tokens(50, 40), continuation: tokens(60 + i, 3 + i as usize) }));
    pairs
}

fn bits(scores: &[Score]) -> Vec<(u64, bool)> {
    scores.iter().map(|score| (score.log_likelihood.to_bits(), score.is_greedy)).collect()
}

#[test]
fn a_score_is_the_sum_of_the_losses_of_the_sequence() {
    for micro in [OLMOE, QWEN3, VANILLA, LORA] {
        let (cpu, pairs) = (Cpu::new(2).expect("threads"), mixed());
        let model = micro.model(&cpu);
        for (pair, score) in pairs.iter().zip(scored(micro, 1, &pairs)) {
            let all = [&pair.context[..], &pair.continuation].concat();
            let seq = all.len() - 1;
            let mut workspace = Workspace::new(&cpu, &model.layout, 1, seq, false, false).expect("memory");
            workspace.load(&cpu, &model.layout, &all, false).expect("tokens");
            unwatched(|w| workspace.forward(&cpu, &model, w)).expect("forward");
            let losses = workspace.losses(&cpu, &model).expect("losses");
            let want: f64 = -losses[pair.context.len() - 1..].iter().map(|&loss| f64::from(loss)).sum::<f64>();
            // f32 sums in another order: about 1e-6 a token.
            assert!((score.log_likelihood - want).abs() <= 1e-5 * want.abs(), "{score:?}, want {want}");
        }
    }
}

#[test]
fn greedy_is_the_likeliest_token_at_every_place() {
    let cpu = Cpu::new(1).expect("a thread");
    let model = OLMOE.model(&cpu);
    let context = tokens(1, 6);
    let mut decoder = bowline::model::decoder::Decoder::new(&cpu, &model.layout, 20).expect("memory");
    let mut next = context.clone();
    let continuation: Vec<i32> = (0..5)
        .map(|_| {
            let logits = decoder.push(&cpu, &model, &next).expect("room");
            let best = (0..VOCAB).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).expect("tokens") as i32;
            next = vec![best];
            best
        })
        .collect();
    let pair = |continuation: Vec<i32>| Pair { context: context.clone(), continuation };
    let mut pairs = vec![pair(continuation.clone())];
    for at in 0..5 {
        let mut other = continuation.clone();
        other[at] = (other[at] + 1) % VOCAB as i32;
        pairs.push(pair(other));
    }
    let greedy: Vec<bool> = scored(OLMOE, 1, &pairs).iter().map(|score| score.is_greedy).collect();
    assert_eq!(greedy, [true, false, false, false, false, false]);
}

#[test]
fn the_bits_do_not_depend_on_lanes_order_or_company() {
    let pairs = mixed();
    let alone: Vec<Score> = pairs.iter().flat_map(|pair| scored(OLMOE, 1, std::slice::from_ref(pair))).collect();
    for lanes in [1, 2, 5] {
        assert_eq!(bits(&scored(OLMOE, lanes, &pairs)), bits(&alone), "{lanes} lanes");
        let reversed: Vec<Pair> = pairs.iter().rev().cloned().collect();
        let mut scores = scored(OLMOE, lanes, &reversed);
        scores.reverse();
        assert_eq!(bits(&scores), bits(&alone), "{lanes} lanes, reversed");
    }
}

#[test]
fn the_cancel_flag_stops_it_and_weights_that_are_no_numbers_are_told() {
    let cpu = Cpu::new(1).expect("a thread");
    let mut model = OLMOE.model(&cpu);
    let pairs = mixed();
    let cancel = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let stopped = score_pairs(&model, std::slice::from_ref(&cpu), &pairs, &bowline::data::Watch::new(&|_| {}, &cancel));
    assert!(matches!(stopped, Err(bowline::error::Error::Cancelled)), "{stopped:?}");
    let head = model.layout.head;
    model.weights[head][3] = f32::NAN;
    let broken = unwatched(|watch| score_pairs(&model, std::slice::from_ref(&cpu), &pairs, watch));
    assert!(matches!(broken, Err(bowline::error::Error::NotFinite { .. })), "{broken:?}");
}

#[test]
fn rolling_windows_score_every_token_once_with_all_the_context_that_fits() {
    for (count, max_len) in [(0, 4), (1, 4), (4, 4), (5, 4), (8, 4), (11, 4), (3, 1), (100, 7)] {
        let tokens: Vec<i32> = (0..count).collect();
        let windows = rolling_windows(&tokens, -1, max_len);
        let scored: Vec<i32> = windows.iter().flat_map(|window| window.continuation.clone()).collect();
        assert_eq!(scored, tokens);
        for (at, Pair { context, continuation }) in windows.iter().enumerate() {
            let first = continuation[0] as usize;
            if at == 0 {
                assert_eq!(context, &[-1]);
                continue;
            }
            assert_eq!(context.len() + continuation.len() - 1, max_len, "the model's whole length is read");
            assert_eq!(context[..], tokens[first - context.len()..first], "what stands before");
        }
    }
}
