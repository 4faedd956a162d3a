//! The two halves of a site, each alone: the gradient of its input and of every parameter it uses against differences of
//! `<weight, output> / T` for random weights.

use bowline::backend::{BalanceCounts, RouterLoss};
use bowline::cpu::Cpu;
use bowline::model::Model;
use bowline::model::attention::{self, AttentionSaved, AttentionScratch};
use bowline::model::ffn::{self, FfnSaved, FfnScratch};

use crate::common::*;

/// One half of the first site of a model.
trait Half {
    /// Overwrites `h` (T, D) with the residual stream after this half.
    fn forward(&mut self, cpu: &Cpu, model: &Model<Cpu>, h: &mut Vec<f32>);
    /// Takes the gradient `d_h` (T, D) back through this half; adds into `grads`.
    fn backward(&mut self, cpu: &Cpu, model: &Model<Cpu>, d_h: &mut Vec<f32>, grads: &mut [Vec<f32>]);
}

struct Attention {
    micro: Micro,
    saved: AttentionSaved<Cpu>,
    scratch: AttentionScratch<Cpu>,
}

impl Half for Attention {
    fn forward(&mut self, cpu: &Cpu, model: &Model<Cpu>, h: &mut Vec<f32>) {
        let site = &model.layout.sites[0].attention;
        let dims = site.dims(self.micro.batch, self.micro.seq_len);
        attention::forward(cpu, h, &mut self.saved, &mut self.scratch, &model.weights, site, model.layout.width, dims).expect("forward");
    }
    fn backward(&mut self, cpu: &Cpu, model: &Model<Cpu>, d_h: &mut Vec<f32>, grads: &mut [Vec<f32>]) {
        let site = &model.layout.sites[0].attention;
        let dims = site.dims(self.micro.batch, self.micro.seq_len);
        attention::backward(cpu, d_h, grads, &self.saved, &mut self.scratch, &model.weights, site, model.layout.width, dims)
            .expect("backward");
    }
}

struct FeedForward {
    tokens: usize,
    saved: FfnSaved<Cpu>,
    scratch: FfnScratch<Cpu>,
}

impl Half for FeedForward {
    fn forward(&mut self, cpu: &Cpu, model: &Model<Cpu>, h: &mut Vec<f32>) {
        let site = &model.layout.sites[0].ffn;
        ffn::forward(cpu, h, &mut self.saved, &mut self.scratch, &model.weights, site, model.layout.width, self.tokens).expect("forward");
    }
    fn backward(&mut self, cpu: &Cpu, model: &Model<Cpu>, d_h: &mut Vec<f32>, grads: &mut [Vec<f32>]) {
        let site = &model.layout.sites[0].ffn;
        // The router's own losses are in the checks of whole models.
        let loss = RouterLoss { balance: 0.0, counts: BalanceCounts::TopK, z: 0.0 };
        let (saved, d) = (&mut self.saved, model.layout.width);
        let stats = saved.routed(site).map(|moe| moe.stats.clone()).unwrap_or_default();
        ffn::backward(cpu, d_h, grads, saved, &Vec::new(), &mut self.scratch, &model.weights, site, loss, &stats, d, self.tokens)
            .expect("backward");
    }
}

/// Checks the input and the parameters that the half uses: those with a gradient, which must be `wanted` many.
fn check_half(cpu: &Cpu, mut model: Model<Cpu>, mut half: impl Half, tokens: usize, wanted: usize) {
    let mut rng = rng(21);
    let size = tokens * model.layout.width;
    let h_in: Vec<f32> = (0..size).map(|_| centered(&mut rng)).collect();
    let weight: Vec<f32> = (0..size).map(|_| 2.0 * centered(&mut rng) / tokens as f32).collect();
    let mut grads = model.zeros_like(cpu).expect("memory");
    let (mut h, mut d_h) = (h_in.clone(), weight.clone());
    half.forward(cpu, &model, &mut h);
    half.backward(cpu, &model, &mut d_h, &mut grads);
    let mut loss = |model: &Model<Cpu>, input: &[f32]| {
        let mut h = input.to_vec();
        half.forward(cpu, model, &mut h);
        h.iter().zip(&weight).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum::<f64>()
    };
    check_gradient("input", &h_in, &d_h, 3e-2, 1e-2, |values| loss(&model, values));
    let used: Vec<usize> = (0..grads.len()).filter(|&i| grads[i].iter().any(|&g| g != 0.0)).collect();
    assert_eq!(used.len(), wanted, "parameters with a gradient");
    for i in used {
        let (name, start) = (model.layout.params[i].name.clone(), model.weights[i].clone());
        check_gradient(&name, &start, &grads[i], 3e-2, 1e-2, |values| {
            model.weights[i].copy_from_slice(values);
            loss(&model, &h_in)
        });
        model.weights[i] = start;
    }
}

#[test]
fn attention() {
    let cpu = Cpu::new(1).expect("threads");
    for micro in [OLMOE, QWEN3, Micro { qk_norm: "none", ..OLMOE }, LORA] {
        let (model, tokens) = (micro.model(&cpu), micro.batch * micro.seq_len);
        let (site, d) = (model.layout.sites[0].attention, model.layout.width);
        let saved = AttentionSaved::new(&cpu, &site, d, tokens).expect("memory");
        let scratch = AttentionScratch::new(&cpu, [site].into_iter(), d, tokens, true).expect("memory");
        // Norm, q, k, v and o; two gains; three matrices of an adapter.
        let wanted = 5 + if micro.qk_norm == "none" { 0 } else { 2 } + if micro.adapter_rank > 0 { 3 } else { 0 };
        check_half(&cpu, model, Attention { micro, saved, scratch }, tokens, wanted);
    }
}

/// Checks the second half of the first site; `wanted` parameters have a gradient.
fn check_feed_forward(micro: Micro, wanted: usize) {
    let cpu = Cpu::new(1).expect("threads");
    let (model, tokens) = (micro.model(&cpu), micro.batch * micro.seq_len);
    let (site, d) = (model.layout.sites[0].ffn, model.layout.width);
    let saved = FfnSaved::new(&cpu, [&site], d, tokens, Recompute::Nothing).expect("memory");
    let scratch = FfnScratch::new(&cpu, [&site].into_iter(), d, tokens, true, Recompute::Nothing).expect("memory");
    check_half(&cpu, model, FeedForward { tokens, saved, scratch }, tokens, wanted);
}

#[test]
fn moe() {
    for micro in [OLMOE, QWEN3, VANILLA] {
        // K = E keeps the choice of experts fixed, or the output would not be smooth. Norm, router, gate_up and down.
        check_feed_forward(Micro { top_k: micro.experts, ..micro }, 4);
    }
}

#[test]
fn dense() {
    for micro in [MIXED, Micro { slices: "split", batch: 1, seq_len: 1, ..MIXED }, Micro { batch: 3, seq_len: 5, ..MIXED }] {
        // Norm, gate_up and down.
        check_feed_forward(micro, 3);
    }
}

/// The half as its formula says, in f64: row by row, no op of ours.
fn dense_reference(model: &Model<Cpu>, h: &[f32], d: usize) -> Vec<f64> {
    let site = model.layout.sites[0].ffn.dense().expect("dense");
    let (norm, gate_up, down) = (&model.weights[site.norm.w], &model.weights[site.gate_up], &model.weights[site.down]);
    let f = site.width;
    let product = |w: &[f32], x: &[f64]| w.iter().zip(x).map(|(&w, x)| f64::from(w) * x).sum::<f64>();
    h.chunks_exact(d)
        .flat_map(|row| {
            let square = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / d as f64;
            let scale = (square + f64::from(site.norm.eps)).sqrt().recip();
            let x: Vec<f64> = row.iter().zip(norm).map(|(&x, &w)| f64::from(x) * scale * f64::from(w)).collect();
            let act: Vec<f64> = (0..f)
                .map(|i| {
                    let (gate, up) = (product(&gate_up[i * d..][..d], &x), product(&gate_up[(f + i) * d..][..d], &x));
                    gate / (1.0 + (-gate).exp()) * up
                })
                .collect();
            (0..d).map(|i| f64::from(row[i]) + product(&down[i * f..][..f], &act)).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn a_dense_half_computes_its_formula_for_any_number_of_tokens_that_fit() {
    let cpu = Cpu::new(2).expect("threads");
    let model = MIXED.model(&cpu);
    let (site, d, room) = (model.layout.sites[0].ffn, model.layout.width, 37);
    let mut saved = FfnSaved::new(&cpu, [&site], d, room, Recompute::Nothing).expect("memory");
    let mut scratch = FfnScratch::new(&cpu, [&site].into_iter(), d, room, false, Recompute::Nothing).expect("memory");
    let mut rng = rng(8);
    for tokens in [37, 1, 0, 13] {
        let input: Vec<f32> = (0..tokens * d).map(|_| 2.0 * centered(&mut rng)).collect();
        let mut got = input.clone();
        ffn::forward(&cpu, &mut got, &mut saved, &mut scratch, &model.weights, &site, d, tokens).expect("forward");
        let want = dense_reference(&model, &input, d);
        assert_eq!(got.len(), want.len());
        for (i, (&got, want)) in got.iter().zip(want).enumerate() {
            // Sums of at most 10 products of numbers near 1, in f32.
            assert!((f64::from(got) - want).abs() <= 2e-6 * want.abs().max(1.0), "{tokens} tokens, [{i}]: got {got}, want {want}");
        }
    }
}
