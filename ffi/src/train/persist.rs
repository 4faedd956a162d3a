//! A run on disk: what a checkpoint holds, and how a trainer or a writer of text starts from one.

use std::borrow::Cow;
use std::path::Path;

use super::Trainer;
use crate::backend::Backend;
use crate::checkpoint::{Checkpoint, Content, State, TensorMut, TensorRef, first_difference, write};
use crate::data::Tokenizer;
use crate::error::{Error, Result};
use crate::generate::Writer;
use crate::layout::{Layout, ParamSpec};
use crate::model::Model;
use crate::optim::Optimizer;
use crate::plan::{OptimizerKind, Plan};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Values in host memory: the buffer itself, or a copy from the device.
fn values<'a, B: Backend>(b: &B, x: &'a B::F, n: usize) -> Result<Cow<'a, [f32]>> {
    if let Some(host) = b.host(x) {
        return Ok(Cow::Borrowed(&host[..n]));
    }
    let mut copy = vec![0.0; n];
    b.download(&mut copy, x)?;
    Ok(Cow::Owned(copy))
}

/// A tensor to be read: where it goes, and a copy to upload when that is not host memory.
struct Target<'a, B: Backend> {
    name: String,
    shape: &'a [usize],
    buffer: &'a mut B::F,
    staged: Option<Vec<f32>>,
}

impl<'a, B: Backend> Target<'a, B> {
    fn new(b: &B, name: String, p: &'a ParamSpec, buffer: &'a mut B::F) -> Self {
        let staged = b.host(buffer).is_none().then(|| vec![0.0; p.size()]);
        Target { name, shape: &p.shape, buffer, staged }
    }
}

/// Fills all targets by one call of `read`.
fn fill<B: Backend>(b: &B, targets: &mut [Target<'_, B>], read: impl FnOnce(&mut [TensorMut<'_>]) -> Result<()>) -> Result<()> {
    let tensors = targets.iter_mut().map(|t| {
        let data = match &mut t.staged {
            Some(staged) => staged,
            None => b.host_mut(t.buffer).ok_or_else(|| Error::Internal("a buffer left host memory".into()))?,
        };
        Ok(TensorMut { name: &t.name, shape: t.shape, data })
    });
    read(&mut tensors.collect::<Result<Vec<_>>>()?)?;
    for t in targets {
        if let Some(staged) = &t.staged {
            b.upload(t.buffer, staged)?;
        }
    }
    Ok(())
}

fn read_weights<B: Backend>(b: &B, model: &mut Model<B>, checkpoint: &Checkpoint) -> Result<()> {
    let params = model.layout.params.iter().zip(&mut model.weights);
    let mut targets: Vec<_> = params.map(|(p, w)| Target::new(b, p.name.clone(), p, w)).collect();
    fill(b, &mut targets, |tensors| checkpoint.read_model(tensors))
}

impl<B: Backend> Trainer<B> {
    /// Writes the checkpoint folder; it appears whole or not at all. Of several ranks, which all call it, the first writes.
    pub fn save(&mut self, folder: &Path) -> Result<()> {
        let b = &*self.backend;
        let layout = &self.model.layout;
        if self.ranks.comm.world() > 1 {
            let hash = self.weights_hash()?;
            self.ranks.require_equal(b, &hash)?;
        }
        let moments = Optimizer::<B>::moments(layout);
        let mut gathered = Vec::new();
        if self.ranks.comm.world() > 1 {
            for (_, param, moment) in &moments {
                gathered.push(self.ranks.gather_moment(b, layout, &mut self.optimizer, &mut self.grads, *param, *moment)?);
            }
        }
        if self.ranks.comm.rank() > 0 {
            // The first rank has written when this returns, or has failed.
            return self.meet();
        }
        let weights = layout.params.iter().zip(&self.model.weights).map(|(p, w)| values(b, w, p.size())).collect::<Result<Vec<_>>>()?;
        let model: Vec<_> =
            layout.params.iter().zip(&weights).map(|(p, w)| TensorRef { name: &p.name, shape: &p.shape, data: w }).collect();
        let held = match gathered.is_empty() {
            // One rank on its own owns every moment as a whole.
            true => moments
                .iter()
                .map(|(_, param, moment)| values(b, self.optimizer.moment(*moment, *param), layout.params[*param].size()))
                .collect::<Result<Vec<_>>>()?,
            false => gathered.into_iter().map(Cow::Owned).collect(),
        };
        let optimizer: Vec<_> = moments
            .iter()
            .zip(&held)
            .map(|((name, param, _), data)| TensorRef { name, shape: &layout.params[*param].shape, data })
            .collect();
        let state = State { step: self.step, tokens: self.tokens, loader: self.data.as_ref().map(|d| d.windows.state()) };
        let plan = self.plan.to_json()?;
        let tokenizer = self.data.as_ref().map(|d| d.windows.tokenizer().json());
        write(folder, &Content { state: &state, plan: &plan, model: &model, optimizer: &optimizer, tokenizer })?;
        self.meet()
    }

    /// A hash of all weights.
    fn weights_hash(&self) -> Result<[u8; 32]> {
        let mut hash = Sha256::new();
        for (p, w) in self.model.layout.params.iter().zip(&self.model.weights) {
            hash.update(bytemuck::cast_slice::<f32, u8>(&values(&*self.backend, w, p.size())?));
        }
        Ok(hash.finalize().into())
    }

    /// Goes to where `folder` was saved, by the same plan. The files are verified before anything is changed.
    pub fn load(&mut self, folder: &Path) -> Result<()> {
        let checkpoint = Checkpoint::open(folder)?;
        checkpoint.require_plan(&self.plan.to_json()?)?;
        checkpoint.verify()?;
        let state = checkpoint.state();
        read_weights(&*self.backend, &mut self.model, &checkpoint)?;
        self.read_moments(&checkpoint)?;
        match (&mut self.data, &state.loader) {
            (Some(data), Some(loader)) => data.windows.restore(loader, folder)?,
            (Some(_), None) => {
                return Err(Error::checkpoint(
                    folder,
                    "it has no place in the data: it was imported, or trained on tokens given by a program; a new run may start from its weights",
                ));
            }
            (None, _) => {}
        }
        self.step = state.step;
        self.tokens = state.tokens;
        Ok(())
    }

    /// Reads the moments; of several ranks, each keeps its parts.
    fn read_moments(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let (b, layout) = (&*self.backend, &self.model.layout);
        let moments = Optimizer::<B>::moments(layout);
        if self.ranks.comm.world() == 1 {
            let params = layout.params.iter().zip(self.optimizer.first.iter_mut().zip(&mut self.optimizer.second));
            let buffers = params.flat_map(|(p, (first, second))| match p.optimizer {
                OptimizerKind::Muon => vec![(p, first)],
                OptimizerKind::Adamw => vec![(p, first), (p, second)],
            });
            let mut targets: Vec<_> = moments.into_iter().zip(buffers).map(|((name, ..), (p, x))| Target::new(b, name, p, x)).collect();
            return fill(b, &mut targets, |tensors| checkpoint.read_optimizer(tensors));
        }
        let mut staged: Vec<Vec<f32>> = moments.iter().map(|(_, param, _)| vec![0.0; layout.params[*param].size()]).collect();
        let tensors = moments.iter().zip(&mut staged);
        let mut tensors: Vec<_> =
            tensors.map(|((name, param, _), data)| TensorMut { name, shape: &layout.params[*param].shape, data }).collect();
        checkpoint.read_optimizer(&mut tensors)?;
        for ((_, param, moment), values) in moments.iter().zip(&staged) {
            for (i, shard) in self.optimizer.shards.clone().iter().enumerate() {
                if shard.param == *param && shard.owner == self.ranks.comm.rank() {
                    b.upload(&mut self.optimizer.moments_mut(*moment)[i], &values[shard.at..shard.at + shard.len])?;
                }
            }
        }
        Ok(())
    }

    /// Takes the weights of a checkpoint of the same banks and sites. Steps, moments and the place in the data stay as they
    /// are. The files are verified before anything is changed.
    pub fn load_weights(&mut self, folder: &Path) -> Result<()> {
        let checkpoint = Checkpoint::open(folder)?;
        require_same_banks(&Plan::parse(checkpoint.plan())?, &self.plan, folder)?;
        checkpoint.verify()?;
        read_weights(&*self.backend, &mut self.model, &checkpoint)
    }
}

/// Refuses a plan whose weights are not those of `ours`: names the first bank that differs, or else the first site. Who
/// updates a bank, and how, does not matter.
fn require_same_banks(theirs: &Plan, ours: &Plan, folder: &Path) -> Result<()> {
    let weights = |plan: &Plan| -> Result<Value> {
        let banks = plan.banks.iter().map(|bank| {
            let mut options = bank.options.clone();
            if let Some(options) = options.as_object_mut() {
                options.remove("muonSlices");
            }
            (bank.id.clone(), json!({ "kind": bank.kind, "shape": bank.shape, "options": options }))
        });
        let sites = serde_json::to_value(&plan.sites).map_err(|e| Error::Internal(e.to_string()))?;
        let ends = [&plan.model.embedding, &plan.model.head, &plan.model.final_norm];
        Ok(json!({ "banks": banks.collect::<Map<_, _>>(), "sites": sites, "ends": ends }))
    };
    match first_difference(&weights(theirs)?, &weights(ours)?) {
        Some(difference) => Err(Error::checkpoint(folder, format!("it is of another model: {difference}"))),
        None => Ok(()),
    }
}

/// The model of a checkpoint with its tokenizer, to write text.
pub fn open_model<B: Backend>(backend: B, folder: &Path) -> Result<Writer<B>> {
    let checkpoint = Checkpoint::open(folder)?;
    let plan = Plan::parse(checkpoint.plan())?;
    let json = checkpoint.read_tokenizer()?;
    let json = json.ok_or_else(|| {
        Error::checkpoint(folder, "it has no tokenizer: its tokens were given by a program, or it was imported without one")
    })?;
    let tokenizer = Tokenizer::from_json(json, &plan.data.separator, "the checkpoint's tokenizer")?;
    tokenizer.require_vocab(plan.model.vocab)?;
    let mut model = Model::zeroed(&backend, Layout::new(&plan)?)?;
    read_weights(&backend, &mut model, &checkpoint)?;
    Ok(Writer { backend, model, tokenizer, max_seq_len: plan.model.max_seq_len })
}
