//! The gradients of a step. That of the embedding's table may hold the rows alone that the tokens of the step touch: a
//! vocabulary of 100,000 has a hundred times the rows of a step of 1,024 tokens, and the others are 0.

use crate::backend::{Backend, Gradient, Memory, TableRows};
use crate::error::Result;
use crate::layout::{Layout, ParamId};

/// Gradients of all parameters.
pub struct Gradients<B: Memory> {
    /// One per parameter, in the layout's order: of the embedding's table, the touched rows (R, D) where `touched` says which.
    pub buffers: Vec<B::F>,
    touched: Option<Touched>,
}

/// Where the rows of a table lie that are kept.
struct Touched {
    param: ParamId,
    /// Rows that there is room for.
    room: usize,
    /// (V) the place of a row among those kept, which are in the order of the table; -1: not kept
    row_of_id: Vec<i32>,
    d: usize,
}

impl<B: Memory> Gradients<B> {
    /// Zeroed. With `rows`, only so many of the embedding's table ([`Layout::touched_rows`]).
    pub fn new(b: &B, layout: &Layout, rows: Option<usize>) -> Result<Self> {
        let touched = rows.map(|room| Touched { param: layout.embedding, room, row_of_id: vec![-1; layout.vocab], d: layout.width });
        let size = |(param, whole): (ParamId, usize)| match &touched {
            Some(touched) if touched.param == param => touched.room * touched.d,
            _ => whole,
        };
        let sizes = layout.params.iter().map(|p| p.size()).enumerate();
        Ok(Gradients { buffers: sizes.map(|of| b.zeros(size(of))).collect::<Result<_>>()?, touched })
    }

    /// (V) where a row of the embedding's table lies in its gradient, if that has not all of them.
    pub fn row_of_id(&self) -> Option<&[i32]> {
        self.touched.as_ref().map(|touched| &touched.row_of_id[..])
    }

    /// The gradient of a parameter.
    pub fn of(&self, param: ParamId) -> Gradient<'_, B> {
        let g = &self.buffers[param];
        match &self.touched {
            Some(Touched { param: table, row_of_id, d, .. }) if *table == param => Gradient::Rows(TableRows { rows: g, row_of_id, d: *d }),
            _ => Gradient::Whole(g),
        }
    }
}

impl<B: Backend> Gradients<B> {
    /// Zeroes all for a step whose windows (n, S+1) are `tokens`, as many as there was room made for. Ids outside of the
    /// vocabulary are passed over: the forward pass refuses them.
    pub fn begin(&mut self, b: &B, layout: &Layout, tokens: &[i32], seq: usize) -> Result<()> {
        if let Some(Touched { row_of_id, .. }) = &mut self.touched {
            row_of_id.fill(-1);
            for &id in tokens.chunks(seq + 1).flat_map(|window| &window[..seq.min(window.len())]) {
                if let Some(row) = usize::try_from(id).ok().and_then(|id| row_of_id.get_mut(id)) {
                    *row = 0;
                }
            }
            let kept = row_of_id.iter_mut().filter(|row| **row == 0);
            kept.zip(0..).for_each(|(row, place)| *row = place);
        }
        for (param, p) in layout.params.iter().enumerate() {
            let len = match &self.touched {
                Some(touched) if touched.param == param => touched.room * touched.d,
                _ => p.size(),
            };
            b.fill(&mut self.buffers[param], 0.0, len)?;
        }
        Ok(())
    }

    /// Sum of squares of elements `at..at + n` of a parameter's gradient; of one that is kept by rows, all of it.
    pub fn sum_squares(&self, b: &B, param: ParamId, at: usize, n: usize) -> Result<f64> {
        match self.of(param) {
            Gradient::Whole(g) => b.sum_squares(g, at, n),
            Gradient::Rows(table) => b.sum_squares_of_rows(table),
        }
    }

    /// Overwrites `out` with the gradient of a parameter.
    pub fn download(&self, b: &B, out: &mut [f32], param: ParamId) -> Result<()> {
        let Gradient::Rows(TableRows { rows, row_of_id, d }) = self.of(param) else {
            return b.download(out, &self.buffers[param]);
        };
        let num_kept = row_of_id.iter().filter(|row| **row >= 0).count();
        let mut kept = vec![0.0; num_kept * d];
        b.download(&mut kept, rows)?;
        for (out, &row) in out.chunks_exact_mut(d).zip(row_of_id) {
            match usize::try_from(row) {
                Ok(row) => out.copy_from_slice(&kept[row * d..][..d]),
                Err(_) => out.fill(0.0),
            }
        }
        Ok(())
    }
}
