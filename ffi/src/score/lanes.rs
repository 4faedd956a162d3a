//! Pairs of tokens scored on several lanes: each context is read once, then each of its continuations after it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Pair, Score};
use crate::backend::Backend;
use crate::data::Watch;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::decoder::Decoder;

/// A context and the numbers of the pairs that have it.
struct Group<'a> {
    context: &'a [i32],
    pairs: Vec<usize>,
    /// Tokens that the model reads.
    cost: usize,
    /// Positions that it needs.
    room: usize,
}

/// Pairs by their contexts, those that take longest first, so that lanes end together.
fn groups(pairs: &[Pair]) -> Vec<Group<'_>> {
    let mut places: HashMap<&[i32], usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (at, Pair { context, continuation }) in pairs.iter().enumerate() {
        let place = *places.entry(context).or_insert_with(|| {
            groups.push(Group { context, pairs: Vec::new(), cost: context.len(), room: 0 });
            groups.len() - 1
        });
        let group = &mut groups[place];
        group.pairs.push(at);
        group.cost += continuation.len() - 1;
        group.room = group.room.max(context.len() + continuation.len() - 1);
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.cost));
    groups
}

/// The score of each pair, and the number of tokens read for them.
pub fn score_pairs<B: Backend>(model: &Model<B>, lanes: &[B], pairs: &[Pair], watch: &Watch) -> Result<(Vec<Score>, usize)> {
    let groups = groups(pairs);
    let total: usize = groups.iter().map(|group| group.cost).sum();
    let room = groups.iter().map(|group| group.room).max().unwrap_or(0);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let lane = |b: &B| -> Result<Vec<(usize, Score)>> {
        let (mut decoder, mut scores) = (Decoder::new(b, &model.layout, room)?, Vec::new());
        while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
            watch.report(done.load(Ordering::Relaxed) as f64 / total as f64)?;
            score_group(&mut decoder, b, model, group, pairs, &mut scores, watch)?;
            done.fetch_add(group.cost, Ordering::Relaxed);
        }
        Ok(scores)
    };
    let found = thread::scope(|scope| {
        let running: Vec<_> = lanes.iter().map(|b| scope.spawn(|| b.install(|| lane(b)))).collect();
        let ends = running.into_iter().map(|lane| lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ends.collect::<Vec<_>>()
    });
    let mut scores = vec![Score { log_likelihood: f64::NAN, is_greedy: false }; pairs.len()];
    for lane in found {
        lane?.into_iter().for_each(|(at, score)| scores[at] = score);
    }
    watch.report(1.0)?;
    Ok((scores, total))
}

/// Scores the pairs of one context.
fn score_group<B: Backend>(
    decoder: &mut Decoder<B>,
    b: &B,
    model: &Model<B>,
    group: &Group,
    pairs: &[Pair],
    scores: &mut Vec<(usize, Score)>,
    watch: &Watch,
) -> Result<()> {
    decoder.rewind(0);
    let after_context = decoder.push(b, model, group.context).map_err(in_words)?;
    for &at in &group.pairs {
        watch.check()?;
        let continuation = &pairs[at].continuation;
        let mut score = Score { log_likelihood: 0.0, is_greedy: true };
        let mut take = |logits: &[f32], target: i32| {
            let (log_probability, is_likeliest) = log_softmax(logits, target as usize);
            score.log_likelihood += log_probability;
            score.is_greedy &= is_likeliest;
        };
        take(&after_context, continuation[0]);
        if continuation.len() > 1 {
            decoder.rewind(group.context.len());
            let read = &continuation[..continuation.len() - 1];
            decoder.visit(b, model, read, 0, |i, logits| take(logits, continuation[i + 1])).map_err(in_words)?;
        }
        if !score.log_likelihood.is_finite() {
            return Err(not_finite());
        }
        scores.push((at, score));
    }
    Ok(())
}

/// The log-probability of `target` after `logits` (V), and whether it is the likeliest token; ties go to the lower id.
fn log_softmax(logits: &[f32], target: usize) -> (f64, bool) {
    let (mut likeliest, mut top) = (0, logits[0]);
    for (id, &logit) in logits.iter().enumerate() {
        if logit > top {
            (likeliest, top) = (id, logit);
        }
    }
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - top).exp()).sum();
    (f64::from(logits[target] - top) - sum.ln(), likeliest == target)
}

/// A router refuses logits that are not finite; weights that are broken are no mistake of an argument.
fn in_words(error: Error) -> Error {
    match error {
        Error::Argument(_) => not_finite(),
        other => other,
    }
}

fn not_finite() -> Error {
    Error::NotFinite { step: 0, what: "a logit".into() }
}
