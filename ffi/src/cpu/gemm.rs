//! Views of matrices and products of them, the only unsafe code of the CPU backend. A product runs on the calling
//! thread; `product_tiles` cuts one into pieces that depend on its shape alone, so that the bits of a result never
//! depend on the number of threads.

use std::marker::PhantomData;
use std::ops::Range;

use multiversion::multiversion;
use rayon::prelude::*;

/// A read-only matrix: element (r, c) is `data[r * row_stride + c * col_stride]`.
#[derive(Clone, Copy)]
pub struct Mat<'a> {
    data: &'a [f32],
    num_rows: usize,
    num_cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// A writable matrix with the layout of [`Mat`]. Parts split from one matrix may interleave in memory (columns do) but share no element.
pub struct MatMut<'a> {
    data: *mut f32,
    num_rows: usize,
    num_cols: usize,
    row_stride: usize,
    col_stride: usize,
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: a MatMut is the only way to its elements while `'a` lasts, like the `&mut [f32]` it was made from, which is Send.
unsafe impl Send for MatMut<'_> {}

/// What a product does with the elements already in its output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Overwrite,
    Add,
}

/// Elements spanned by a matrix whose rows lie `stride` apart.
fn span(rows: usize, cols: usize, stride: usize) -> usize {
    if rows == 0 || cols == 0 { 0 } else { (rows - 1) * stride + cols }
}

impl<'a> Mat<'a> {
    /// The dense row-major matrix at the start of `data`.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Rows of `cols` elements that lie `stride` apart, the first at the start of `data`.
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(cols <= stride || rows <= 1);
        Mat { data: &data[..span(rows, cols, stride)], num_rows: rows, num_cols: cols, row_stride: stride, col_stride: 1 }
    }

    /// The transpose.
    pub fn t(self) -> Self {
        Mat { num_rows: self.num_cols, num_cols: self.num_rows, row_stride: self.col_stride, col_stride: self.row_stride, data: self.data }
    }

    /// Some of the rows.
    pub fn rows(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.num_rows);
        let skip = (range.start * self.row_stride).min(self.data.len());
        Mat { data: &self.data[skip..], num_rows: range.len(), ..self }
    }

    /// Some of the columns.
    pub fn cols(self, range: Range<usize>) -> Self {
        self.t().rows(range).t()
    }
}

impl<'a> MatMut<'a> {
    /// The dense row-major matrix at the start of `data`.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        let data = &mut data[..rows * cols];
        MatMut { data: data.as_mut_ptr(), num_rows: rows, num_cols: cols, row_stride: cols, col_stride: 1, owner: PhantomData }
    }

    /// The transpose.
    pub fn t(self) -> Self {
        MatMut { num_rows: self.num_cols, num_cols: self.num_rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    /// The first `at` rows and the others.
    pub fn split_rows(self, at: usize) -> (Self, Self) {
        assert!(at <= self.num_rows);
        // wrapping: with no row left the address is never read, and may lie past the end
        let data = self.data.wrapping_add(at * self.row_stride);
        (MatMut { num_rows: at, ..self }, MatMut { data, num_rows: self.num_rows - at, ..self })
    }

    /// The first `at` columns and the others.
    pub fn split_cols(self, at: usize) -> (Self, Self) {
        let (left, right) = self.t().split_rows(at);
        (left.t(), right.t())
    }

    /// The same matrix for a shorter time.
    pub fn borrow(&mut self) -> MatMut<'_> {
        MatMut { owner: PhantomData, ..*self }
    }

    /// Pieces of at most `rows` rows, in order.
    pub fn row_blocks(self, rows: usize) -> Vec<Self> {
        let mut blocks = Vec::with_capacity(self.num_rows.div_ceil(rows));
        let mut rest = self;
        while rest.num_rows > 0 {
            let left = rest.num_rows;
            let (block, others) = rest.split_rows(rows.min(left));
            blocks.push(block);
            rest = others;
        }
        blocks
    }

    /// Pieces of at most `cols` columns, in order.
    pub fn col_blocks(self, cols: usize) -> Vec<Self> {
        self.t().row_blocks(cols).into_iter().map(MatMut::t).collect()
    }

    /// One row; the matrix must not be a transpose.
    pub fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.num_rows && self.col_stride == 1);
        // SAFETY: the row's `num_cols` elements belong to this matrix alone (see the type), and `self` is borrowed for as long.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(row * self.row_stride), self.num_cols) }
    }
}

/// `out = alpha * lhs rhs`, or the same added into `out`, on this thread.
pub fn product(out: MatMut<'_>, mode: Output, alpha: f32, lhs: Mat<'_>, rhs: Mat<'_>) {
    let (m, n, k) = (out.num_rows, out.num_cols, lhs.num_cols);
    assert!(lhs.num_rows == m && rhs.num_cols == n && rhs.num_rows == k);
    let read = mode == Output::Add;
    // SAFETY: the views were checked against their slices when made, and the sizes against each other above; `out` is
    // exclusive, so it overlaps neither operand. The strides fit isize because the slices do.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.data,
            out.col_stride as isize,
            out.row_stride as isize,
            read,
            lhs.data.as_ptr(),
            lhs.col_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.col_stride as isize,
            rhs.row_stride as isize,
            1.0,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// One piece of a parallel product.
pub struct Tile<'a> {
    pub out: MatMut<'a>,
    pub lhs: Mat<'a>,
    pub rhs: Mat<'a>,
}

/// Multiply-adds of a tile when all products of a call together have `total`: 16 tiles, but none below 2^18, which still runs near the peak.
pub fn tile_work(total: usize) -> usize {
    (total / 16).max(1 << 18)
}

/// Most rows and columns of a tile: the left operand is read where it lies, the right one is packed for every tile.
const TILE_ROWS: usize = 512;
const TILE_COLS: usize = 256;

/// Cuts `out = lhs rhs` into tiles of at most about `work` multiply-adds, appended to `tiles`.
pub fn product_tiles<'a>(tiles: &mut Vec<Tile<'a>>, work: usize, out: MatMut<'a>, lhs: Mat<'a>, rhs: Mat<'a>) {
    let (m, n, k) = (out.num_rows, out.num_cols, lhs.num_cols);
    if m == 0 || n == 0 {
        return;
    }
    // equal parts: a thin last tile would pack its operands for little
    let (mut parts_m, mut parts_n) = (m.div_ceil(TILE_ROWS), n.div_ceil(TILE_COLS));
    let side = |len: usize, parts: usize| len.div_ceil(parts).next_multiple_of(8);
    while side(m, parts_m) * side(n, parts_n) * k > work && side(m, parts_m).max(side(n, parts_n)) > 16 {
        *(if side(m, parts_m) >= side(n, parts_n) { &mut parts_m } else { &mut parts_n }) *= 2;
    }
    let (tile_m, tile_n) = (side(m, parts_m), side(n, parts_n));
    for (i, rows) in out.row_blocks(tile_m).into_iter().enumerate() {
        let lhs = lhs.rows(i * tile_m..i * tile_m + rows.num_rows);
        for (j, out) in rows.col_blocks(tile_n).into_iter().enumerate() {
            let rhs = rhs.cols(j * tile_n..j * tile_n + out.num_cols);
            tiles.push(Tile { out, lhs, rhs });
        }
    }
}

/// Runs tiles on the current pool.
pub fn run_tiles(tiles: Vec<Tile<'_>>, mode: Output) {
    tiles.into_par_iter().with_max_len(1).for_each(|tile| product(tile.out, mode, 1.0, tile.lhs, tile.rhs));
}

/// Overwrites `out` (cols, rows) with the transpose of `x` (rows, cols), whose rows lie `stride` apart.
#[multiversion(targets = "simd")]
pub fn transpose(out: &mut [f32], x: &[f32], rows: usize, cols: usize, stride: usize) {
    // squares, so that what is read and what is written stays in the first-level cache
    const SIDE: usize = 16;
    for r in (0..rows).step_by(SIDE) {
        for c in (0..cols).step_by(SIDE) {
            let (height, width) = (SIDE.min(rows - r), SIDE.min(cols - c));
            for j in 0..width {
                let column = &x[r * stride + c + j..];
                for (i, out) in out[(c + j) * rows + r..][..height].iter_mut().enumerate() {
                    *out = column[i * stride];
                }
            }
        }
    }
}
