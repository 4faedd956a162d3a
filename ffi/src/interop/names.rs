//! The names of a Hugging Face checkpoint and where each tensor lies in a model here: the one table that import and export
//! read.
//!
//! Every tensor there is a run of consecutive elements of one parameter here, row-major as ours: an expert's gate is the
//! first F rows of its slice of `gate_up`, its up projection the last F; linear weights are (out, in) in both. Tied sites
//! name the same parameter, so a table of a tied plan gives the same place several times: that is the expanded form. The
//! compact form, of a class of our own, has each place once.
//! Adapters have no names there.

use crate::layout::{AttentionUse, FfnUse, Layout, MoeUse, ParamId, SiteUse};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Model classes of transformers, by their `model_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// `OlmoeForCausalLM`
    Olmoe,
    /// `Qwen3MoeForCausalLM`
    Qwen3Moe,
    /// `MixtralForCausalLM`
    Mixtral,
    /// The compact form: always fused, each bank once, under the name that its first site gives it.
    Bowline,
}

/// How the experts of a site are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A matrix for each expert and projection: what `save_pretrained` writes, in version 4 and by default in 5.
    PerExpert,
    /// One tensor for all experts, as they lie in the memory of version 5: `gate_up_proj` (E, 2F, D), `down_proj` (E, D, F).
    Fused,
}

/// One tensor of the other program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub name: String,
    pub shape: Vec<usize>,
    /// The parameter that it is a part of.
    pub param: ParamId,
    /// Its first element there; as many follow as `shape` has.
    pub start: usize,
}

impl Name {
    /// Number of elements.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }
}

/// All tensors of a model, site by site, made as they are asked for. A head that is the embedding has no tensor of its own.
pub fn names(family: Family, form: Form, layout: &Layout) -> impl Iterator<Item = Name> {
    let is_compact = family == Family::Bowline;
    let form = if is_compact { Form::Fused } else { form };
    let mut seen = BTreeSet::new();
    let is_first = move |name: &Name| !is_compact || seen.insert((name.param, name.start));
    let (v, d) = (layout.vocab, layout.width);
    let head = (layout.head != layout.embedding).then(|| whole(HEAD, &[v, d], layout.head));
    let ends = [whole(EMBEDDING, &[v, d], layout.embedding), whole("model.norm.weight", &[d], layout.final_norm.w)];
    let sites = layout.sites.iter().enumerate().flat_map(move |(i, site)| {
        let mut out = Vec::new();
        site_names(&mut out, family, form, &format!("model.layers.{i}"), site, d);
        out
    });
    ends.into_iter().chain(head).chain(sites).filter(is_first)
}

pub(super) const EMBEDDING: &str = "model.embed_tokens.weight";
pub(super) const HEAD: &str = "lm_head.weight";

/// Whether a tensor of this name shows that a checkpoint is of the fused form.
pub(super) fn is_fused(name: &str) -> bool {
    name.ends_with(".mlp.experts.gate_up_proj")
}

fn whole(name: impl Into<String>, shape: &[usize], param: ParamId) -> Name {
    Name { name: name.into(), shape: shape.into(), param, start: 0 }
}

fn site_names(out: &mut Vec<Name>, family: Family, form: Form, layer: &str, site: &SiteUse, d: usize) {
    attention_names(out, layer, &site.attention, d);
    let norm = match &site.ffn {
        FfnUse::Moe(moe) => moe.norm,
        FfnUse::Dense(dense) => dense.norm,
    };
    out.push(whole(format!("{layer}.post_attention_layernorm.weight"), &[d], norm.w));
    match &site.ffn {
        FfnUse::Moe(moe) => expert_names(out, family, form, layer, moe, d),
        FfnUse::Dense(dense) => {
            let at = |part: &str| format!("{layer}.mlp.{part}_proj.weight");
            out.extend(projections([at("gate"), at("up"), at("down")], (dense.gate_up, dense.down), 0, dense.width, d));
        }
    }
}

fn attention_names(out: &mut Vec<Name>, layer: &str, site: &AttentionUse, d: usize) {
    let (q, kv) = (site.q_width(), site.kv_width());
    let at = |part: &str| format!("{layer}.self_attn.{part}.weight");
    out.extend([
        whole(format!("{layer}.input_layernorm.weight"), &[d], site.norm.w),
        whole(at("q_proj"), &[q, d], site.wq),
        whole(at("k_proj"), &[kv, d], site.wk),
        whole(at("v_proj"), &[kv, d], site.wv),
        whole(at("o_proj"), &[d, q], site.wo),
    ]);
    if let Some((q_norm, k_norm)) = site.qk_norm {
        let (q, k) = site.norm_widths();
        out.extend([whole(at("q_norm"), &[q], q_norm), whole(at("k_norm"), &[k], k_norm)]);
    }
}

fn expert_names(out: &mut Vec<Name>, family: Family, form: Form, layer: &str, moe: &MoeUse, d: usize) {
    let (e, f) = (moe.rule.experts, moe.expert_width);
    // Version 5 renames Mixtral's block when it fuses.
    let (block, parts) = match (family, form) {
        (Family::Mixtral, Form::PerExpert) => ("block_sparse_moe", ["w1", "w3", "w2"]),
        _ => ("mlp", ["gate_proj", "up_proj", "down_proj"]),
    };
    out.push(whole(format!("{layer}.{block}.gate.weight"), &[e, d], moe.w_router));
    match form {
        Form::Fused => out.extend([
            whole(format!("{layer}.{block}.experts.gate_up_proj"), &[e, 2 * f, d], moe.gate_up),
            whole(format!("{layer}.{block}.experts.down_proj"), &[e, d, f], moe.down),
        ]),
        Form::PerExpert => {
            for expert in 0..e {
                let names = parts.map(|part| format!("{layer}.{block}.experts.{expert}.{part}.weight"));
                out.extend(projections(names, (moe.gate_up, moe.down), expert, f, d));
            }
        }
    }
}

/// Gate, up and down of one expert: of slice `expert` of `gate_up` and `down`.
fn projections([gate, up, down]: [String; 3], (gate_up, w_down): (ParamId, ParamId), expert: usize, f: usize, d: usize) -> [Name; 3] {
    let size = f * d;
    [
        Name { name: gate, shape: vec![f, d], param: gate_up, start: expert * 2 * size },
        Name { name: up, shape: vec![f, d], param: gate_up, start: (expert * 2 + 1) * size },
        Name { name: down, shape: vec![d, f], param: w_down, start: expert * size },
    ]
}
