//! Products with a dense matrix `w` (O, I), in tiles fixed by the shape.

use rayon::prelude::*;

use super::gemm::{Mat, MatMut, Output, product, product_tiles, run_tiles, tile_work};
use super::scratch::Shared;
use super::{math, row_block};

/// Elements of a weight up to which its gradient is summed over pieces of the rows: enough tiles of it would be so small that each
/// reads all rows for few products.
const SMALL: usize = 1 << 16;
/// Rows of a piece, more where there would be over `MAX_PIECES`.
const PIECE: usize = 256;
const MAX_PIECES: usize = 16;

pub fn forward(out: &mut [f32], x: &[f32], w: &[f32], rows: usize, o: usize, i: usize) {
    run(MatMut::new(out, rows, o), Output::Overwrite, rows * o * i, Mat::new(x, rows, i), Mat::new(w, o, i).t());
}

pub fn backward_input(d_x: &mut [f32], d_out: &[f32], w: &[f32], rows: usize, o: usize, i: usize) {
    run(MatMut::new(d_x, rows, i), Output::Add, rows * o * i, Mat::new(d_out, rows, o), Mat::new(w, o, i));
}

/// Rows of a piece of `backward_weight`, all of them where the weight's tiles are its tasks.
fn piece(rows: usize, o: usize, i: usize) -> usize {
    if !(1..=SMALL).contains(&(o * i)) { rows } else { rows.div_ceil(rows.div_ceil(PIECE).clamp(1, MAX_PIECES)) }
}

/// Working memory that the tasks of `backward_weight` share: the gradient of each piece.
pub fn shared_elements(rows: usize, o: usize, i: usize) -> usize {
    let piece = piece(rows, o, i);
    if piece == rows { 0 } else { rows.div_ceil(piece) * o * i }
}

/// The sum over rows goes by pieces, then over the pieces in order.
pub fn backward_weight(scratch: &Shared, d_w: &mut [f32], d_out: &[f32], x: &[f32], rows: usize, o: usize, i: usize) {
    let (d_out, x, piece) = (Mat::new(d_out, rows, o), Mat::new(x, rows, i), piece(rows, o, i));
    if piece == rows {
        return run(MatMut::new(d_w, o, i), Output::Add, rows * o * i, d_out.t(), x);
    }
    let size = o * i;
    scratch.with(shared_elements(rows, o, i), |partial| {
        partial.par_chunks_exact_mut(size).with_max_len(1).enumerate().for_each(|(p, d_w)| {
            let range = p * piece..rows.min((p + 1) * piece);
            product(MatMut::new(d_w, o, i), Output::Overwrite, 1.0, d_out.rows(range.clone()).t(), x.rows(range));
        });
        let block = row_block(1);
        d_w[..size].par_chunks_mut(block).enumerate().for_each(|(b, d_w)| {
            partial.chunks_exact(size).for_each(|piece| math::add_into(d_w, &piece[b * block..][..d_w.len()]));
        });
    });
}

fn run(out: MatMut<'_>, mode: Output, work: usize, lhs: Mat<'_>, rhs: Mat<'_>) {
    let mut tiles = Vec::new();
    product_tiles(&mut tiles, tile_work(work), out, lhs, rhs);
    run_tiles(tiles, mode);
}
