//! Muon: momentum orthogonalised by Newton-Schulz. All matrices of all parameters form one parallel list, each done by one thread.

use multiversion::multiversion;
use rayon::prelude::*;

use super::gemm::{Mat, MatMut, Output, product, transpose};
use super::{Cpu, elementwise, scratch};
use crate::backend::{MuonStep, MuonUpdate};

/// Coefficients of the Newton-Schulz polynomial x -> a x + b x^3 + c x^5.
const A: f32 = 3.4445;
const B: f32 = -4.7750;
const C: f32 = 2.0315;
/// Smallest norm divided by: a zero update stays zero.
const MIN_NORM: f32 = 1e-7;

struct Task<'a> {
    w: &'a mut [f32],
    m: &'a mut [f32],
    g: &'a [f32],
    rows: usize,
    cols: usize,
    lr: f32,
}

pub fn step(updates: &mut [MuonUpdate<'_, Cpu>], step: MuonStep) {
    let mut tasks = Vec::new();
    for MuonUpdate { w, m, g, at, count, rows, cols, lr } in updates {
        let (at, rows, cols, lr) = (*at, *rows, *cols, *lr);
        let (size, all) = (rows * cols, *count * rows * cols);
        let (w, m, g) = (&mut w[at..at + all], &mut m[..all], &g[at..at + all]);
        let matrices = w.chunks_exact_mut(size).zip(m.chunks_exact_mut(size)).zip(g.chunks_exact(size));
        tasks.extend(matrices.map(|((w, m), g)| Task { w, m, g, rows, cols, lr }));
    }
    // the largest first, so that no thread is left alone with one at the end
    tasks.sort_by_key(|task| std::cmp::Reverse(task.w.len() * task.rows.min(task.cols)));
    tasks.into_par_iter().with_max_len(1).for_each(|task| update(task, step));
}

/// Working memory of a thread: the update and its successor, and two products of its smaller side.
pub fn thread_elements(rows: usize, cols: usize) -> usize {
    let side = rows.min(cols);
    2 * (rows * cols + side * side)
}

fn update(task: Task<'_>, step: MuonStep) {
    let Task { w, m, g, rows, cols, lr } = task;
    let size = w.len();
    scratch::with(thread_elements(rows, cols), |buf| {
        let (mut x, rest) = buf.split_at_mut(size);
        let (mut spare, squares) = rest.split_at_mut(size);
        momentum(x, m, g, step.momentum, step.grad_scale);
        let norm = (elementwise::block_sum_squares(x).sqrt() as f32).max(MIN_NORM);
        super::math::scale(x, 1.0 / norm);
        let is_turned = (MIN_TURNED..cols).contains(&rows);
        if is_turned {
            transpose(spare, x, rows, cols, cols);
            std::mem::swap(&mut x, &mut spare);
        }
        let (height, width) = if is_turned { (cols, rows) } else { (rows, cols) };
        let (mut x, mut spare) = newton_schulz(x, spare, squares, height, width, step.newton_schulz_steps);
        if is_turned {
            transpose(spare, x, cols, rows, rows);
            std::mem::swap(&mut x, &mut spare);
        }
        let keep = (1.0 - lr as f64 * step.weight_decay as f64) as f32;
        let rate = (lr as f64 * (rows as f64 / cols as f64).max(1.0).sqrt()) as f32;
        apply(w, x, keep, rate);
    });
}

/// Rows from which on a wide matrix is made tall for the iterations, which would pack it with a transposition for every product: (256, 512)
/// then takes two thirds of the time. With fewer rows there is nothing to gain: (16, 128) takes longer.
const MIN_TURNED: usize = 32;

/// Orthogonalises `x` (rows, cols); returns the result and what was left over, one of them `x` and the other `spare`.
/// With S the smaller side: G = X X^T (S, S), then X = (a I + b G + c G^2) X. A tall matrix is used through its transpose, and so is
/// a square one: it gives the same X, and X^T X of row-major X packs faster (1.2x over all of (512, 512)).
fn newton_schulz<'a>(
    mut x: &'a mut [f32],
    mut spare: &'a mut [f32],
    squares: &mut [f32],
    rows: usize,
    cols: usize,
    steps: u32,
) -> (&'a mut [f32], &'a mut [f32]) {
    let side = rows.min(cols);
    let tall = rows >= cols;
    let (gram, poly) = squares.split_at_mut(side * side);
    for _ in 0..steps {
        let wide = if tall { Mat::new(x, rows, cols).t() } else { Mat::new(x, rows, cols) };
        symmetric_product(gram, Output::Overwrite, 1.0, wide, wide.t(), side);
        start_polynomial(poly, gram, side);
        let square = Mat::new(gram, side, side);
        symmetric_product(poly, Output::Add, C, square, square, side);
        let (out, poly) = (MatMut::new(spare, rows, cols), Mat::new(poly, side, side));
        // the polynomial is its own transpose: of the two, the one laid out like the output packs faster, 1.1 times over the product
        let (out, poly) = if tall { (out.t(), poly.t()) } else { (out, poly) };
        product(out, Output::Overwrite, 1.0, poly, wide);
        std::mem::swap(&mut x, &mut spare);
    }
    (x, spare)
}

/// Rows of a block of a symmetric product. Few compute little above the diagonal; up to 48, the gemm crate reads the other
/// operand of a tall matrix where it lies, without a packed copy for every block.
const ROWS: usize = 48;

/// A product known to be symmetric: the blocks of rows up to the diagonal, then their mirror. On (512, 512) it runs at 1.5 times
/// the rate of the whole product, on (128, 96) at 1.2 times.
fn symmetric_product(out: &mut [f32], mode: Output, alpha: f32, lhs: Mat<'_>, rhs: Mat<'_>, side: usize) {
    for (i, block) in MatMut::new(out, side, side).row_blocks(ROWS).into_iter().enumerate() {
        let first = i * ROWS;
        let end = side.min(first + ROWS);
        product(block.split_cols(end).0, mode, alpha, lhs.rows(first..end), rhs.cols(0..end));
    }
    mirror(out, side);
}

/// Copies what lies below the diagonal to above it, by columns so few that the rows they go to stay in the first-level cache.
#[multiversion(targets = "simd")]
fn mirror(x: &mut [f32], side: usize) {
    const COLS: usize = 8;
    for first in (0..side).step_by(COLS) {
        let end = side.min(first + COLS);
        let (above, below) = x.split_at_mut(end * side);
        let above = &mut above[first * side..];
        for r in 0..end - first {
            for c in r + 1..end - first {
                above[r * side + first + c] = above[c * side + first + r];
            }
        }
        for (c, row) in below.chunks_exact(side).enumerate() {
            for (r, &value) in row[first..end].iter().enumerate() {
                above[r * side + end + c] = value;
            }
        }
    }
}

/// `poly = a I + b gram`.
#[multiversion(targets = "simd")]
fn start_polynomial(poly: &mut [f32], gram: &[f32], side: usize) {
    for (p, &g) in poly.iter_mut().zip(gram) {
        *p = B * g;
    }
    for i in 0..side {
        poly[i * side + i] += A;
    }
}

/// `m = mu m + (1-mu) g`, then `x = (1-mu) g + mu m`.
#[multiversion(targets = "simd")]
fn momentum(x: &mut [f32], m: &mut [f32], g: &[f32], mu: f32, grad_scale: f32) {
    for ((x, m), &g) in x.iter_mut().zip(m).zip(g) {
        let g = (1.0 - mu) * (g * grad_scale);
        *m = mu * *m + g;
        *x = g + mu * *m;
    }
}

/// `w = keep w - rate x`.
#[multiversion(targets = "simd")]
fn apply(w: &mut [f32], x: &[f32], keep: f32, rate: f32) {
    for (w, &x) in w.iter_mut().zip(x) {
        *w = keep * *w - rate * x;
    }
}
