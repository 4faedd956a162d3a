//! The working memory that the kernel library keeps: the most that one of its calls takes. The library allocates it when a call
//! first needs it; here it is known before. Each function mirrors the `scratch` of the file in `kernels` that its comment names.

use super::Precision;
use crate::layout::{AttentionUse, FfnUse, Layout, MoeUse, ParamSpec, SiteUse};
use crate::memory::Pass;
use crate::model::decoder::HEAD_ROWS;
use crate::plan::{OptimizerKind, QkNorm};

const F32: usize = size_of::<f32>();
const I32: usize = size_of::<i32>();
const F64: usize = size_of::<f64>();
const BF16: usize = 2;

/// Pieces that one call takes, in bytes.
type Pieces = Vec<usize>;

/// Bytes of working memory of `pass` over a model.
pub fn bytes(layout: &Layout, pass: Pass, precision: Precision) -> u64 {
    let is_bf16 = precision == Precision::Bf16;
    let mut calls: Vec<Pieces> = vec![IDS.to_vec()];
    for site in &layout.sites {
        calls.extend(of_site(site, layout.width, pass, is_bf16));
    }
    if pass.is_training {
        let t = pass.batch * pass.seq;
        calls.extend(layout.params.iter().flat_map(|p| [sum_squares(p.size()), muon(p, is_bf16)]));
        calls.extend([norm(t, layout.width), cross_entropy(t, layout.vocab, layout.width, is_bf16)]);
    } else if is_bf16 {
        calls.push(linear_forward(HEAD_ROWS, layout.vocab, layout.width));
    }
    // pieces start at multiples of 256 bytes
    let taken = |call: &Pieces| call.iter().map(|piece| piece.next_multiple_of(256)).sum::<usize>();
    calls.iter().map(taken).max().unwrap_or(0) as u64
}

/// The first bad id (ids.cu).
const IDS: [usize; 1] = [size_of::<i64>()];

fn of_site(site: &SiteUse, d: usize, pass: Pass, is_bf16: bool) -> Vec<Pieces> {
    let (t, attention) = (pass.batch * pass.seq, &site.attention);
    let (q, kv) = (attention.q_width(), attention.kv_width());
    let mut linears = vec![(q, d), (kv, d), (d, q)];
    linears.extend(attention.adapter.into_iter().flat_map(|adapter| [(adapter.rank, d), (q, adapter.rank), (kv, adapter.rank)]));
    let mut calls = self::attention(attention, t, pass.is_training, is_bf16);
    match &site.ffn {
        FfnUse::Dense(dense) => linears.extend([(2 * dense.width, d), (d, dense.width)]),
        FfnUse::Moe(moe) => calls.extend(experts(moe, t, d, pass.is_training, is_bf16)),
    }
    if is_bf16 {
        calls.extend(linears.iter().map(|&(o, i)| linear_forward(t, o, i)));
        if pass.is_training {
            calls.extend(linears.iter().flat_map(|&(o, i)| linear_backward(t, o, i)));
        }
    }
    calls
}

/// A copy in bf16 of a matrix (rows, k) whose rows are summed over (cast.cu).
fn copy(rows: usize, k: usize) -> usize {
    BF16 * rows * k.next_multiple_of(8)
}

/// linear.cu
fn linear_forward(rows: usize, o: usize, i: usize) -> Pieces {
    vec![copy(rows, i), copy(o, i)]
}

fn linear_backward(rows: usize, o: usize, i: usize) -> [Pieces; 2] {
    [vec![copy(rows, o), copy(i, o)], vec![copy(o, rows), copy(i, rows)]]
}

/// attention.cu, where a cache needs none, and the norms of q and k
fn attention(site: &AttentionUse, t: usize, is_training: bool, is_bf16: bool) -> Vec<Pieces> {
    /// Elements of the longest heads that tensor cores take; longer ones are rounded and stay f32.
    const MAX_TENSOR_P: usize = 128;
    let (rows, kv_rows, p) = (t * site.heads, t * site.kv_heads, site.head_dim);
    let of_row = if p <= MAX_TENSOR_P { copy(1, p) } else { F32 * p };
    let copied = |copies: usize| if is_bf16 { copies * of_row } else { 0 };
    let mut calls = Vec::new();
    if is_training {
        let [q, k, v, d_out] = [rows, kv_rows, kv_rows, rows].map(copied);
        calls.extend([vec![q, k, v], vec![q, k, v, d_out, F32 * rows]]);
        for width in [site.q_width(), site.kv_width()] {
            match site.options.qk_norm {
                QkNorm::None => {}
                QkNorm::Whole => calls.push(norm(t, width)),
                QkNorm::Head => calls.push(norm(t * width / p, p)),
            }
        }
    }
    calls
}

/// The backward pass of a norm (rmsnorm.cu).
fn norm(rows: usize, d: usize) -> Pieces {
    vec![F32 * (rows + rows.div_ceil(64) * d)]
}

/// router.cu, dispatch.cu, grouped_linear.cu
fn experts(moe: &MoeUse, t: usize, d: usize, is_training: bool, is_bf16: bool) -> Vec<Pieces> {
    /// Rows of an expert are padded to a multiple of it where they are summed over.
    const GROUP_PAD: usize = 64;
    let (e, n, f) = (moe.rule.experts, t * moe.rule.top_k, moe.expert_width);
    let mut calls = vec![vec![F64 * (t.div_ceil(64) * (3 * e + 3) + t)], vec![I32 * n.div_ceil(256) * e]];
    if is_bf16 {
        for (o, i) in [(2 * f, d), (d, f)] {
            calls.push(vec![copy(n, i), copy(e * o, i)]);
            if is_training {
                let columns = (n / GROUP_PAD + e) * GROUP_PAD;
                calls.extend([vec![copy(n, o), copy(e * i, o)], vec![copy(o, columns), copy(i, columns)]]);
            }
        }
    }
    calls
}

/// elementwise.cu
fn sum_squares(n: usize) -> Pieces {
    vec![F64 * n.div_ceil(16 * 1024)]
}

/// The logits of a chunk; in bf16 the head twice, and one of the products of a chunk (cross_entropy.cu).
fn cross_entropy(t: usize, v: usize, d: usize, is_bf16: bool) -> Pieces {
    /// Logits of a chunk, and the bounds of its rows.
    const MAX_LOGITS: usize = 1 << 25;
    let rows = (MAX_LOGITS / v).clamp(32, 1024).min(t);
    let mut pieces = [&IDS[..], &[F32 * rows * v]].concat();
    if is_bf16 {
        let weight = copy(v, rows).next_multiple_of(256) + copy(d, rows);
        pieces.extend([copy(v, d), copy(d, v), copy(rows, d).max(copy(rows, v)).max(weight)]);
    }
    pieces
}

/// Newton-Schulz of as many matrices of a parameter as are taken at once; in bf16 the factors of its largest product (muon.cu).
fn muon(p: &ParamSpec, is_bf16: bool) -> Pieces {
    /// Elements of a group of matrices.
    const MAX_GROUP: usize = 1 << 26;
    if p.optimizer != OptimizerKind::Muon {
        return Vec::new();
    }
    let (count, rows) = (p.count * p.muon_parts, p.rows / p.muon_parts);
    let (side, length) = (rows.min(p.cols), rows.max(p.cols));
    let each = 2 * (side * length + side * side);
    let count = (MAX_GROUP / each).clamp(1, count);
    let mut pieces = vec![F32 * count * each];
    if is_bf16 {
        let gram = copy(count * side, length);
        let next = copy(count * side, side).next_multiple_of(256) + copy(count * length, side);
        pieces.push(gram.max(next));
    }
    pieces
}
