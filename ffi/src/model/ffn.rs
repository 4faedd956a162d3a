//! The second half of a site, whichever it is: experts behind a router, or a dense feed-forward.

use super::dense::{self, DenseSaved, DenseScratch};
use super::moe::{self, MoeSaved, MoeScratch};
use crate::backend::{Backend, Memory, RouterLoss, RouterStats};
use crate::error::{Error, Result};
use crate::layout::{DenseUse, FfnUse, MoeUse};
use crate::plan::Recompute;

/// All that backward may read of the forward pass. Sites that use it in turn may be of either kind.
pub struct FfnSaved<B: Memory> {
    moe: Option<MoeSaved<B>>,
    dense: Option<DenseSaved<B>>,
}

/// Buffers whose content does not outlive a call.
pub struct FfnScratch<B: Memory> {
    moe: MoeScratch<B>,
    dense: DenseScratch<B>,
}

/// A use that is in every dimension as large as the largest.
fn widest(sites: &[MoeUse]) -> Option<MoeUse> {
    sites.iter().copied().reduce(|mut wide, moe| {
        wide.rule.experts = wide.rule.experts.max(moe.rule.experts);
        wide.rule.top_k = wide.rule.top_k.max(moe.rule.top_k);
        wide.expert_width = wide.expert_width.max(moe.expert_width);
        wide
    })
}

impl<B: Memory> FfnSaved<B> {
    /// Room for `t` tokens of any one of `sites`.
    pub fn new<'a>(b: &B, sites: impl IntoIterator<Item = &'a FfnUse>, d: usize, t: usize, recompute: Recompute) -> Result<Self> {
        let (mut moe, mut dense) = (Vec::new(), Vec::<DenseUse>::new());
        for site in sites {
            moe.extend(site.moe());
            dense.extend(site.dense());
        }
        Ok(FfnSaved {
            moe: widest(&moe).map(|site| MoeSaved::new(b, &site, d, t, recompute)).transpose()?,
            dense: dense.iter().max_by_key(|site| site.width).map(|site| DenseSaved::new(b, site, d, t)).transpose()?,
        })
    }

    /// Whether the backward pass of `site` has to be told the input.
    pub fn lacks_input(&self, site: &FfnUse) -> bool {
        self.routed(site).is_some_and(|moe| moe.lacks_input())
    }

    /// What the router of `site` left in the last forward pass, if it has one.
    pub fn routed(&self, site: &FfnUse) -> Option<&MoeSaved<B>> {
        site.moe().and(self.moe.as_ref())
    }
}

impl<B: Memory> FfnScratch<B> {
    /// Room for `t` tokens of the widest sites; gradients only when `train`.
    pub fn new<'a>(
        b: &B,
        sites: impl Iterator<Item = &'a FfnUse> + Clone,
        d: usize,
        t: usize,
        train: bool,
        recompute: Recompute,
    ) -> Result<Self> {
        let moe = sites.clone().filter_map(|site| site.moe().copied());
        // What no site needs takes no room.
        let moe_tokens = if moe.clone().next().is_some() { t } else { 0 };
        Ok(FfnScratch {
            moe: MoeScratch::new(b, moe, d, moe_tokens, train, recompute)?,
            dense: DenseScratch::new(b, sites.filter_map(|site| site.dense().copied()), d, t, train)?,
        })
    }
}

/// Adds the half's output to the residual stream `h` (T, D).
pub fn forward<B: Backend>(
    b: &B,
    h: &mut B::F,
    saved: &mut FfnSaved<B>,
    scratch: &mut FfnScratch<B>,
    weights: &[B::F],
    site: &FfnUse,
    d: usize,
    t: usize,
) -> Result<()> {
    match (site, saved) {
        (FfnUse::Moe(site), FfnSaved { moe: Some(saved), .. }) => moe::forward(b, h, saved, &mut scratch.moe, weights, site, d, t),
        (FfnUse::Dense(site), FfnSaved { dense: Some(saved), .. }) => dense::forward(b, h, saved, &mut scratch.dense, weights, site, d, t),
        _ => Err(no_room()),
    }
}

/// Takes `d_h` (T, D), the gradient of the residual stream after this half, to that before it, in place; adds into the gradients of the banks.
/// `stats` are those of the site's router over the whole micro-batch; a dense half reads none. `h` (T, D) is the input of this half,
/// read where [`FfnSaved::lacks_input`]. `saved` is used up.
pub fn backward<B: Backend>(
    b: &B,
    d_h: &mut B::F,
    grads: &mut [B::F],
    saved: &mut FfnSaved<B>,
    h: &B::F,
    scratch: &mut FfnScratch<B>,
    weights: &[B::F],
    site: &FfnUse,
    loss: RouterLoss,
    stats: &RouterStats,
    d: usize,
    t: usize,
) -> Result<()> {
    match (site, saved) {
        (FfnUse::Moe(site), FfnSaved { moe: Some(saved), .. }) => {
            moe::backward(b, d_h, grads, saved, h, &mut scratch.moe, weights, site, loss, stats, d, t)
        }
        (FfnUse::Dense(site), FfnSaved { dense: Some(saved), .. }) => {
            dense::backward(b, d_h, grads, saved, &mut scratch.dense, weights, site, d, t)
        }
        _ => Err(no_room()),
    }
}

fn no_room() -> Error {
    Error::Internal("a site is of a kind for which nothing was allocated".into())
}
