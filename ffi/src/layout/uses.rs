//! What a site uses: its parameters and the numbers of its computation.

use super::ParamId;
use crate::backend::{AttentionDims, RouterRule};
use crate::plan::{AttentionOptions, QkNorm};

#[derive(Clone, Copy, Debug)]
pub struct NormUse {
    pub w: ParamId,
    pub eps: f32,
}

/// A low-rank addition to q and k: `x a^T b_q^T` and `x a^T b_k^T` (LoRA, arXiv 2106.09685).
#[derive(Clone, Copy, Debug)]
pub struct AdapterUse {
    /// (R, D)
    pub a: ParamId,
    /// (H*P, R)
    pub b_q: ParamId,
    /// (Hkv*P, R)
    pub b_k: ParamId,
    /// `R`
    pub rank: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct AttentionUse {
    pub norm: NormUse,
    pub wq: ParamId,
    pub wk: ParamId,
    pub wv: ParamId,
    pub wo: ParamId,
    /// Gains of q and k, and whether they span heads or whole vectors.
    pub qk_norm: Option<(ParamId, ParamId)>,
    pub adapter: Option<AdapterUse>,
    pub options: AttentionOptions,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
}

impl AttentionUse {
    /// `H*P`
    pub fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// `Hkv*P`
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Lengths of the gains of q and k, if there are any.
    pub fn norm_widths(&self) -> (usize, usize) {
        match self.options.qk_norm {
            QkNorm::Head => (self.head_dim, self.head_dim),
            QkNorm::Whole | QkNorm::None => (self.q_width(), self.kv_width()),
        }
    }

    /// The shape of a call over (batch, seq).
    pub fn dims(&self, batch: usize, seq: usize) -> AttentionDims {
        AttentionDims { batch, seq, heads: self.heads, kv_heads: self.kv_heads, head_dim: self.head_dim }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct MoeUse {
    pub norm: NormUse,
    pub w_router: ParamId,
    pub rule: RouterRule,
    pub gate_up: ParamId,
    pub down: ParamId,
    /// `F`
    pub expert_width: usize,
    /// Index of the expert bank in the plan; equal for tied sites.
    pub bank: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct DenseUse {
    pub norm: NormUse,
    /// (2F, D)
    pub gate_up: ParamId,
    /// (D, F)
    pub down: ParamId,
    /// `F`
    pub width: usize,
}

/// The second half of a site.
#[derive(Clone, Copy, Debug)]
pub enum FfnUse {
    Moe(MoeUse),
    Dense(DenseUse),
}

impl FfnUse {
    /// The half with a router, if it is one.
    pub fn moe(&self) -> Option<&MoeUse> {
        match self {
            FfnUse::Moe(moe) => Some(moe),
            FfnUse::Dense(_) => None,
        }
    }

    /// The dense half, if it is one.
    pub fn dense(&self) -> Option<&DenseUse> {
        match self {
            FfnUse::Moe(_) => None,
            FfnUse::Dense(dense) => Some(dense),
        }
    }
}

/// What one site uses.
#[derive(Clone, Copy, Debug)]
pub struct SiteUse {
    pub attention: AttentionUse,
    pub ffn: FfnUse,
}

impl SiteUse {
    /// All parameters that the site uses.
    pub fn params(&self) -> Vec<ParamId> {
        let a = &self.attention;
        let mut all = vec![a.norm.w, a.wq, a.wk, a.wv, a.wo];
        all.extend(a.qk_norm.into_iter().flat_map(|(q, k)| [q, k]));
        all.extend(a.adapter.into_iter().flat_map(|adapter| [adapter.a, adapter.b_q, adapter.b_k]));
        match &self.ffn {
            FfnUse::Moe(moe) => all.extend([moe.norm.w, moe.w_router, moe.gate_up, moe.down]),
            FfnUse::Dense(dense) => all.extend([dense.norm.w, dense.gate_up, dense.down]),
        }
        all
    }
}
