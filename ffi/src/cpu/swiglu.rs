//! `combine_weight * silu(gate) * up`: the combine weight is applied before the down projection, where it costs nothing,
//! since `w_down (c a) = c (w_down a)`.

use multiversion::multiversion;
use rayon::prelude::*;

use super::{math, row_block};

pub fn forward(act: &mut [f32], gate_up: &[f32], combine_weights: &[f32], slot_of_row: &[i32], f: usize) {
    let block = row_block(2 * f);
    (act.par_chunks_mut(block * f), gate_up.par_chunks(block * 2 * f), slot_of_row.par_chunks(block))
        .into_par_iter()
        .for_each(|(act, gate_up, slots)| forward_rows(act, gate_up, combine_weights, slots, f));
}

#[multiversion(targets = "simd")]
fn forward_rows(act: &mut [f32], gate_up: &[f32], combine_weights: &[f32], slots: &[i32], f: usize) {
    for ((act, gate_up), &slot) in act.chunks_exact_mut(f).zip(gate_up.chunks_exact(2 * f)).zip(slots) {
        let weight = combine_weights[slot as usize];
        let (gate, up) = gate_up.split_at(f);
        for i in 0..f {
            act[i] = weight * (gate[i] * math::sigmoid(gate[i]) * up[i]);
        }
    }
}

/// What the backward pass reads, beside the slots of the rows.
pub struct Saved<'a> {
    pub gate_up: &'a [f32],
    pub d_act: &'a [f32],
    pub combine_weights: &'a [f32],
}

/// `d_combine_weights` goes through `row_of_slot`: rows write their own sum first, then slots collect them.
pub fn backward(
    act: &mut [f32],
    d_gate_up: &mut [f32],
    d_combine_weights: &mut [f32],
    saved: Saved<'_>,
    slot_of_row: &[i32],
    row_of_slot: &[i32],
    f: usize,
) {
    let block = row_block(2 * f);
    let mut row_sums = vec![0.0; slot_of_row.len()];
    (
        act.par_chunks_mut(block * f),
        d_gate_up.par_chunks_mut(block * 2 * f),
        row_sums.par_chunks_mut(block),
        saved.gate_up.par_chunks(block * 2 * f),
        saved.d_act.par_chunks(block * f),
        slot_of_row.par_chunks(block),
    )
        .into_par_iter()
        .for_each(|(act, d_gate_up, row_sums, gate_up, d_act, slots)| {
            let saved = Saved { gate_up, d_act, combine_weights: saved.combine_weights };
            backward_rows(act, d_gate_up, row_sums, saved, slots, f);
        });
    for (d, &row) in d_combine_weights.iter_mut().zip(row_of_slot) {
        *d = row_sums[row as usize];
    }
}

// a = silu(g) u with silu'(g) = s (1 + g (1 - s)), s = sigmoid(g); the row's output is c a, so d_a = c d_act and d_c = <d_act, a>
#[multiversion(targets = "simd")]
fn backward_rows(act: &mut [f32], d_gate_up: &mut [f32], row_sums: &mut [f32], saved: Saved<'_>, slots: &[i32], f: usize) {
    for (r, &slot) in slots.iter().enumerate() {
        let weight = saved.combine_weights[slot as usize];
        let (gate, up) = saved.gate_up[r * 2 * f..][..2 * f].split_at(f);
        let (d_gate, d_up) = d_gate_up[r * 2 * f..][..2 * f].split_at_mut(f);
        let act = &mut act[r * f..][..f];
        let d_act = &saved.d_act[r * f..][..f];
        for i in 0..f {
            let s = math::sigmoid(gate[i]);
            let silu = gate[i] * s;
            let d_a = weight * d_act[i];
            act[i] = silu * up[i];
            d_up[i] = d_a * silu;
            d_gate[i] = d_a * up[i] * (s * (1.0 + gate[i] * (1.0 - s)));
        }
        row_sums[r] = math::dot(d_act, act);
        for a in act {
            *a *= weight;
        }
    }
}
