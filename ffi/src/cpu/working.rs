//! The working memory that ops keep between calls: what their tasks share, and that of each thread.

use super::{attention, cross_entropy, linear, muon};
use crate::layout::Layout;
use crate::memory::Pass;
use crate::plan::OptimizerKind;

/// Bytes of working memory of `pass` over a model on `threads` threads, any of which may have had the largest task.
pub fn bytes(layout: &Layout, pass: Pass, threads: usize) -> u64 {
    let Pass { batch, seq, is_training } = pass;
    let (t, v, d) = (batch * seq, layout.vocab, layout.width);
    let (mut shared, mut of_thread) = (0, attention::thread_elements(seq, is_training));
    if is_training {
        let of_sites = layout.sites.iter().map(|site| attention::shared_elements(site.attention.dims(batch, seq)));
        // the head's gradients are made in cross_entropy
        let factors = layout.params.iter().enumerate().filter(|&(id, _)| id != layout.embedding && id != layout.head).map(|(_, p)| p);
        let of_linear = factors.filter(|p| p.count == 1).map(|p| linear::shared_elements(t, p.rows, p.cols));
        shared = of_sites.chain(of_linear).max().unwrap_or(0).max(cross_entropy::shared_elements(t, v, d));
        let matrices = layout.params.iter().filter(|p| p.optimizer == OptimizerKind::Muon);
        let largest = matrices.map(|p| muon::thread_elements(p.rows / p.muon_parts, p.cols)).max().unwrap_or(0);
        of_thread = of_thread.max(largest).max(cross_entropy::thread_elements(t, v, d));
    }
    (size_of::<f32>() * (shared + threads * of_thread)) as u64
}
