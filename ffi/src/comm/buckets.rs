//! When gradients are complete: backward visits the head, then the sites from the last to the first, then the embedding,
//! and adds into the gradient of a bank at each of its uses.

use crate::layout::{Layout, ParamId};

/// The parameters whose gradient is complete after each stage of the backward pass: the head, every site from the last on,
/// the embedding. Each parameter stands once, where its bank is used for the last time.
pub fn complete_after(layout: &Layout) -> Vec<Vec<ParamId>> {
    let sites = layout.sites.iter().rev().map(|site| site.params());
    let stages: Vec<Vec<ParamId>> =
        std::iter::once(vec![layout.head, layout.final_norm.w]).chain(sites).chain([vec![layout.embedding]]).collect();
    let mut last = vec![stages.len() - 1; layout.params.len()];
    for (stage, params) in stages.iter().enumerate() {
        params.iter().for_each(|&param| last[param] = stage);
    }
    (0..stages.len()).map(|stage| (0..last.len()).filter(|&param| last[param] == stage).collect()).collect()
}
