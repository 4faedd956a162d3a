//! The held-out windows of a mixture, cut once and kept in memory; the same for every rank.

use super::mixture::{Mixture, MixtureSpec, Part};
use super::producer::{Cutting, End};
use super::{HeldOut, Watch};
use crate::error::{Error, Result};

/// The first `limit` held-out windows, or all of them with `None`. With held-out documents, all means that every source
/// is read to its end; less means that they are mixed by weight and read as far as needed.
pub(super) fn held_out_windows(spec: &MixtureSpec, cutting: &Cutting, limit: Option<usize>, watch: &Watch) -> Result<Vec<Vec<i32>>> {
    let (part, passed_over, limit) = match (spec.held_out, limit) {
        (HeldOut::SkipTokens { tokens }, Some(limit)) => (Part::Training, tokens.div_ceil(cutting.size as u64), limit),
        (HeldOut::SkipTokens { .. }, None) => {
            let reason = "null asks for all windows after those that are skipped, of which there is no end; give a number";
            return Err(Error::plan("eval.batches", reason));
        }
        (_, limit) => (Part::HeldOut, 0, limit.unwrap_or(usize::MAX)),
    };
    let mut mixture = Mixture::open(spec, part)?;
    let (mut packer, mut windows, mut seen) = (cutting.packer(), Vec::new(), 0u64);
    let wanted = passed_over.saturating_add(limit as u64);
    while seen < wanted {
        watch.report(seen as f64 / wanted as f64)?;
        let group = cutting.group(&mut mixture);
        for (_, ids) in group.documents {
            packer.push(&ids?, 0, |window, _| {
                seen += 1;
                if (passed_over + 1..=wanted).contains(&seen) {
                    windows.push(window);
                }
                seen < wanted
            });
        }
        match group.end {
            None => {}
            Some(End::Over) => break,
            Some(End::Failed(e)) => return Err(e),
        }
    }
    if windows.is_empty() {
        let needs = format!("one window needs {} tokens (train.seqLen + 1)", cutting.size);
        let remedy = "give more text, hold more out (data.heldOut) or lower train.seqLen";
        return Err(Error::data("the mixture", format!("its held-out part has not one window, {needs}; {remedy}")));
    }
    Ok(windows)
}
