//! The plan: banks, sites and all numbers of a run, complete. TypeScript writes it; here it is parsed and checked, and
//! nothing is defaulted. Every complaint names the field by its path. What a field means stands beside it; shapes use the
//! letters of `backend.rs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backend::{BalanceCounts, RouterScore};
use crate::error::{Error, Result};

mod check;
mod data;

pub use data::*;

/// The format this library reads and writes.
pub const PLAN_FORMAT: u32 = 3;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    pub format: u32,
    pub name: String,
    pub seed: u32,
    pub model: ModelSpec,
    pub banks: Vec<Bank>,
    pub sites: Vec<Site>,
    pub losses: Losses,
    pub optimizer: OptimizerSpec,
    pub schedule: ScheduleSpec,
    pub train: TrainSpec,
    pub data: DataSpec,
    pub checkpoint: CheckpointSpec,
    pub eval: EvalSpec,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelSpec {
    /// A label; nothing depends on it.
    pub family: String,
    /// `V`
    pub vocab: usize,
    /// `D`
    pub width: usize,
    pub embedding: String,
    /// May name the embedding: a tied head.
    pub head: String,
    pub final_norm: String,
    pub max_seq_len: usize,
    /// A token whose embedding row gets no gradient, as the published OLMoE has it for its padding token.
    pub padding_token: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BankKind {
    Embedding,
    Head,
    Norm,
    Attention,
    Router,
    Experts,
    FeedForward,
    Adapter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    Muon,
    Adamw,
}

/// Parameters with one gradient and one optimizer state, used by `uses` sites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bank {
    pub id: String,
    pub kind: BankKind,
    /// Letter to size.
    pub shape: BTreeMap<String, usize>,
    /// What else the kind needs: [`NormOptions`], [`AttentionOptions`], [`RouterOptions`], [`FfnOptions`].
    pub options: serde_json::Value,
    /// Who updates the bank's matrices. Norm gains are always AdamW's.
    pub optimizer: OptimizerKind,
    /// The matrices' learning rate is divided by it.
    pub lr_divisor: f64,
    pub uses: usize,
    /// Gain of the xavier-uniform initialisation of the matrices.
    pub init_gain: f64,
}

/// Options of the kinds that have none.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NormOptions {
    pub eps: f32,
}

/// Which vectors the q/k RMSNorm spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QkNorm {
    /// The whole projected vector, before splitting heads.
    Whole,
    /// Each head on its own.
    Head,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttentionOptions {
    pub qk_norm: QkNorm,
    /// q, k and v are clamped to [-clamp, clamp] after the norm and before RoPE.
    pub clamp: Option<f32>,
    pub rope_theta: f32,
    pub eps: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouterOptions {
    /// `K`
    pub top_k: usize,
    #[serde(deserialize_with = "score")]
    pub score: RouterScore,
    pub renormalize: bool,
}

fn score<'de, D: serde::Deserializer<'de>>(d: D) -> std::result::Result<RouterScore, D::Error> {
    match String::deserialize(d)?.as_str() {
        "softmax-then-top-k" => Ok(RouterScore::SoftmaxThenTopK),
        "top-k-then-softmax" => Ok(RouterScore::TopKThenSoftmax),
        other => Err(serde::de::Error::unknown_variant(other, &["softmax-then-top-k", "top-k-then-softmax"])),
    }
}

/// What Muon orthogonalises as one matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MuonSlices {
    /// Gate and up together: (2F, D).
    Fused,
    /// Gate and up apart: (F, D) each.
    Split,
}

/// Of experts and of a dense feed-forward.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FfnOptions {
    pub muon_slices: MuonSlices,
}

/// One layer application: the ids of its banks. Its second half is either a router with experts, or a dense feed-forward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Site {
    pub attention_norm: String,
    pub attention: String,
    pub ffn_norm: String,
    pub router: Option<String>,
    pub experts: Option<String>,
    pub feed_forward: Option<String>,
    /// A low-rank addition to q and k.
    pub adapter: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Losses {
    pub balance: BalanceSpec,
    pub z: ZSpec,
    /// Leaves the last target of each window out, as the published trainer does.
    pub mask_last_target: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountsSpec {
    TopK,
    Argmax,
}

impl From<CountsSpec> for BalanceCounts {
    fn from(counts: CountsSpec) -> Self {
        match counts {
            CountsSpec::TopK => BalanceCounts::TopK,
            CountsSpec::Argmax => BalanceCounts::Argmax,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BalanceSpec {
    pub coefficient: f64,
    pub counts: CountsSpec,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZSpec {
    pub coefficient: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OptimizerSpec {
    pub kind: OptimizerKind,
    pub muon: MuonSpec,
    pub adamw: AdamwSpec,
    /// Largest global gradient norm, every bank once.
    pub clip_norm: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MuonSpec {
    pub lr: f64,
    pub momentum: f64,
    pub weight_decay: f64,
    pub newton_schulz_steps: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdamwSpec {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub weight_decay: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleSpec {
    pub warmup_steps: u64,
    pub steps: u64,
    /// The learning rate at `steps`, as a part of the peak.
    pub final_fraction: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrainSpec {
    pub steps: u64,
    /// `B` of a micro-step.
    pub batch: usize,
    /// Micro-steps per step.
    pub accumulation: usize,
    /// `S`
    pub seq_len: usize,
    pub recompute: Recompute,
}

/// What the backward pass computes again instead of reading it; in JSON `false`, `"experts"` or `true`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Recompute {
    #[default]
    Nothing,
    /// What enters a half with experts, and their gate and up projections.
    Experts,
    /// All of a site but its input.
    Sites,
}

impl From<Recompute> for Value {
    fn from(recompute: Recompute) -> Value {
        match recompute {
            Recompute::Nothing => false.into(),
            Recompute::Experts => "experts".into(),
            Recompute::Sites => true.into(),
        }
    }
}

impl TryFrom<Value> for Recompute {
    type Error = String;

    fn try_from(value: Value) -> std::result::Result<Self, String> {
        let all = [Recompute::Nothing, Recompute::Experts, Recompute::Sites];
        let found = all.into_iter().find(|recompute| Value::from(*recompute) == value);
        found.ok_or_else(|| format!("is {value}, wanted false, true or \"experts\""))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointSpec {
    pub every: u64,
    pub keep: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalSpec {
    pub every: u64,
    /// `None`: the whole held-out part.
    pub batches: Option<u64>,
}

impl Plan {
    /// Parses and checks a plan. Errors name the field.
    pub fn parse(json: &str) -> Result<Plan> {
        let mut de = serde_json::Deserializer::from_str(json);
        let plan: Plan = serde_path_to_error::deserialize(&mut de).map_err(|e| Error::plan(e.path().to_string(), e.inner().to_string()))?;
        de.end().map_err(|e| Error::plan("plan", e.to_string()))?;
        plan.check()?;
        Ok(plan)
    }

    /// The plan as JSON, always the same bytes.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::Internal(format!("Cannot write the plan: {e}")))
    }

    /// The index of the bank called `id`.
    pub fn bank_index(&self, id: &str, field: &str, kind: BankKind) -> Result<usize> {
        let i = self.banks.iter().position(|b| b.id == id).ok_or_else(|| Error::plan(field, format!("no bank is called \"{id}\"")))?;
        if self.banks[i].kind != kind {
            return Err(Error::plan(field, format!("\"{id}\" is a bank of kind {:?}, wanted {kind:?}", self.banks[i].kind)));
        }
        Ok(i)
    }
}

impl Bank {
    /// Size of a letter of the shape.
    pub fn dim(&self, letter: &str) -> usize {
        self.shape[letter]
    }

    /// The options as the kind's struct.
    pub fn options<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_path_to_error::deserialize(&self.options)
            .map_err(|e| Error::plan(format!("{}.options.{}", self.id, e.path()), e.inner().to_string()))
    }
}
