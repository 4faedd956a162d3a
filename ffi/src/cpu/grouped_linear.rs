//! Products of row ranges with the matrix of their expert: rows `offsets[e]..offsets[e+1]` with `w[e]` (O, I).
//! An expert without rows is passed over; its gradient stays as it is.

use super::gemm::{Mat, MatMut, Output, Tile, product_tiles, run_tiles, tile_work};

pub fn forward(out: &mut [f32], x: &[f32], w: &[f32], offsets: &[i32], o: usize, i: usize) {
    let (mut tiles, work) = (Vec::new(), tile_work(last(offsets) * o * i));
    for_each_range(&mut tiles, out, offsets, o, |tiles, e, first, rows, out| {
        let x = Mat::new(&x[first * i..], rows, i);
        let w = Mat::new(&w[e * o * i..], o, i);
        product_tiles(tiles, work, MatMut::new(out, rows, o), x, w.t());
    });
    run_tiles(tiles, Output::Overwrite);
}

pub fn backward_input(d_x: &mut [f32], d_out: &[f32], w: &[f32], offsets: &[i32], o: usize, i: usize) {
    let (mut tiles, work) = (Vec::new(), tile_work(last(offsets) * o * i));
    for_each_range(&mut tiles, d_x, offsets, i, |tiles, e, first, rows, d_x| {
        let d_out = Mat::new(&d_out[first * o..], rows, o);
        let w = Mat::new(&w[e * o * i..], o, i);
        product_tiles(tiles, work, MatMut::new(d_x, rows, i), d_out, w);
    });
    run_tiles(tiles, Output::Overwrite);
}

pub fn backward_weight(d_w: &mut [f32], d_out: &[f32], x: &[f32], offsets: &[i32], o: usize, i: usize) {
    let (mut tiles, work) = (Vec::new(), tile_work(last(offsets) * o * i));
    for (d_w, bounds) in d_w.chunks_exact_mut(o * i).zip(offsets.windows(2)) {
        let (first, rows) = (bounds[0] as usize, (bounds[1] - bounds[0]) as usize);
        if rows > 0 {
            let d_out = Mat::new(&d_out[first * o..], rows, o);
            let x = Mat::new(&x[first * i..], rows, i);
            product_tiles(&mut tiles, work, MatMut::new(d_w, o, i), d_out.t(), x);
        }
    }
    run_tiles(tiles, Output::Add);
}

/// N: the rows of all experts.
fn last(offsets: &[i32]) -> usize {
    offsets[offsets.len() - 1] as usize
}

/// Calls `body(tiles, expert, first row, rows, rows of out)` for every expert that has rows.
fn for_each_range<'a>(
    tiles: &mut Vec<Tile<'a>>,
    out: &'a mut [f32],
    offsets: &[i32],
    width: usize,
    mut body: impl FnMut(&mut Vec<Tile<'a>>, usize, usize, usize, &'a mut [f32]),
) {
    let mut rest = out;
    for (e, bounds) in offsets.windows(2).enumerate() {
        let (first, rows) = (bounds[0] as usize, (bounds[1] - bounds[0]) as usize);
        let (out, others) = rest.split_at_mut(rows * width);
        rest = others;
        if rows > 0 {
            body(tiles, e, first, rows, out);
        }
    }
}
