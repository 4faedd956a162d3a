//! Holds a part of the documents out for evaluation.

use super::HeldOut;
use super::pieces::boundary_before;
use super::text::Document;
use crate::error::{Error, Result};

/// How far from the wanted place of a cut a line break is looked for, in bytes.
const LINE_SEARCH: usize = 4096;

/// Texts to train on and texts to evaluate on, each in the order given.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parts<'a> {
    pub train: Vec<&'a str>,
    pub held_out: Vec<&'a str>,
}

/// Splits `documents` as `rule` says.
pub fn split<'a>(documents: &'a [Document], rule: HeldOut) -> Result<Parts<'a>> {
    match rule {
        HeldOut::Documents { every, index } => by_document(documents, every, index),
        HeldOut::Tail { fraction } => by_tail(documents, fraction),
        HeldOut::SkipTokens { .. } => {
            Err(Error::plan("data.heldOut.kind", "only a mixture of sources can skip tokens; hold documents out"))
        }
    }
}

/// Refuses a rule `i % every == index` that holds out everything or nothing.
pub(super) fn require_rule(every: usize, index: usize) -> Result<()> {
    if every < 2 {
        return Err(Error::plan("data.heldOut.every", format!("it is {every}, at least 2 leaves something to train on")));
    }
    if index >= every {
        return Err(Error::plan("data.heldOut.index", format!("it is {index}, but document number modulo {every} is below {every}")));
    }
    Ok(())
}

fn by_document<'a>(documents: &'a [Document], every: usize, index: usize) -> Result<Parts<'a>> {
    require_rule(every, index)?;
    let (held_out, train): (Vec<_>, Vec<_>) = documents.iter().partition(|document| document.index % every == index);
    let text = |document: &'a Document| document.text.as_str();
    Ok(Parts { train: train.into_iter().map(text).collect(), held_out: held_out.into_iter().map(text).collect() })
}

/// The cut falls in one document, which is divided: its end becomes the first held-out document.
fn by_tail(documents: &[Document], fraction: f64) -> Result<Parts<'_>> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Error::plan("data.heldOut.fraction", format!("it is {fraction}, wanted a number between 0 and 1")));
    }
    let total: usize = documents.iter().map(|document| document.text.len()).sum();
    let mut left = ((1.0 - fraction) * total as f64) as usize;
    let mut parts = Parts::default();
    for document in documents {
        let cut = if left >= document.text.len() { document.text.len() } else { cut_near(&document.text, left) };
        left = left.saturating_sub(document.text.len());
        let (train, held_out) = document.text.split_at(cut);
        parts.train.extend((!train.is_empty()).then_some(train));
        parts.held_out.extend((!held_out.is_empty()).then_some(held_out));
    }
    Ok(parts)
}

/// The end of the last line before `wanted`, else of the first after it, else the character boundary before it.
/// 0 (everything is held out) only for 0: after the cut the remaining documents go to the held-out part whole.
fn cut_near(text: &str, wanted: usize) -> usize {
    if wanted == 0 {
        return 0;
    }
    let wanted = boundary_before(text, wanted);
    let from = boundary_before(text, wanted.saturating_sub(LINE_SEARCH));
    let to = boundary_before(text, wanted + LINE_SEARCH);
    let before = text[from..wanted].rfind('\n').map(|at| from + at + 1);
    let after = text[wanted..to].find('\n').map(|at| wanted + at + 1);
    before.or(after.filter(|&at| at < text.len())).unwrap_or(wanted)
}
