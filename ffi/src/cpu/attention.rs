//! Causal attention by tiles of query rows. One tile of one head holds its scores (TILE, keys) in the scratch of its thread, so memory
//! grows with S and not with S^2. The backward pass computes the probabilities again from `lse`.

use multiversion::multiversion;
use rayon::prelude::*;

use super::gemm::{Mat, MatMut, Output, product};
use super::{math, row_block, scratch};
use crate::backend::AttentionDims;

/// Query rows of a tile: the scores of 1024 keys fit in a second-level cache.
const TILE: usize = 64;
/// Query rows of one backward task. More tasks would balance better and leave more partial `d_k` and `d_v` to sum.
const PIECE: usize = 512;

fn scale(dims: AttentionDims) -> f32 {
    1.0 / (dims.head_dim as f32).sqrt()
}

/// Head `head` of sequence `b` in `x` (B, S, heads, P) as an (S, P) matrix.
fn head_of(x: &[f32], b: usize, seq: usize, head: usize, heads: usize, p: usize) -> Mat<'_> {
    let width = heads * p;
    if seq == 0 { Mat::new(&[], 0, p) } else { Mat::strided(&x[b * seq * width + head * p..], seq, p, width) }
}

/// Cuts `x` (B, S, heads, P) by sequence, head and pieces of `rows` positions, in this order.
fn pieces(x: &mut [f32], batch: usize, seq: usize, heads: usize, p: usize, rows: usize) -> Vec<MatMut<'_>> {
    let sequences = MatMut::new(x, batch * seq, heads * p).row_blocks(seq);
    sequences.into_iter().flat_map(|x| x.col_blocks(p)).flat_map(|x| x.row_blocks(rows)).collect()
}

// --- forward ---

pub fn forward(out: &mut [f32], lse: &mut [f32], q: &[f32], k: &[f32], v: &[f32], dims: AttentionDims) {
    let AttentionDims { batch, seq, heads, kv_heads, head_dim: p } = dims;
    if batch * seq == 0 {
        return;
    }
    let (out, lse) = (&mut out[..batch * seq * heads * p], &mut lse[..batch * heads * seq]);
    let lse = lse.chunks_mut(seq).flat_map(|lse| lse.chunks_mut(TILE));
    let tasks: Vec<_> = pieces(out, batch, seq, heads, p, TILE).into_iter().zip(lse).enumerate().collect();
    let tiles = seq.div_ceil(TILE);
    tasks.into_par_iter().with_max_len(1).for_each(|(i, (out, lse))| {
        let (b, head, first) = (i / tiles / heads, i / tiles % heads, i % tiles * TILE);
        let kv_head = head / (heads / kv_heads);
        let q = head_of(q, b, seq, head, heads, p).rows(first..first + lse.len());
        let k = head_of(k, b, seq, kv_head, kv_heads, p);
        let v = head_of(v, b, seq, kv_head, kv_heads, p);
        forward_tile(out, lse, q, k, v, first, scale(dims));
    });
}

/// See `attention_cached` of the backend: `k_cache` and `v_cache` hold the `start` positions before, and receive the new ones.
pub fn cached(
    out: &mut [f32],
    k_cache: &mut [f32],
    v_cache: &mut [f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    start: usize,
    dims: AttentionDims,
) {
    let AttentionDims { seq, heads, kv_heads, head_dim: p, .. } = dims;
    let width = kv_heads * p;
    k_cache[start * width..][..seq * width].copy_from_slice(&k[..seq * width]);
    v_cache[start * width..][..seq * width].copy_from_slice(&v[..seq * width]);
    if seq == 0 {
        return;
    }
    let (k, v) = (&*k_cache, &*v_cache);
    let tiles = seq.div_ceil(TILE);
    let tasks: Vec<_> = pieces(&mut out[..seq * heads * p], 1, seq, heads, p, TILE).into_iter().enumerate().collect();
    tasks.into_par_iter().with_max_len(1).for_each(|(i, out)| {
        let (head, first) = (i / tiles, i % tiles * TILE);
        let rows = TILE.min(seq - first);
        let kv_head = head / (heads / kv_heads);
        let q = head_of(q, 0, seq, head, heads, p).rows(first..first + rows);
        let k = head_of(k, 0, start + seq, kv_head, kv_heads, p);
        let v = head_of(v, 0, start + seq, kv_head, kv_heads, p);
        forward_tile(out, &mut [0.0; TILE][..rows], q, k, v, start + first, scale(dims));
    });
}

/// Rows `first..` of one head: `out` and `q` hold the tile, `k` and `v` all keys.
fn forward_tile(mut out: MatMut<'_>, lse: &mut [f32], q: Mat<'_>, k: Mat<'_>, v: Mat<'_>, first: usize, scale: f32) {
    let keys = first + lse.len();
    scratch::with(lse.len() * keys, |scores| {
        product(MatMut::new(scores, lse.len(), keys), Output::Overwrite, scale, q, k.rows(0..keys).t());
        let mut sums = [0.0; TILE];
        for (r, row) in scores.chunks_exact_mut(keys).enumerate() {
            let (visible, hidden) = row.split_at_mut(first + r + 1);
            hidden.fill(0.0);
            let max = math::row_max(visible);
            sums[r] = math::exp_shifted(visible, max);
            lse[r] = max + sums[r].ln();
        }
        product(out.borrow(), Output::Overwrite, 1.0, Mat::new(scores, lse.len(), keys), v.rows(0..keys));
        for (r, sum) in sums[..lse.len()].iter().enumerate() {
            math::scale(out.row(r), 1.0 / sum);
        }
    });
}

// --- backward ---

/// What the backward pass reads.
#[derive(Clone, Copy)]
pub struct Saved<'a> {
    pub out: &'a [f32],
    pub lse: &'a [f32],
    pub q: &'a [f32],
    pub k: &'a [f32],
    pub v: &'a [f32],
    pub d_out: &'a [f32],
}

/// Gradients of the keys and values that one piece of queries reached: (keys, P) each.
struct Partial {
    d_k: Vec<f32>,
    d_v: Vec<f32>,
}

pub fn backward(d_q: &mut [f32], d_k: &mut [f32], d_v: &mut [f32], saved: Saved<'_>, dims: AttentionDims) {
    let AttentionDims { batch, seq, heads, kv_heads, head_dim: p } = dims;
    if batch * seq == 0 {
        return;
    }
    let (d_k, d_v) = (&mut d_k[..batch * seq * kv_heads * p], &mut d_v[..batch * seq * kv_heads * p]);
    let count = seq.div_ceil(PIECE);
    let tasks = pieces(d_q, batch, seq, heads, p, PIECE);
    let partial: Vec<Partial> = tasks
        .into_par_iter()
        .enumerate()
        .with_max_len(1)
        .map(|(i, d_q)| backward_piece(d_q, saved, i / count / heads, i / count % heads, i % count * PIECE, dims))
        .collect();
    // the query heads of a group in ascending order, within a head its pieces in ascending order
    let group = heads / kv_heads;
    let sum = |out: &mut [f32], block: usize, part: fn(&Partial) -> &[f32]| {
        for (i, row) in out.chunks_exact_mut(kv_heads * p).enumerate() {
            let (b, s) = ((block * row_block(kv_heads * p) + i) / seq, (block * row_block(kv_heads * p) + i) % seq);
            for (kv_head, out) in row.chunks_exact_mut(p).enumerate() {
                out.fill(0.0);
                for head in kv_head * group..(kv_head + 1) * group {
                    for piece in &partial[(b * heads + head) * count..][s / PIECE..count] {
                        math::add_into(out, &part(piece)[s * p..][..p]);
                    }
                }
            }
        }
    };
    let block = row_block(kv_heads * p) * kv_heads * p;
    d_k.par_chunks_mut(block).zip(d_v.par_chunks_mut(block)).enumerate().for_each(|(i, (d_k, d_v))| {
        sum(d_k, i, |partial| &partial.d_k);
        sum(d_v, i, |partial| &partial.d_v);
    });
}

// With s = scale q k^T, P = exp(s - lse), o = P v and delta_i = <d_o_i, o_i>:
// d_v = P^T d_o, d_P = d_o v^T, d_s = P * (d_P - delta), d_q = scale d_s k, d_k = scale d_s^T q
fn backward_piece(d_q: MatMut<'_>, saved: Saved<'_>, b: usize, head: usize, start: usize, dims: AttentionDims) -> Partial {
    let AttentionDims { seq, heads, kv_heads, head_dim: p, .. } = dims;
    let scale = scale(dims);
    let kv_head = head / (heads / kv_heads);
    let k = head_of(saved.k, b, seq, kv_head, kv_heads, p);
    let v = head_of(saved.v, b, seq, kv_head, kv_heads, p);
    let queries = [saved.q, saved.d_out, saved.out].map(|x| head_of(x, b, seq, head, heads, p));
    let end = seq.min(start + PIECE);
    let mut partial = Partial { d_k: vec![0.0; end * p], d_v: vec![0.0; end * p] };
    for (i, d_q) in d_q.row_blocks(TILE).into_iter().enumerate() {
        let first = start + i * TILE;
        let rows = TILE.min(end - first);
        let keys = first + rows;
        let [q, d_out, out] = queries.map(|x| x.rows(first..keys));
        let (k, v) = (k.rows(0..keys), v.rows(0..keys));
        let lse = &saved.lse[(b * heads + head) * seq..][first..keys];
        scratch::with(2 * rows * keys, |buf| {
            let (prob, d_score) = buf.split_at_mut(rows * keys);
            product(MatMut::new(prob, rows, keys), Output::Overwrite, scale, q, k.t());
            product(MatMut::new(d_score, rows, keys), Output::Overwrite, 1.0, d_out, v.t());
            for (r, (prob, d_score)) in prob.chunks_exact_mut(keys).zip(d_score.chunks_exact_mut(keys)).enumerate() {
                let delta = math::row_dot(d_out.row(r), out.row(r));
                score_gradient(prob, d_score, first + r + 1, lse[r], delta, scale);
            }
            let (prob, d_score) = (Mat::new(prob, rows, keys), Mat::new(d_score, rows, keys));
            product(MatMut::new(&mut partial.d_v, keys, p), Output::Add, 1.0, prob.t(), d_out);
            product(MatMut::new(&mut partial.d_k, keys, p), Output::Add, 1.0, d_score.t(), q);
            product(d_q, Output::Overwrite, 1.0, d_score, k);
        });
    }
    partial
}

/// From scores to probabilities in `prob`, from `d_P` to `scale d_s` in `d_score`; both 0 past `visible`.
#[multiversion(targets = "simd")]
fn score_gradient(prob: &mut [f32], d_score: &mut [f32], visible: usize, lse: f32, delta: f32, scale: f32) {
    let (prob, hidden) = prob.split_at_mut(visible);
    hidden.fill(0.0);
    let (d_score, hidden) = d_score.split_at_mut(visible);
    hidden.fill(0.0);
    for (prob, d_score) in prob.iter_mut().zip(d_score) {
        *prob = math::exp(*prob - lse);
        *d_score = *prob * (*d_score - delta) * scale;
    }
}
