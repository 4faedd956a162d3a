//! Training: one step, flat, and what a checkpoint needs to go on from it.

use std::sync::Arc;
use std::time::Instant;

use crate::backend::Backend;
use crate::comm::{Comm, assign};
use crate::data::{Corpus, Loader, Stream, StreamInfo, Watch, Windows};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::model::metrics::RouterMetrics;
use crate::model::{MicroStep, Model, Workspace};
use crate::optim::{LearningRates, Optimizer, schedule};
use crate::plan::Plan;
use ranks::Ranks;

mod evaluate;
mod logits;
mod persist;
mod ranks;

pub use evaluate::EvalReport;
pub use persist::open_model;
pub use ranks::require_divisor;

/// Everything one run changes, on one device; of several ranks, everything that one of them does.
pub struct Trainer<B: Backend> {
    backend: Arc<B>,
    ranks: Ranks<B>,
    plan: Plan,
    model: Model<B>,
    grads: Vec<B::F>,
    optimizer: Optimizer<B>,
    workspace: Workspace<B>,
    data: Option<Data>,
    stream_info: Option<StreamInfo>,
    /// Completed steps.
    step: u64,
    /// Tokens trained on.
    tokens: u64,
    /// Clipping factor of the last step.
    grad_scale: f32,
}

struct Data {
    windows: Windows,
    /// Bytes of text of each token, when the tokenizer tells.
    byte_lengths: Option<Vec<u32>>,
}

/// What one step did. Losses are unscaled means; `loss` is their weighted sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Completed steps, this one included.
    pub step: u64,
    pub loss: f64,
    pub lm_loss: f64,
    /// Before clipping.
    pub grad_norm: f64,
    pub lr: LearningRates,
    /// Tokens trained on since the start of the run.
    pub tokens: u64,
    pub routers: RouterMetrics,
    pub forward_s: f64,
    pub backward_s: f64,
    pub optimizer_s: f64,
    /// Epochs of data used; NaN when the tokens were given by the caller.
    pub epochs: f64,
}

impl<B: Backend> Trainer<B> {
    /// A run at step 0 with the plan's initial weights.
    pub fn new(backend: B, plan: Plan) -> Result<Self> {
        Self::with_ranks(backend, plan, Comm::single())
    }

    /// The same as one of several ranks, each of which takes its part of every micro-batch.
    pub fn with_ranks(backend: B, plan: Plan, comm: Comm<B>) -> Result<Self> {
        require_divisor(plan.train.batch, comm.world())?;
        let layout = Layout::new(&plan)?;
        let model = Model::new(&backend, layout, plan.seed)?;
        let train = &plan.train;
        let batch = train.batch / comm.world();
        let workspace = Workspace::new(&backend, &model.layout, batch, train.seq_len, true, train.recompute)?;
        let grads = model.zeros_like(&backend)?;
        let shards = assign(&model.layout, comm.world(), plan.optimizer.muon.newton_schulz_steps);
        let optimizer = Optimizer::new(&backend, &model.layout, shards, comm.rank())?;
        let ranks = Ranks::new(comm, &model.layout, &optimizer.shards);
        Ok(Trainer {
            backend: Arc::new(backend),
            ranks,
            plan,
            model,
            grads,
            optimizer,
            workspace,
            data: None,
            stream_info: None,
            step: 0,
            tokens: 0,
            grad_scale: 1.0,
        })
    }

    /// The device; a whole step runs a little faster inside `Cpu::install`.
    pub fn backend(&self) -> Arc<B> {
        self.backend.clone()
    }

    /// The ranks of the run.
    pub fn comm(&self) -> &Comm<B> {
        &self.ranks.comm
    }

    /// Tells the other ranks that this one cannot go on; see [`Comm::fail`].
    pub fn fail(&mut self, error: Error) -> Error {
        self.ranks.comm.fail(error)
    }

    /// Waits until all ranks are here.
    pub fn meet(&mut self) -> Result<()> {
        self.ranks.comm.gather(&self.backend, &[0.0]).map(drop)
    }

    /// The end of the run, for all ranks together.
    pub fn leave(&mut self) -> Result<()> {
        self.ranks.comm.leave(&self.backend)
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn model(&self) -> &Model<B> {
        &self.model
    }

    /// The prepared data, when some was attached.
    pub fn corpus(&self) -> Option<&Arc<Corpus>> {
        self.data.as_ref()?.windows.corpus()
    }

    /// Trains and evaluates on `corpus` from now on.
    pub fn attach(&mut self, corpus: Arc<Corpus>) {
        self.attach_windows(Windows::Corpus(Loader::new(corpus, self.plan.train.batch, self.plan.seed.into())));
    }

    /// Trains and evaluates on `stream` from now on; its batch and sequence length are those of the plan.
    pub fn attach_stream(&mut self, stream: Stream, info: StreamInfo) {
        self.attach_windows(Windows::Stream(Box::new(stream)));
        self.stream_info = Some(info);
    }

    /// What the attached stream is and what was read of it, when one was attached.
    pub fn stream_info(&self) -> Option<StreamInfo> {
        let mut info = self.stream_info.clone()?;
        for (source, met) in info.sources.iter_mut().zip(self.windows()?.met()) {
            source.met = met;
        }
        Some(info)
    }

    fn attach_windows(&mut self, windows: Windows) {
        let byte_lengths = windows.tokenizer().byte_lengths();
        self.data = Some(Data { windows, byte_lengths });
        self.stream_info = None;
    }

    /// The attached data.
    pub fn windows(&self) -> Option<&Windows> {
        self.data.as_ref().map(|data| &data.windows)
    }

    /// One step on the attached data. A step that fails or is cancelled leaves weights, moments and the place in the data as they were.
    pub fn step(&mut self, watch: &Watch) -> Result<StepReport> {
        let (width, accumulation) = (self.plan.train.batch * (self.plan.train.seq_len + 1), self.plan.train.accumulation);
        let windows = &mut self.data.as_mut().ok_or_else(no_data)?.windows;
        let mut tokens = vec![0; accumulation * width];
        // One of several ranks must not stop before all agree to.
        let stop = self.ranks.stop(watch);
        let reading = watch.stopped_by(&stop);
        for (ahead, batch) in tokens.chunks_exact_mut(width).enumerate() {
            windows.peek(ahead, batch, &reading).map_err(|e| self.ranks.explain(e))?;
        }
        let mut report = self.step_tokens(&tokens, watch)?;
        let windows = &mut self.data.as_mut().ok_or_else(no_data)?.windows;
        windows.advance(accumulation);
        report.epochs = windows.epochs();
        Ok(report)
    }

    /// One step on `tokens` (accumulation, B, S+1), the same on all ranks.
    pub fn step_tokens(&mut self, tokens: &[i32], watch: &Watch) -> Result<StepReport> {
        let (b, train, losses) = (&*self.backend, &self.plan.train, &self.plan.losses);
        let width = train.batch * (train.seq_len + 1);
        if tokens.len() != train.accumulation * width {
            return Err(Error::Argument(format!(
                "Cannot train on {} tokens: wanted {} (accumulation {} x batch {} x (sequence length {} + 1))",
                tokens.len(),
                train.accumulation * width,
                train.accumulation,
                train.batch,
                train.seq_len
            )));
        }
        if self.step >= self.plan.schedule.steps {
            return Err(Error::Argument(format!("Cannot train past step {}: the schedule ends there", self.step)));
        }
        // 1. Gradients of all micro-steps.
        let targets = train.accumulation * train.batch * (train.seq_len - usize::from(losses.mask_last_target));
        let counts = losses.balance.counts.into();
        let micro = MicroStep::new(
            targets,
            train.accumulation,
            self.model.layout.routed_sites(),
            losses.balance.coefficient,
            counts,
            losses.z.coefficient,
        );
        for (g, p) in self.grads.iter_mut().zip(&self.model.layout.params) {
            b.fill(g, 0.0, p.size())?;
        }
        let (mut nll, mut routers, mut forward_s, mut backward_s) = (0.0, Vec::new(), 0.0, 0.0);
        let mine = self.ranks.part(train.batch, train.seq_len + 1);
        let stop = self.ranks.stop(watch);
        let quiet = watch.stopped_by(&stop);
        for (i, windows) in tokens.chunks_exact(width).enumerate() {
            let part = |from: f64, to: f64| {
                let n = train.accumulation as f64;
                quiet.part((i as f64 + from) / n, (i as f64 + to) / n)
            };
            let start = Instant::now();
            self.workspace.load(b, &self.model.layout, &windows[mine.clone()], losses.mask_last_target)?;
            let stats = self.workspace.forward(b, &self.model, &part(0.0, 0.3));
            let stats = stats.map_err(|e| self.ranks.explain(blame(e, self.step, b, &self.model, &self.grads)))?;
            let metrics = RouterMetrics::new(&self.model.layout, &stats, &self.workspace.expert_ids, counts);
            let shared = self.ranks.share(b, &self.model.layout, Some((stats, metrics)), self.step, counts, watch)?;
            self.workspace.share(&self.model.layout, &shared.stats);
            routers.push((shared.metrics, 1.0));
            forward_s += start.elapsed().as_secs_f64();
            let start = Instant::now();
            // The last micro-step completes the gradients: they go to their owners while it goes on.
            let is_last = i + 1 == train.accumulation;
            let ranks = &mut self.ranks;
            let done = |stage: usize, grads: &mut [B::F]| if is_last { ranks.reduce(b, stage, grads) } else { Ok(()) };
            let losses = self.workspace.backward_in_stages(b, &self.model, &mut self.grads, &micro, &part(0.3, 1.0), done);
            let losses = losses.map_err(|e| self.ranks.explain(e))?;
            nll += losses.iter().map(|&l| f64::from(l)).sum::<f64>();
            backward_s += start.elapsed().as_secs_f64();
        }
        // 2. The losses and the gradient must be numbers before anything is changed.
        let start = Instant::now();
        self.ranks.comm.finish(b, &mut self.grads)?;
        let routers = RouterMetrics::mean(&routers);
        let mut sums = vec![nll];
        for shard in &self.optimizer.shards {
            let is_mine = shard.owner == self.ranks.comm.rank();
            sums.push(if is_mine { b.sum_squares(&self.grads[shard.param], shard.at, shard.len)? } else { 0.0 });
        }
        let sums = self.ranks.comm.sum(b, &sums)?;
        let (nll, squares) = (sums[0], sums[1..].iter().sum::<f64>());
        let lm_loss = nll / targets as f64;
        let loss = lm_loss + losses.balance.coefficient * routers.balance + losses.z.coefficient * routers.z;
        let grad_norm = squares.sqrt();
        if !loss.is_finite() || !grad_norm.is_finite() {
            let what = if loss.is_finite() { "the gradient" } else { "the loss" };
            return Err(blame(Error::NotFinite { step: self.step, what: what.into() }, self.step, b, &self.model, &self.grads));
        }
        // 3. Clip and update.
        let factor = schedule::factor(&self.plan.schedule, self.step);
        let lr = LearningRates { muon: self.plan.optimizer.muon.lr * factor, adamw: self.plan.optimizer.adamw.lr * factor };
        self.grad_scale = (self.plan.optimizer.clip_norm / (grad_norm + 1e-6)).min(1.0) as f32;
        self.optimizer.step(b, &mut self.model, &self.grads, &self.plan.optimizer, lr, self.step + 1, self.grad_scale)?;
        self.ranks.broadcast(b, &mut self.model.weights)?;
        self.step += 1;
        self.tokens += (train.accumulation * train.batch * train.seq_len) as u64;
        Ok(StepReport {
            step: self.step,
            loss,
            lm_loss,
            grad_norm,
            lr,
            tokens: self.tokens,
            routers,
            forward_s,
            backward_s,
            optimizer_s: start.elapsed().as_secs_f64(),
            epochs: f64::NAN,
        })
    }

    /// A copy of a parameter, or of its gradient in the last step, clipped.
    pub fn read(&self, name: &str, gradient: bool) -> Result<Vec<f32>> {
        let id =
            self.model.layout.find(name).ok_or_else(|| Error::Argument(format!("Cannot read \"{name}\": no parameter has this name")))?;
        let mut out = vec![0.0; self.model.layout.params[id].size()];
        if gradient && self.comm().world() > 1 {
            return Err(Error::Argument(format!(
                "Cannot read the gradient of \"{name}\": its parts are with their owners, wanted one rank"
            )));
        }
        if gradient {
            self.backend.download(&mut out, &self.grads[id])?;
            out.iter_mut().for_each(|x| *x *= self.grad_scale);
        } else {
            self.backend.download(&mut out, &self.model.weights[id])?;
        }
        Ok(out)
    }

    /// Overwrites a parameter.
    pub fn write(&mut self, name: &str, values: &[f32]) -> Result<()> {
        self.model.write(&*self.backend, name, values)
    }
}

fn no_data() -> Error {
    Error::Argument("Cannot train or evaluate: no data is attached".into())
}

/// Names the tensor that made an error of numbers: the first weight that is not finite, else the first such gradient.
fn blame<B: Backend>(error: Error, step: u64, b: &B, model: &Model<B>, grads: &[B::F]) -> Error {
    let Error::NotFinite { what, .. } = error else { return error };
    let bad = |buffers: &[B::F]| {
        let params = model.layout.params.iter().zip(buffers);
        params.filter(|(p, x)| !b.sum_squares(x, 0, p.size()).is_ok_and(f64::is_finite)).map(|(p, _)| p.name.clone()).next()
    };
    let tensor = match (bad(&model.weights), bad(grads)) {
        (Some(name), _) => format!(" (first in the weights of {name})"),
        (None, Some(name)) => format!(" (first in the gradient of {name})"),
        (None, None) => String::new(),
    };
    Error::NotFinite { step, what: format!("{what}{tensor}") }
}
