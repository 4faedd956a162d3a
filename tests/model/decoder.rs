//! One position after the other with a cache gives what the whole sequence gives.

use bowline::cpu::Cpu;
use bowline::model::decoder::Decoder;
use bowline::model::{Model, Workspace};

use crate::common::*;

/// Loss of token `next` after logits.
fn loss(logits: &[f32], next: i32) -> f64 {
    let top = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let sum: f64 = logits.iter().map(|&x| f64::from(x - top).exp()).sum();
    f64::from(top - logits[next as usize]) + sum.ln()
}

#[test]
fn every_split_of_a_sequence_gives_the_losses_of_the_whole() {
    let cpu = Cpu::new(2).expect("threads");
    for micro in [OLMOE, QWEN3, VANILLA, LORA, MIXED] {
        let micro = Micro { seq_len: 12, batch: 1, ..micro };
        let model = micro.model(&cpu);
        let tokens = micro.windows(9, 1);
        let mut workspace = Workspace::new(&cpu, &model.layout, 1, 12, false, false).expect("memory");
        workspace.load(&cpu, &model.layout, &tokens, false).expect("tokens");
        unwatched(|w| workspace.forward(&cpu, &model, w)).expect("forward");
        let want = workspace.losses(&cpu, &model).expect("losses");
        for pieces in [vec![1; 12], vec![12], vec![5, 1, 6]] {
            let mut decoder = Decoder::new(&cpu, &model.layout, 12).expect("memory");
            let mut at = 0;
            for piece in pieces {
                let logits = decoder.push(&cpu, &model, &tokens[at..at + piece]).expect("room");
                at += piece;
                let (got, want) = (loss(&logits, tokens[at]), f64::from(want[at - 1]));
                assert!((got - want).abs() <= 1e-5 * want, "after {at} tokens: got {got}, want {want}");
            }
        }
    }
}

#[test]
fn a_full_cache_refuses_more() {
    let cpu = Cpu::new(1).expect("threads");
    let model: Model<Cpu> = OLMOE.model(&cpu);
    let mut decoder = Decoder::new(&cpu, &model.layout, 3).expect("memory");
    decoder.push(&cpu, &model, &[1, 2]).expect("room");
    let error = decoder.push(&cpu, &model, &[3, 4]).expect_err("two more do not fit").to_string();
    assert_eq!(error, "Cannot append 2 tokens at position 2: wanted 1 to 1");
}
