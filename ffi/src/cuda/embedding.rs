//! Rows of a table by token.

use super::library::Out;
use super::{Cuda, F, I};
use crate::error::{Error, Result};

pub fn forward(b: &Cuda, out: &mut F, table: &F, tokens: &I, t: usize, v: usize, d: usize) -> Result<()> {
    let mut bad = [t];
    b.device.embedding_forward(out.output(t * d), Out::host(&mut bad), table.input(v * d), tokens.input(t), t, v, d)?;
    match id_at(tokens, bad[0], t)? {
        Some(token) => Err(Error::Argument(format!("Cannot embed token {token} at position {}: ids must be in 0..{v}", bad[0]))),
        None => Ok(()),
    }
}

pub fn backward(b: &Cuda, d_table: &mut F, d_out: &F, tokens: &I, t: usize, v: usize, d: usize) -> Result<()> {
    b.device.embedding_backward(d_table.output(v * d), d_out.input(t * d), tokens.input(t), t, v, d)
}

/// The id at a bad place among `t`, if there is one.
pub fn id_at(ids: &I, bad: usize, t: usize) -> Result<Option<i32>> {
    if bad == t {
        return Ok(None);
    }
    let mut ids_before = vec![0; bad + 1];
    ids.download(&mut ids_before)?;
    Ok(ids_before.pop())
}
