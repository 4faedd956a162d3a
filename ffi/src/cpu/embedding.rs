//! Rows of a table by token.

use rayon::prelude::*;

use super::math;
use crate::error::{Error, Result};

/// Tokens of one task of the forward pass.
const TOKENS: usize = 64;
/// Pieces of the table in the backward pass; each task reads all tokens and keeps those of its piece.
const PIECES: usize = 32;

pub fn forward(out: &mut [f32], table: &[f32], tokens: &[i32], v: usize, d: usize) -> Result<()> {
    if let Some((at, token)) = tokens.iter().enumerate().find(|&(_, &token)| token < 0 || token as usize >= v) {
        return Err(Error::Argument(format!("Cannot embed token {token} at position {at}: ids must be in 0..{v}")));
    }
    out.par_chunks_mut(TOKENS * d).zip(tokens.par_chunks(TOKENS)).for_each(|(out, tokens)| {
        for (row, &token) in out.chunks_exact_mut(d).zip(tokens) {
            row.copy_from_slice(&table[token as usize * d..][..d]);
        }
    });
    Ok(())
}

pub fn backward(d_table: &mut [f32], d_out: &[f32], tokens: &[i32], v: usize, d: usize) {
    let piece = v.div_ceil(PIECES).max(1);
    d_table.par_chunks_mut(piece * d).enumerate().for_each(|(i, rows)| {
        let first = i * piece;
        let range = first..first + rows.len() / d;
        for (&token, d_out) in tokens.iter().zip(d_out.chunks_exact(d)) {
            if range.contains(&(token as usize)) {
                math::add_into(&mut rows[(token as usize - first) * d..][..d], d_out);
            }
        }
    });
}
