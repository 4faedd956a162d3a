//! Rotary position embedding. Angles are f32 products like PyTorch's (`pos * (1 / theta^(2j/P))`), their sine and cosine
//! exact to f32 rounding. A table is made once per (theta, P) and grows with the positions asked for: at the sizes of a small model
//! the sines would cost more than the rotation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use multiversion::multiversion;
use rayon::prelude::*;

/// Pairs rotated together.
const LANES: usize = 16;
/// Rows of the (B, S) axis in one task.
const ROWS: usize = 32;

/// Per position P/2 cosines, then P/2 sines.
type Table = Arc<Vec<f32>>;

/// Tables of the rotations used so far, by bits of theta and by P.
#[derive(Default)]
pub struct Tables(Mutex<HashMap<(u32, usize), Table>>);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

impl Tables {
    fn get(&self, positions: usize, p: usize, theta: f32) -> Table {
        let mut tables = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let table = tables.entry((theta.to_bits(), p)).or_default();
        if table.len() < positions * p {
            *table = Arc::new(make(positions.next_power_of_two(), p, theta));
        }
        table.clone()
    }
}

fn make(positions: usize, p: usize, theta: f32) -> Vec<f32> {
    let half = p / 2;
    let frequency: Vec<f32> = (0..half)
        .map(|j| {
            let exponent = (2 * j) as f32 / p as f32;
            1.0 / (theta as f64).powf(exponent as f64) as f32
        })
        .collect();
    let mut table = vec![0.0; positions * p];
    // On one thread: the caller holds the lock of the tables, and a thread of the pool that waits for others may be given a
    // task that wants it too.
    for (pos, row) in table.chunks_exact_mut(p).enumerate() {
        for j in 0..half {
            let (sin, cos) = ((pos as f32 * frequency[j]) as f64).sin_cos();
            row[j] = cos as f32;
            row[half + j] = sin as f32;
        }
    }
    table
}

/// Rotates `x` (B, S, heads, P) in place.
pub fn rotate(tables: &Tables, x: &mut [f32], direction: Direction, start: usize, seq: usize, heads: usize, p: usize, theta: f32) {
    let table = tables.get(start + seq, p, theta);
    let width = heads * p;
    let sign = if direction == Direction::Backward { -1.0 } else { 1.0 };
    x.par_chunks_mut(ROWS * width).enumerate().for_each(|(block, x)| {
        for (i, row) in x.chunks_exact_mut(width).enumerate() {
            let pos = start + (block * ROWS + i) % seq;
            rotate_row(row, &table[pos * p..][..p], sign);
        }
    });
}

#[multiversion(targets = "simd")]
fn rotate_row(row: &mut [f32], angles: &[f32], sign: f32) {
    let half = angles.len() / 2;
    let (cos, sin) = angles.split_at(half);
    for head in row.chunks_exact_mut(2 * half) {
        let (first, second) = head.split_at_mut(half);
        // short loops of one vector: heads are small, and a longer unrolled loop would leave most of them to its scalar end
        let firsts = first.chunks_mut(LANES).zip(second.chunks_mut(LANES));
        for ((a, b), (cos, sin)) in firsts.zip(cos.chunks(LANES).zip(sin.chunks(LANES))) {
            for ((a, b), (&cos, &sin)) in a.iter_mut().zip(b).zip(cos.iter().zip(sin)) {
                (*a, *b) = (*a * cos - *b * (sign * sin), *b * cos + *a * (sign * sin));
            }
        }
    }
}
