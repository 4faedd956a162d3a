//! The working memory that the kernel library keeps: the largest of what its ops take. The library allocates it when an op
//! first needs it; here it is known before. Each line mirrors the `scratch` of one file in `kernels`.

use crate::layout::{Layout, ParamSpec};
use crate::memory::Pass;
use crate::plan::{OptimizerKind, QkNorm};

/// Elements of a piece of `sum_squares` (elementwise.cu).
const SQUARES: usize = 16 * 1024;
/// Rows of a piece of a norm's weight gradient (rmsnorm.cu), and of the sums of a router (router.cu).
const ROWS: usize = 64;
/// Choices of a piece of the sort (dispatch.cu).
const CHOICES: usize = 256;
/// Logits of a chunk of the head, and the bounds of its rows (cross_entropy.cu).
const MAX_LOGITS: usize = 1 << 25;
const HEAD_ROWS: [usize; 2] = [32, 1024];
/// Elements of a group of matrices in Newton-Schulz (muon.cu).
const MAX_GROUP: usize = 1 << 26;

const F32: usize = size_of::<f32>();
const I32: usize = size_of::<i32>();
const F64: usize = size_of::<f64>();

/// Bytes of working memory of `pass` over a model.
pub fn bytes(layout: &Layout, pass: Pass) -> u64 {
    let t = pass.batch * pass.seq;
    let largest = [size_of::<i64>(), forward(layout, t), if pass.is_training { training(layout, t) } else { 0 }];
    largest.into_iter().max().unwrap_or(0) as u64
}

/// Routing and dispatch.
fn forward(layout: &Layout, t: usize) -> usize {
    let of_site = |(e, k): (usize, usize)| {
        let sums = F64 * (t.div_ceil(ROWS) * (3 * e + 3) + t);
        sums.max(I32 * (t * k).div_ceil(CHOICES) * e)
    };
    layout.sites.iter().filter_map(|site| site.ffn.moe()).map(|moe| of_site((moe.rule.experts, moe.rule.top_k))).max().unwrap_or(0)
}

/// Gradients, head and optimizers.
fn training(layout: &Layout, t: usize) -> usize {
    let norm = |rows: usize, d: usize| F32 * (rows + rows.div_ceil(ROWS) * d);
    let of_site = layout.sites.iter().map(|site| {
        let attention = &site.attention;
        let of_head = |width: usize| match attention.options.qk_norm {
            QkNorm::None => 0,
            QkNorm::Whole => norm(t, width),
            QkNorm::Head => norm(t * width / attention.head_dim, attention.head_dim),
        };
        let delta = F32 * t * attention.heads;
        delta.max(of_head(attention.q_width())).max(of_head(attention.kv_width()))
    });
    let of_param = layout.params.iter().map(|p| (F64 * p.size().div_ceil(SQUARES)).max(muon(p)));
    let rows = (MAX_LOGITS / layout.vocab).clamp(HEAD_ROWS[0], HEAD_ROWS[1]).min(t);
    of_site.chain(of_param).chain([norm(t, layout.width), F32 * rows * layout.vocab]).max().unwrap_or(0)
}

/// Newton-Schulz of as many matrices of a parameter as are taken at once.
fn muon(p: &ParamSpec) -> usize {
    if p.optimizer != OptimizerKind::Muon {
        return 0;
    }
    let (count, rows) = (p.count * p.muon_parts, p.rows / p.muon_parts);
    let side = rows.min(p.cols);
    let each = 2 * (rows * p.cols + side * side);
    F32 * (MAX_GROUP / each).clamp(1, count) * each
}
