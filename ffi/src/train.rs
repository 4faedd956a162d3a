//! A model in training: what it holds, and the calls that read and write it; a step is in `train/step.rs`.

use std::sync::Arc;

use crate::backend::Backend;
use crate::comm::{Comm, assign};
use crate::data::{Corpus, Loader, Stream, StreamInfo, Windows};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::model::{Model, Workspace};
use crate::optim::Optimizer;
use crate::plan::Plan;
use ranks::Ranks;

mod evaluate;
mod logits;
mod persist;
mod ranks;
mod step;

pub use evaluate::EvalReport;
pub use persist::open_model;
pub use ranks::require_divisor;
pub use step::StepReport;

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
