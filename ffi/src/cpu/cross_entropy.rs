//! Head and cross-entropy together. Rows go in chunks; within a chunk the vocabulary is cut into groups (one task each) of blocks, so that
//! a block of logits (ROWS, block) stays in a core's cache between its product, its exponentials and its gradients.
//!
//! Story of one chunk:
//! 1. per block: logits = h w_block^T, then exp(logit - block max) in place; the block's max, sum and target logit per row are kept;
//! 2. per row: lse over the blocks in ascending order, and the loss;
//! 3. per block: d_logits = grad_scale * (softmax - one hot), d_w_block += d_logits^T h, group's d_h += d_logits w_block;
//! 4. d_h = sum over groups in ascending order.

use rayon::prelude::*;

use super::gemm::{Mat, MatMut, Output, product};
use super::scratch::{self, Shared};
use super::{math, row_block};
use crate::error::{Error, Result};

/// Rows of a chunk, fewer where the logits of a chunk would pass `MAX_LOGITS`: every chunk reads the whole of `w` and of `d_w`.
const ROWS: usize = 256;
const MIN_ROWS: usize = 32;
/// 56 MiB of f32: 128 rows of a vocabulary of 100,277.
const MAX_LOGITS: usize = 7 << 21;
/// Groups of the vocabulary: enough to balance up to 8 threads, few enough that products stay large and the partial `d_h` small.
const GROUPS: usize = 16;

/// How the vocabulary is cut.
#[derive(Clone, Copy)]
struct Cut {
    v: usize,
    d: usize,
    /// Vocabulary rows of a block.
    block: usize,
    /// Blocks of a group.
    per_group: usize,
}

impl Cut {
    fn new(v: usize, d: usize) -> Self {
        let share = v.div_ceil(GROUPS);
        let block = share.next_multiple_of(64).clamp(64, 512);
        Cut { v, d, block, per_group: share.div_ceil(block).max(1) }
    }

    fn blocks(&self) -> usize {
        self.v.div_ceil(self.block)
    }

    /// Vocabulary rows of a group.
    fn group(&self) -> usize {
        self.block * self.per_group
    }
}

/// What a block says about one row of logits: their max, the sum of exp(logit - max), and the target's logit where the target
/// lies in this block. An array, so that working memory of f32 holds it.
type BlockStats = [f32; STATS];
const STATS: usize = 3;

struct RowStats {
    lse: f32,
    loss: f32,
}

pub fn forward(losses: &mut [f32], h: &[f32], w: &[f32], targets: &[i32], v: usize, d: usize) -> Result<()> {
    check(targets, v)?;
    let cut = Cut::new(v, d);
    for (losses, (h, targets)) in losses.chunks_mut(ROWS).zip(h.chunks(ROWS * d).zip(targets.chunks(ROWS))) {
        let rows = targets.len();
        let mut stats = vec![BlockStats::default(); cut.blocks() * rows];
        stats.par_chunks_mut(rows).with_max_len(1).enumerate().for_each(|(block, stats)| {
            let w = block_of(w, cut, block);
            scratch::with(rows * w.len() / d, |logits| block_logits(logits, stats, h, w, targets, cut, block));
        });
        for (loss, row) in losses.iter_mut().zip(rows_of(&stats, targets, cut)) {
            *loss = row.loss;
        }
    }
    Ok(())
}

/// Rows of a chunk.
fn chunk_rows(t: usize, v: usize) -> usize {
    (MAX_LOGITS / v / MIN_ROWS * MIN_ROWS).clamp(MIN_ROWS, ROWS).min(t.max(1))
}

/// Working memory that the tasks of `forward_backward` share: the logits of a chunk, what blocks say of them, and `d_h` of each group.
pub fn shared_elements(t: usize, v: usize, d: usize) -> usize {
    let cut = Cut::new(v, d);
    chunk_rows(t, v) * (v + STATS * cut.blocks() + d * v.div_ceil(cut.group()))
}

/// Working memory of a thread in `forward`: the logits of a block.
pub fn thread_elements(t: usize, v: usize, d: usize) -> usize {
    ROWS.min(t) * Cut::new(v, d).block.min(v)
}

pub fn forward_backward(
    scratch: &Shared,
    losses: &mut [f32],
    d_h: &mut [f32],
    d_w: &mut [f32],
    h: &[f32],
    w: &[f32],
    targets: &[i32],
    grad_scale: f32,
    v: usize,
    d: usize,
) -> Result<()> {
    check(targets, v)?;
    let (cut, chunk) = (Cut::new(v, d), chunk_rows(targets.len(), v));
    scratch.with(shared_elements(targets.len(), v, d), |buf| {
        let (logits, rest) = buf.split_at_mut(chunk * v);
        let (stats, partial) = rest.split_at_mut(STATS * chunk * cut.blocks());
        let (stats, _) = stats.as_chunks_mut();
        let chunks = losses.chunks_mut(chunk).zip(d_h.chunks_mut(chunk * d)).zip(h.chunks(chunk * d).zip(targets.chunks(chunk)));
        for ((losses, d_h), (h, targets)) in chunks {
            let chunk = Chunk { h, w, targets, grad_scale, cut };
            let (logits, stats) = (&mut logits[..targets.len() * v], &mut stats[..targets.len() * cut.blocks()]);
            chunk.run(losses, d_h, d_w, logits, stats, partial);
        }
    });
    Ok(())
}

/// What one chunk of rows reads.
struct Chunk<'a> {
    h: &'a [f32],
    w: &'a [f32],
    targets: &'a [i32],
    grad_scale: f32,
    cut: Cut,
}

impl Chunk<'_> {
    fn run(&self, losses: &mut [f32], d_h: &mut [f32], d_w: &mut [f32], logits: &mut [f32], stats: &mut [BlockStats], partial: &mut [f32]) {
        let Chunk { h, w, targets, grad_scale, cut } = *self;
        let (rows, d, group) = (targets.len(), cut.d, cut.group());
        // 1.
        (logits.par_chunks_mut(rows * cut.block), stats.par_chunks_mut(rows))
            .into_par_iter()
            .with_max_len(1)
            .enumerate()
            .for_each(|(block, (logits, stats))| block_logits(logits, stats, h, block_of(w, cut, block), targets, cut, block));
        // 2.
        let row_stats = rows_of(stats, targets, cut);
        for (loss, row) in losses.iter_mut().zip(&row_stats) {
            *loss = row.loss;
        }
        // 3.
        (logits.par_chunks_mut(rows * group), d_w.par_chunks_mut(group * d), partial.par_chunks_mut(rows * d))
            .into_par_iter()
            .with_max_len(1)
            .enumerate()
            .for_each(|(g, (logits, d_w, d_h))| {
                let blocks = logits.chunks_mut(rows * cut.block).zip(d_w.chunks_mut(cut.block * d));
                for (b, (logits, d_w)) in blocks.enumerate() {
                    let (block, width) = (g * cut.per_group + b, d_w.len() / d);
                    block_gradient(logits, &stats[block * rows..][..rows], &row_stats, targets, grad_scale, width, block * cut.block);
                    let d_logits = Mat::new(logits, rows, width);
                    product(MatMut::new(d_w, width, d), Output::Add, 1.0, d_logits.t(), Mat::new(h, rows, d));
                    let w = Mat::new(block_of(w, cut, block), width, d);
                    let mode = if b == 0 { Output::Overwrite } else { Output::Add };
                    product(MatMut::new(d_h, rows, d), mode, 1.0, d_logits, w);
                }
            });
        // 4.
        let piece = row_block(d) * d;
        d_h.par_chunks_mut(piece).enumerate().for_each(|(p, d_h)| {
            let from = p * piece..p * piece + d_h.len();
            for (g, group) in partial.chunks_exact(rows * d).take(cut.v.div_ceil(group)).enumerate() {
                let group = &group[from.clone()];
                if g == 0 { d_h.copy_from_slice(group) } else { math::add_into(d_h, group) }
            }
        });
    }
}

fn check(targets: &[i32], v: usize) -> Result<()> {
    match targets.iter().enumerate().find(|&(_, &target)| target >= 0 && target as usize >= v) {
        Some((at, target)) => {
            Err(Error::Argument(format!("Cannot score target {target} at position {at}: ids must be below {v}, or negative for none")))
        }
        None => Ok(()),
    }
}

fn block_of(w: &[f32], cut: Cut, block: usize) -> &[f32] {
    let first = block * cut.block;
    &w[first * cut.d..cut.v.min(first + cut.block) * cut.d]
}

/// Leaves exp(logit - block max) in `logits` (rows, block).
fn block_logits(logits: &mut [f32], stats: &mut [BlockStats], h: &[f32], w: &[f32], targets: &[i32], cut: Cut, block: usize) {
    let (rows, width) = (stats.len(), w.len() / cut.d);
    let first = block * cut.block;
    product(MatMut::new(logits, rows, width), Output::Overwrite, 1.0, Mat::new(h, rows, cut.d), Mat::new(w, width, cut.d).t());
    for ((row, stats), &target) in logits.chunks_exact_mut(width).zip(stats).zip(targets) {
        let logit = place_in(target, first, width).map_or(0.0, |place| row[place]);
        let max = math::row_max(row);
        *stats = [max, math::exp_shifted(row, max), logit];
    }
}

/// Where a target lies in the block that starts at `first`.
fn place_in(target: i32, first: usize, width: usize) -> Option<usize> {
    let place = usize::try_from(target).ok()?.checked_sub(first)?;
    (place < width).then_some(place)
}

/// Loss and lse of every row, in f64 to round once.
fn rows_of(stats: &[BlockStats], targets: &[i32], cut: Cut) -> Vec<RowStats> {
    let rows = targets.len();
    let row_of = |r: usize| {
        let blocks = stats[r..].iter().step_by(rows);
        let max =
            blocks.clone().fold(f32::NEG_INFINITY, |max, &[of_block, ..]| if max >= of_block || max.is_nan() { max } else { of_block });
        let sum: f64 = blocks.map(|&[of_block, sum, _]| sum as f64 * math::exp(of_block - max) as f64).sum();
        let lse = max as f64 + sum.ln();
        let loss = match usize::try_from(targets[r]) {
            Ok(target) => (lse - stats[target / cut.block * rows + r][2] as f64) as f32,
            Err(_) => 0.0,
        };
        RowStats { lse: lse as f32, loss }
    };
    (0..rows).into_par_iter().with_min_len(16).map(row_of).collect()
}

/// From exp(logit - block max) to the gradient of the logits.
fn block_gradient(
    logits: &mut [f32],
    stats: &[BlockStats],
    row_stats: &[RowStats],
    targets: &[i32],
    grad_scale: f32,
    width: usize,
    first: usize,
) {
    for (r, row) in logits.chunks_exact_mut(width).enumerate() {
        if targets[r] < 0 {
            row.fill(0.0);
            continue;
        }
        math::scale(row, grad_scale * math::exp(stats[r][0] - row_stats[r].lse));
        if let Some(place) = place_in(targets[r], first, width) {
            row[place] -= grad_scale;
        }
    }
}
