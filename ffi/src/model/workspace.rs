//! One micro-step: all activations of a model at a fixed size, the forward pass, the losses and the backward pass.

use super::Model;
use super::attention::{self, AttentionSaved, AttentionScratch};
use super::ffn::{self, FfnSaved, FfnScratch};
use crate::backend::{Backend, BalanceCounts, Memory, RouterLoss, RouterStats};
use crate::data::Watch;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::plan::Recompute;

/// What a micro-step contributes to its step.
#[derive(Clone, Copy, Debug)]
pub struct MicroStep {
    /// Factor of each target's loss: 1 / (targets of the whole step).
    pub loss_scale: f32,
    /// Coefficients per site with a router, already divided by their number and that of the micro-steps.
    pub router_loss: RouterLoss,
}

impl MicroStep {
    /// Mean over the `targets` of a whole step, and over its micro-steps and `sites`, those with a router, for the router losses.
    pub fn new(targets: usize, micro_steps: usize, sites: usize, balance: f64, counts: BalanceCounts, z: f64) -> Self {
        let parts = (micro_steps * sites) as f64;
        MicroStep {
            loss_scale: 1.0 / targets as f32,
            router_loss: RouterLoss { balance: (balance / parts) as f32, counts, z: (z / parts) as f32 },
        }
    }
}

/// Activations and scratch for micro-batches of up to `batch` windows of `seq` tokens.
pub struct Workspace<B: Memory> {
    batch: usize,
    seq: usize,
    /// Windows loaded now.
    loaded: usize,
    tokens: B::I,
    /// (T) the rows of the embedding's gradient, -1 where a token has none
    grad_rows: B::I,
    /// Rows that this gradient has.
    num_grad_rows: usize,
    targets: B::I,
    /// (T, D) residual stream
    h: B::F,
    /// (T, D) gradient of the residual stream
    d_h: B::F,
    losses: B::F,
    /// One per site, or a single one that every site uses in turn.
    saved: Vec<(AttentionSaved<B>, FfnSaved<B>)>,
    /// (T, D) per site: what its activations are recomputed from. Empty unless sites are.
    inputs: Vec<B::F>,
    attention: AttentionScratch<B>,
    ffn: FfnScratch<B>,
    /// (T, K) per site, of the last forward pass; empty where there is no router.
    pub expert_ids: Vec<Vec<i32>>,
    /// Per site, of the last forward pass or of [`Workspace::share`]; zeros where there is no router.
    stats: Vec<RouterStats>,
}

/// What the backward pass reads of all sites.
pub struct Activations<B: Memory> {
    /// One per site, or a single one that every site uses in turn.
    saved: Vec<(AttentionSaved<B>, FfnSaved<B>)>,
    /// (T, D) per site: what its activations are recomputed from. Empty unless sites are.
    inputs: Vec<B::F>,
}

impl<B: Memory> Activations<B> {
    /// As for [`Workspace::new`].
    pub fn new(b: &B, layout: &Layout, t: usize, train: bool, recompute: Recompute) -> Result<Self> {
        let (d, sites) = (layout.width, layout.sites.iter());
        let is_recomputing_sites = train && recompute == Recompute::Sites;
        let saved = if train && !is_recomputing_sites {
            sites
                .clone()
                .map(|s| Ok((AttentionSaved::new(b, &s.attention, d, t)?, FfnSaved::new(b, [&s.ffn], d, t, recompute)?)))
                .collect::<Result<_>>()?
        } else {
            let largest = sites.clone().max_by_key(|s| s.attention.q_width() + s.attention.kv_width()).expect("a checked plan has sites");
            vec![(AttentionSaved::new(b, &largest.attention, d, t)?, FfnSaved::new(b, sites.clone().map(|s| &s.ffn), d, t, recompute)?)]
        };
        let inputs = if is_recomputing_sites { sites.map(|_| b.zeros(t * d)).collect::<Result<_>>()? } else { Vec::new() };
        Ok(Activations { saved, inputs })
    }
}

impl<B: Memory> Workspace<B> {
    /// Allocates for training, or with `train` false for evaluation only (no gradients; activations of one site at a time).
    pub fn new(b: &B, layout: &Layout, batch: usize, seq: usize, train: bool, recompute: Recompute) -> Result<Self> {
        let (t, d) = (batch * seq, layout.width);
        let sites = layout.sites.iter();
        let Activations { saved, inputs } = Activations::new(b, layout, t, train, recompute)?;
        Ok(Workspace {
            batch,
            seq,
            loaded: 0,
            tokens: b.zeros_i32(t)?,
            grad_rows: b.zeros_i32(t)?,
            num_grad_rows: layout.vocab,
            targets: b.zeros_i32(t)?,
            h: b.zeros(t * d)?,
            d_h: b.zeros(if train { t * d } else { 0 })?,
            losses: b.zeros(t)?,
            saved,
            inputs,
            attention: AttentionScratch::new(b, sites.clone().map(|s| s.attention), d, t, train)?,
            ffn: FfnScratch::new(b, sites.map(|s| &s.ffn), d, t, train, recompute)?,
            expert_ids: Vec::new(),
            stats: Vec::new(),
        })
    }
}

impl<B: Backend> Workspace<B> {
    /// Takes whole windows (B, S+1) as inputs and targets; with `mask_last` the last target of each window does not count.
    /// Returns the number of targets.
    pub fn load(&mut self, b: &B, layout: &Layout, windows: &[i32], mask_last: bool) -> Result<usize> {
        self.load_for(b, layout, windows, mask_last, None)
    }

    /// The same, for a backward pass into an embedding's gradient of which `row_of_id` (V) tells the rows ([`Gradients::row_of_id`]).
    pub fn load_for(&mut self, b: &B, layout: &Layout, windows: &[i32], mask_last: bool, row_of_id: Option<&[i32]>) -> Result<usize> {
        let (width, vocab) = (self.seq + 1, layout.vocab);
        if windows.is_empty() || !windows.len().is_multiple_of(width) || windows.len() > self.batch * width {
            return Err(Error::Argument(format!(
                "Cannot use {} tokens: wanted 1 to {} windows of {width} (sequence length {} and one target)",
                windows.len(),
                self.batch,
                self.seq
            )));
        }
        if let Some(i) = windows.iter().position(|&id| id < 0 || id as usize >= vocab) {
            return Err(Error::Argument(format!("Cannot use token {} at position {i}: wanted 0 to {}", windows[i], vocab - 1)));
        }
        let mut tokens = Vec::with_capacity(self.batch * self.seq);
        let mut targets = Vec::with_capacity(self.batch * self.seq);
        for window in windows.chunks_exact(width) {
            tokens.extend_from_slice(&window[..self.seq]);
            targets.extend_from_slice(&window[1..]);
            if mask_last {
                targets[tokens.len() - 1] = -1;
            }
        }
        b.upload_i32(&mut self.tokens, &tokens)?;
        b.upload_i32(&mut self.targets, &targets)?;
        let padding = layout.padding_token.map_or(-1, |id| id as i32);
        for id in &mut tokens {
            let row = row_of_id.map_or(*id, |rows| rows[*id as usize]);
            *id = if *id == padding { -1 } else { row };
        }
        b.upload_i32(&mut self.grad_rows, &tokens)?;
        self.num_grad_rows = row_of_id.map_or(vocab, |rows| rows.iter().filter(|row| **row >= 0).count());
        self.loaded = windows.len() / width;
        Ok(self.loaded * (self.seq - usize::from(mask_last)))
    }

    /// Runs all sites over the loaded windows and leaves the residual stream; returns the routers' statistics, site by site.
    pub fn forward(&mut self, b: &B, model: &Model<B>, watch: &Watch) -> Result<Vec<RouterStats>> {
        let (layout, d) = (&model.layout, model.layout.width);
        let t = self.loaded * self.seq;
        b.embedding_forward(&mut self.h, &model.weights[layout.embedding], &self.tokens, t, layout.vocab, d)?;
        let mut stats = Vec::with_capacity(layout.sites.len());
        self.expert_ids.resize(layout.sites.len(), Vec::new());
        self.stats = vec![RouterStats::default(); layout.sites.len()];
        for i in 0..layout.sites.len() {
            watch.report(i as f64 / layout.sites.len() as f64)?;
            if let Some(input) = self.inputs.get_mut(i) {
                b.copy(input, &self.h, t * d)?;
            }
            let slot = self.site_forward(b, model, i)?;
            let Some((moe, site)) = self.saved[slot].1.routed(&layout.sites[i].ffn).zip(layout.sites[i].ffn.moe()) else { continue };
            stats.push(moe.stats.clone());
            self.stats[i] = moe.stats.clone();
            self.expert_ids[i].resize(t * site.rule.top_k, 0);
            b.download_i32(&mut self.expert_ids[i], &moe.routing.expert_ids)?;
        }
        Ok(stats)
    }

    /// Takes the routers' statistics over a micro-batch of which the loaded windows are a part, for the gradient of the losses that are
    /// no sums over tokens. `stats` are as `forward` returns them.
    pub fn share(&mut self, layout: &Layout, stats: &[RouterStats]) {
        let routed = self.stats.iter_mut().zip(&layout.sites).filter(|(_, site)| site.ffn.moe().is_some());
        routed.zip(stats).for_each(|((mine, _), all)| mine.clone_from(all));
    }

    /// One site over `self.h`; returns which saved values it left.
    fn site_forward(&mut self, b: &B, model: &Model<B>, i: usize) -> Result<usize> {
        let (site, d) = (&model.layout.sites[i], model.layout.width);
        let slot = i.min(self.saved.len() - 1);
        let (attention, ffn) = &mut self.saved[slot];
        let dims = site.attention.dims(self.loaded, self.seq);
        attention::forward(b, &mut self.h, attention, &mut self.attention, &model.weights, &site.attention, d, dims)?;
        ffn::forward(b, &mut self.h, ffn, &mut self.ffn, &model.weights, &site.ffn, d, self.loaded * self.seq)
            .map_err(|e| at_site(e, i))?;
        Ok(slot)
    }

    /// After [`Workspace::forward`]: the loss of every target, 0 where masked.
    pub fn losses(&mut self, b: &B, model: &Model<B>) -> Result<Vec<f32>> {
        let (layout, t) = (&model.layout, self.loaded * self.seq);
        let norm = &layout.final_norm;
        b.rmsnorm_forward(&mut self.attention.x, &self.h, &model.weights[norm.w], t, layout.width, norm.eps)?;
        b.cross_entropy_forward(
            &mut self.losses,
            &self.attention.x,
            &model.weights[layout.head],
            &self.targets,
            t,
            layout.vocab,
            layout.width,
        )?;
        let mut losses = vec![0.0; t];
        b.download(&mut losses, &self.losses)?;
        Ok(losses)
    }

    /// After [`Workspace::forward`], whose activations it uses up: the losses, and everything's gradient added into `grads`; the last
    /// site first.
    pub fn backward(&mut self, b: &B, model: &Model<B>, grads: &mut [B::F], step: &MicroStep, watch: &Watch) -> Result<Vec<f32>> {
        self.backward_in_stages(b, model, grads, step, watch, |_, _| Ok(()))
    }

    /// The same; after each stage (the head, every site from the last on, the embedding) `done` gets its number and the gradients.
    pub fn backward_in_stages(
        &mut self,
        b: &B,
        model: &Model<B>,
        grads: &mut [B::F],
        step: &MicroStep,
        watch: &Watch,
        mut done: impl FnMut(usize, &mut [B::F]) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let (layout, weights, d, t) = (&model.layout, &model.weights, model.layout.width, self.loaded * self.seq);
        // 1. Head and loss; x is the head's input.
        let norm = layout.final_norm;
        b.rmsnorm_forward(&mut self.attention.x, &self.h, &weights[norm.w], t, d, norm.eps)?;
        b.fill(&mut self.d_h, 0.0, t * d)?;
        let AttentionScratch { x, d_x, .. } = &mut self.attention;
        b.cross_entropy_forward_backward(
            &mut self.losses,
            d_x,
            &mut grads[layout.head],
            x,
            &weights[layout.head],
            &self.targets,
            step.loss_scale,
            t,
            layout.vocab,
            d,
        )?;
        b.rmsnorm_backward(&mut self.d_h, &mut grads[norm.w], &self.h, &weights[norm.w], d_x, t, d, norm.eps)?;
        done(0, grads)?;
        // 2. Sites, last first.
        for i in (0..layout.sites.len()).rev() {
            watch.report(1.0 - (i + 1) as f64 / layout.sites.len() as f64)?;
            if let Some(input) = self.inputs.get(i) {
                b.copy(&mut self.h, input, t * d)?;
                self.site_forward(b, model, i)?;
            }
            let site = &layout.sites[i];
            let last = self.saved.len() - 1;
            let (attention, ffn) = &mut self.saved[i.min(last)];
            if ffn.lacks_input(&site.ffn) {
                attention::output(b, &mut self.h, attention, &mut self.attention, weights, &site.attention, d, t)?;
            }
            ffn::backward(
                b,
                &mut self.d_h,
                grads,
                ffn,
                &self.h,
                &mut self.ffn,
                weights,
                &site.ffn,
                step.router_loss,
                &self.stats[i],
                d,
                t,
            )?;
            attention::backward(
                b,
                &mut self.d_h,
                grads,
                attention,
                &mut self.attention,
                weights,
                &site.attention,
                d,
                site.attention.dims(self.loaded, self.seq),
            )?;
            done(layout.sites.len() - i, grads)?;
        }
        // 3. Embedding.
        b.embedding_backward(&mut grads[layout.embedding], &self.d_h, &self.grad_rows, t, self.num_grad_rows, d)?;
        done(layout.sites.len() + 1, grads)?;
        let mut losses = vec![0.0; t];
        b.download(&mut losses, &self.losses)?;
        Ok(losses)
    }
}

/// Says at which site a router failed; it fails on logits that are not finite only. The step is the caller's to tell.
fn at_site(error: Error, site: usize) -> Error {
    match error {
        Error::Argument(_) => Error::NotFinite { step: 0, what: format!("a router logit of sites[{site}]") },
        other => other,
    }
}
