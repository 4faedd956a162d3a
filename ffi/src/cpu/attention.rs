//! Causal attention by tiles of query rows. One tile of one head holds its scores (TILE, keys) in the scratch of its thread, so memory
//! grows with S and not with S^2. The backward pass computes the probabilities again from `lse`.

use multiversion::multiversion;
use rayon::prelude::*;

use super::gemm::{Mat, MatMut, Output, product};
use super::scratch::{self, Shared};
use super::{math, row_block};
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
            row[first + r + 1..].fill(f32::NEG_INFINITY);
            let max = math::row_max(row);
            sums[r] = math::exp_shifted(row, max);
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

/// Working memory of a thread: the scores of a tile, and in the backward pass their gradient.
pub fn thread_elements(seq: usize, is_training: bool) -> usize {
    TILE.min(seq) * seq * if is_training { 2 } else { 1 }
}

/// Whether a head of `d_k` and `d_v` is the sum of several parts, of pieces or of query heads.
fn is_summed(dims: AttentionDims) -> bool {
    dims.seq > PIECE || dims.heads > dims.kv_heads
}

/// Working memory that the tasks of `backward` share: `delta`, and the parts of `d_k` and `d_v` where these are sums.
pub fn shared_elements(dims: AttentionDims) -> usize {
    let AttentionDims { batch, seq, heads, head_dim: p, .. } = dims;
    let ends = (0..seq.div_ceil(PIECE)).map(|piece| seq.min((piece + 1) * PIECE));
    let parts = if is_summed(dims) { ends.map(|end| 2 * end * p).sum() } else { 0 };
    batch * heads * (seq + parts)
}

/// Where `d_k` and `d_v` are sums, a piece that ends at key `end` leaves its parts in `scratch`, (end, P) each.
pub fn backward(scratch: &Shared, d_q: &mut [f32], d_k: &mut [f32], d_v: &mut [f32], saved: Saved<'_>, dims: AttentionDims) {
    let AttentionDims { batch, seq, heads, kv_heads, head_dim: p } = dims;
    if batch * seq == 0 {
        return;
    }
    let (d_k, d_v) = (&mut d_k[..batch * seq * kv_heads * p], &mut d_v[..batch * seq * kv_heads * p]);
    let count = seq.div_ceil(PIECE);
    let end = |piece: usize| seq.min((piece + 1) * PIECE);
    // where the partial gradients of a piece start within its head
    let starts: Vec<usize> = (0..=count).map(|piece| (0..piece).map(|piece| 2 * end(piece) * p).sum()).collect();
    let head_size = starts[count];
    scratch.with(shared_elements(dims), |buf| {
        let (delta, partial) = buf.split_at_mut(batch * seq * heads);
        deltas(delta, saved, heads, p);
        let delta = &*delta;
        let mut parts = Vec::new();
        if is_summed(dims) {
            for partial in partial.chunks_exact_mut(head_size) {
                let mut rest = partial;
                for end in (0..count).map(end) {
                    let (d_k, others) = rest.split_at_mut(end * p);
                    let (d_v, others) = others.split_at_mut(end * p);
                    rest = others;
                    parts.push((MatMut::new(d_k, end, p), MatMut::new(d_v, end, p)));
                }
            }
        } else {
            let whole = |x| pieces(x, batch, seq, heads, p, PIECE);
            parts.extend(whole(&mut *d_k).into_iter().zip(whole(&mut *d_v)));
        }
        let tasks = parts.into_par_iter().zip(pieces(d_q, batch, seq, heads, p, PIECE)).with_max_len(1).enumerate();
        tasks.for_each(|(i, ((d_k, d_v), d_q))| {
            let (head, piece) = (i / count, i % count);
            backward_piece(d_q, d_k, d_v, saved, delta, head / heads, head % heads, piece * PIECE, dims);
        });
        if !is_summed(dims) {
            return;
        }
        // the query heads of a group in ascending order, within a head its pieces in ascending order
        let group = heads / kv_heads;
        let sum = |out: &mut [f32], row: usize, second: bool| {
            let (b, s) = (row / seq, row % seq);
            for (kv_head, out) in out.chunks_exact_mut(p).enumerate() {
                out.fill(0.0);
                for head in b * heads + kv_head * group..b * heads + (kv_head + 1) * group {
                    for (piece, start) in starts[..count].iter().enumerate().skip(s / PIECE) {
                        let from = head * head_size + start + if second { end(piece) * p } else { 0 };
                        math::add_into(out, &partial[from + s * p..][..p]);
                    }
                }
            }
        };
        let (width, rows) = (kv_heads * p, row_block(kv_heads * p));
        d_k.par_chunks_mut(rows * width).zip(d_v.par_chunks_mut(rows * width)).enumerate().for_each(|(i, (d_k, d_v))| {
            for (r, (d_k, d_v)) in d_k.chunks_exact_mut(width).zip(d_v.chunks_exact_mut(width)).enumerate() {
                sum(d_k, i * rows + r, false);
                sum(d_v, i * rows + r, true);
            }
        });
    });
}

/// Overwrites `delta` (B, S, H) with `<d_out, out>` of each head. Row by row over all heads, since `out` comes from memory: head by
/// head, which reads a part of each row, it took four times as long.
fn deltas(delta: &mut [f32], saved: Saved<'_>, heads: usize, p: usize) {
    let rows = row_block(heads * p);
    let [d_out, out] = [saved.d_out, saved.out].map(|x| x[..delta.len() * p].par_chunks(rows * heads * p));
    delta.par_chunks_mut(rows * heads).zip(d_out.zip(out)).for_each(|(delta, (d_out, out))| {
        for (delta, (d_out, out)) in delta.iter_mut().zip(d_out.chunks_exact(p).zip(out.chunks_exact(p))) {
            *delta = math::row_dot(d_out, out);
        }
    });
}

// With s = scale q k^T, P = exp(s - lse), o = P v and delta_i = <d_o_i, o_i>:
// d_v = P^T d_o, d_P = d_o v^T, d_s = P * (d_P - delta), d_q = scale d_s k, d_k = scale d_s^T q
// Tiles in descending order: the last one reaches all keys, so it overwrites and the others add.
fn backward_piece(
    d_q: MatMut<'_>,
    mut d_k: MatMut<'_>,
    mut d_v: MatMut<'_>,
    saved: Saved<'_>,
    delta: &[f32],
    b: usize,
    head: usize,
    start: usize,
    dims: AttentionDims,
) {
    let AttentionDims { seq, heads, kv_heads, head_dim: p, .. } = dims;
    let scale = scale(dims);
    let kv_head = head / (heads / kv_heads);
    let k = head_of(saved.k, b, seq, kv_head, kv_heads, p);
    let v = head_of(saved.v, b, seq, kv_head, kv_heads, p);
    let queries = [saved.q, saved.d_out].map(|x| head_of(x, b, seq, head, heads, p));
    let end = seq.min(start + PIECE);
    for (i, d_q) in d_q.row_blocks(TILE).into_iter().enumerate().rev() {
        let first = start + i * TILE;
        let rows = TILE.min(end - first);
        let keys = first + rows;
        let [q, d_out] = queries.map(|x| x.rows(first..keys));
        let (k, v) = (k.rows(0..keys), v.rows(0..keys));
        let lse = &saved.lse[(b * heads + head) * seq..][first..keys];
        scratch::with(2 * rows * keys, |buf| {
            let (prob, d_score) = buf.split_at_mut(rows * keys);
            product(MatMut::new(prob, rows, keys), Output::Overwrite, scale, q, k.t());
            product(MatMut::new(d_score, rows, keys), Output::Overwrite, 1.0, d_out, v.t());
            for (r, (prob, d_score)) in prob.chunks_exact_mut(keys).zip(d_score.chunks_exact_mut(keys)).enumerate() {
                prob[first + r + 1..].fill(f32::NEG_INFINITY);
                score_gradient(prob, d_score, lse[r], delta[(b * seq + first + r) * heads + head], scale);
            }
            let (prob, d_score) = (Mat::new(prob, rows, keys), Mat::new(d_score, rows, keys));
            let mode = if keys == end { Output::Overwrite } else { Output::Add };
            product(d_v.borrow().split_rows(keys).0, mode, 1.0, prob.t(), d_out);
            product(d_k.borrow().split_rows(keys).0, mode, 1.0, d_score.t(), q);
            product(d_q, Output::Overwrite, 1.0, d_score, k);
        });
    }
}

/// From scores to probabilities in `prob`, from `d_P` to `scale d_s` in `d_score`. A score of minus infinity makes both 0.
#[multiversion(targets = "simd")]
fn score_gradient(prob: &mut [f32], d_score: &mut [f32], lse: f32, delta: f32, scale: f32) {
    let one = |prob: &mut f32, d_score: &mut f32| {
        *prob = math::exp(*prob - lse);
        *d_score = *prob * (*d_score - delta) * scale;
    };
    let (probs, prob_rest) = prob.as_chunks_mut::<{ math::LANES }>();
    let (d_scores, d_score_rest) = d_score.as_chunks_mut::<{ math::LANES }>();
    for (prob, d_score) in probs.iter_mut().zip(d_scores) {
        prob.iter_mut().zip(d_score).for_each(|(prob, d_score)| one(prob, d_score));
    }
    prob_rest.iter_mut().zip(d_score_rest).for_each(|(prob, d_score)| one(prob, d_score));
}
