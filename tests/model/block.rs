//! The two halves of a site, each alone: the gradient of its input and of every parameter it uses against differences of
//! `<weight, output> / T` for random weights.

use bowline::backend::{BalanceCounts, RouterLoss};
use bowline::cpu::Cpu;
use bowline::model::Model;
use bowline::model::attention::{self, AttentionSaved, AttentionScratch};
use bowline::model::moe::{self, MoeSaved, MoeScratch};

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

struct Moe {
    tokens: usize,
    saved: MoeSaved<Cpu>,
    scratch: MoeScratch<Cpu>,
}

impl Half for Moe {
    fn forward(&mut self, cpu: &Cpu, model: &Model<Cpu>, h: &mut Vec<f32>) {
        let site = &model.layout.sites[0].moe;
        moe::forward(cpu, h, &mut self.saved, &mut self.scratch, &model.weights, site, model.layout.width, self.tokens).expect("forward");
    }
    fn backward(&mut self, cpu: &Cpu, model: &Model<Cpu>, d_h: &mut Vec<f32>, grads: &mut [Vec<f32>]) {
        let site = &model.layout.sites[0].moe;
        // The router's own losses are in the checks of whole models.
        let loss = RouterLoss { balance: 0.0, counts: BalanceCounts::TopK, z: 0.0 };
        let (saved, d) = (&self.saved, model.layout.width);
        moe::backward(cpu, d_h, grads, saved, &mut self.scratch, &model.weights, site, loss, d, self.tokens).expect("backward");
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

#[test]
fn moe() {
    let cpu = Cpu::new(1).expect("threads");
    for micro in [OLMOE, QWEN3, VANILLA] {
        // K = E keeps the choice of experts fixed, or the output would not be smooth.
        let micro = Micro { top_k: micro.experts, ..micro };
        let (model, tokens) = (micro.model(&cpu), micro.batch * micro.seq_len);
        let (site, d) = (model.layout.sites[0].moe, model.layout.width);
        let saved = MoeSaved::new(&cpu, &site, d, tokens).expect("memory");
        let scratch = MoeScratch::new(&cpu, [site].into_iter(), d, tokens, true).expect("memory");
        // Norm, router, gate_up and down.
        check_half(&cpu, model, Moe { tokens, saved, scratch }, tokens, 4);
    }
}
