//! The dispatch plan, and moving rows by it: permute copies token rows into expert order, combine sums each token's rows.

use multiversion::multiversion;
use rayon::prelude::*;

use super::{Cpu, row_block};
use crate::backend::DispatchPlan;

/// A counting sort of the slots by expert: stable, so rows of one expert keep the order of their tokens.
pub fn plan(plan: &mut DispatchPlan<Cpu>, expert_ids: &[i32], e: usize) {
    let offsets = &mut plan.offsets[..e + 1];
    offsets.fill(0);
    for &id in expert_ids {
        offsets[id as usize + 1] += 1;
    }
    for i in 0..e {
        offsets[i + 1] += offsets[i];
    }
    let mut next = offsets[..e].to_vec();
    for (slot, &id) in expert_ids.iter().enumerate() {
        let row = next[id as usize];
        next[id as usize] += 1;
        plan.slot_of_row[row as usize] = slot as i32;
        plan.row_of_slot[slot] = row;
    }
}

pub fn permute(rows: &mut [f32], x: &[f32], slot_of_row: &[i32], k: usize, d: usize) {
    let block = row_block(d);
    rows.par_chunks_mut(block * d).zip(slot_of_row.par_chunks(block)).for_each(|(rows, slots)| {
        for (row, &slot) in rows.chunks_exact_mut(d).zip(slots) {
            row.copy_from_slice(&x[slot as usize / k * d..][..d]);
        }
    });
}

pub fn combine(out: &mut [f32], rows: &[f32], row_of_slot: &[i32], k: usize, d: usize) {
    let block = row_block(d);
    out.par_chunks_mut(block * d).zip(row_of_slot.par_chunks(block * k)).for_each(|(out, slots)| combine_rows(out, rows, slots, k, d));
}

/// Columns summed at a time: few enough for the sums to stay in registers.
const COLS: usize = 64;

#[multiversion(targets = "simd")]
fn combine_rows(out: &mut [f32], rows: &[f32], slots: &[i32], k: usize, d: usize) {
    for (out, slots) in out.chunks_exact_mut(d).zip(slots.chunks_exact(k)) {
        let (blocks, rest) = out.as_chunks_mut::<COLS>();
        for (i, out) in blocks.iter_mut().enumerate() {
            let mut sum = [0.0; COLS];
            for &row in slots {
                let (row, _) = rows[row as usize * d..][..d].as_chunks::<COLS>();
                for (s, &v) in sum.iter_mut().zip(&row[i]) {
                    *s += v;
                }
            }
            for (o, s) in out.iter_mut().zip(sum) {
                *o += s;
            }
        }
        let first = d - rest.len();
        for (i, out) in rest.iter_mut().enumerate() {
            *out += slots.iter().map(|&row| rows[row as usize * d + first + i]).sum::<f32>();
        }
    }
}
