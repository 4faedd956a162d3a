//! Products with a dense matrix `w` (O, I), in tiles fixed by the shape.

use super::gemm::{Mat, MatMut, Output, product_tiles, run_tiles, tile_work};

pub fn forward(out: &mut [f32], x: &[f32], w: &[f32], rows: usize, o: usize, i: usize) {
    run(MatMut::new(out, rows, o), Output::Overwrite, rows * o * i, Mat::new(x, rows, i), Mat::new(w, o, i).t());
}

pub fn backward_input(d_x: &mut [f32], d_out: &[f32], w: &[f32], rows: usize, o: usize, i: usize) {
    run(MatMut::new(d_x, rows, i), Output::Add, rows * o * i, Mat::new(d_out, rows, o), Mat::new(w, o, i));
}

pub fn backward_weight(d_w: &mut [f32], d_out: &[f32], x: &[f32], rows: usize, o: usize, i: usize) {
    run(MatMut::new(d_w, o, i), Output::Add, rows * o * i, Mat::new(d_out, rows, o).t(), Mat::new(x, rows, i));
}

fn run(out: MatMut<'_>, mode: Output, work: usize, lhs: Mat<'_>, rhs: Mat<'_>) {
    let mut tiles = Vec::new();
    product_tiles(&mut tiles, tile_work(work), out, lhs, rhs);
    run_tiles(tiles, mode);
}
