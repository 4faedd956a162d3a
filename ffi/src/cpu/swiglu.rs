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

/// In place, see the backend. `d_combine_weights` goes through `row_of_slot`: rows write their own sum first, then slots collect them.
pub fn backward(
    d_act: &mut [f32],
    gate_up: &mut [f32],
    d_combine_weights: &mut [f32],
    combine_weights: &[f32],
    slot_of_row: &[i32],
    row_of_slot: &[i32],
    f: usize,
) {
    let block = row_block(2 * f);
    let mut row_sums = vec![0.0; slot_of_row.len()];
    (d_act.par_chunks_mut(block * f), gate_up.par_chunks_mut(block * 2 * f), row_sums.par_chunks_mut(block), slot_of_row.par_chunks(block))
        .into_par_iter()
        .for_each(|(d_act, gate_up, row_sums, slots)| backward_rows(d_act, gate_up, row_sums, combine_weights, slots, f));
    for (d, &row) in d_combine_weights.iter_mut().zip(row_of_slot) {
        *d = row_sums[row as usize];
    }
}

#[multiversion(targets = "simd")]
fn backward_rows(d_act: &mut [f32], gate_up: &mut [f32], row_sums: &mut [f32], combine_weights: &[f32], slots: &[i32], f: usize) {
    let rows = d_act.chunks_exact_mut(f).zip(gate_up.chunks_exact_mut(2 * f)).zip(row_sums.iter_mut().zip(slots));
    for ((d_act, gate_up), (row_sum, &slot)) in rows {
        let (gate, up) = gate_up.split_at_mut(f);
        *row_sum = backward_row(d_act, gate, up, combine_weights[slot as usize]);
    }
}

/// One row; returns the gradient of its combine weight.
// a = silu(g) u with silu'(g) = s (1 + g (1 - s)), s = sigmoid(g); the row's output is c a, so d_a = c d_act and d_c = <d_act, a>
#[inline(always)]
fn backward_row(d_act: &mut [f32], gate: &mut [f32], up: &mut [f32], weight: f32) -> f32 {
    let mut lanes = [0.0; math::LANES];
    let one = |d_act: &mut f32, gate: &mut f32, up: &mut f32, lane: &mut f32| {
        let (d, g, u, s) = (*d_act, *gate, *up, math::sigmoid(*gate));
        let (silu, d_a) = (g * s, weight * d);
        let act = silu * u;
        *d_act = act * weight;
        *gate = d_a * u * (s * (1.0 + g * (1.0 - s)));
        *up = d_a * silu;
        *lane += d * act;
    };
    let (d_acts, d_act) = d_act.as_chunks_mut::<{ math::LANES }>();
    let (gates, gate) = gate.as_chunks_mut::<{ math::LANES }>();
    let (ups, up) = up.as_chunks_mut::<{ math::LANES }>();
    for ((d_act, gate), up) in d_acts.iter_mut().zip(gates).zip(ups) {
        for i in 0..math::LANES {
            one(&mut d_act[i], &mut gate[i], &mut up[i], &mut lanes[i]);
        }
    }
    for (((d_act, gate), up), lane) in d_act.iter_mut().zip(gate).zip(up).zip(&mut lanes) {
        one(d_act, gate, up, lane);
    }
    math::fold(lanes)
}
