//! From texts to the tokens that are read and those that are scored, as lm-evaluation-harness 0.4.13 has it (`joint`,
//! rolling windows) and as the Expert Tying study has it (`split` with `always`).

use rayon::prelude::*;

use super::{Bos, Prompt, Tokenization};
use crate::data::{Tokenizer, Watch};
use crate::error::{Error, Result};

/// Prompts that are encoded between two looks at the watch.
const BATCH: usize = 256;

/// What the model reads before the first scored token, and the scored tokens; neither is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub context: Vec<i32>,
    pub continuation: Vec<i32>,
}

/// Turns texts into pairs.
#[derive(Clone, Copy)]
pub struct Encoder<'a> {
    pub tokenizer: &'a Tokenizer,
    pub tokenization: Tokenization,
    pub bos: Bos,
    /// Longest sequence that the model reads.
    pub max_len: usize,
}

impl Encoder<'_> {
    /// The pairs of all continuations, in order.
    pub fn prompts(&self, prompts: &[Prompt], watch: &Watch) -> Result<Vec<Pair>> {
        let mut pairs = Vec::new();
        for (batch, some) in prompts.chunks(BATCH).enumerate() {
            watch.report(0.0)?;
            let encode = |(at, prompt): (usize, &Prompt)| {
                let pairs = prompt.continuations.iter().map(|text| self.pair(&prompt.context, text));
                let named = |reason| {
                    let start: String = prompt.context.chars().take(60).collect();
                    Error::Argument(format!("Cannot score prompt {} ({start:?}): {reason}", batch * BATCH + at))
                };
                pairs.map(|pair| pair?.map_err(named)).collect::<Result<Vec<_>>>()
            };
            pairs.extend(some.par_iter().enumerate().map(encode).collect::<Result<Vec<_>>>()?.into_iter().flatten());
        }
        Ok(pairs)
    }

    /// The windows of a whole text.
    pub fn text(&self, text: &str) -> Result<Vec<Pair>> {
        let separator = self.tokenizer.separator() as i32;
        let max_len = if self.bos == Bos::Always { self.max_len - 1 } else { self.max_len };
        let mut windows = rolling_windows(&self.encode(text)?, separator, max_len);
        if self.bos == Bos::Always {
            windows.iter_mut().skip(1).for_each(|window| window.context.insert(0, separator));
        }
        Ok(windows)
    }

    /// One pair, or why there is none.
    pub fn pair(&self, context: &str, continuation: &str) -> Result<std::result::Result<Pair, String>> {
        let separator = self.tokenizer.separator() as i32;
        let (mut head, mut tail) = match self.tokenization {
            Tokenization::Joint if context.is_empty() => (Vec::new(), self.plain(continuation)?),
            Tokenization::Joint => {
                // Spaces at the end of a context are the start of the next word.
                let kept = context.trim_end_matches(is_python_space);
                let head = self.encode(kept)?;
                let mut whole = self.encode(&format!("{context}{continuation}"))?;
                // The tokens may merge across the boundary.
                let tail = whole.split_off(head.len().min(whole.len()));
                (head, tail)
            }
            Tokenization::Split => (self.encode(context)?, self.plain(continuation)?),
        };
        if tail.is_empty() {
            return Ok(Err(format!("its continuation {continuation:?} has no tokens of its own")));
        }
        if self.bos == Bos::Always {
            return Ok(self.with_separator(head, tail));
        }
        if head.is_empty() {
            // A continuation that begins with the separator brings its own context.
            head = if tail[0] == separator && tail.len() > 1 { vec![tail.remove(0)] } else { vec![separator] };
        }
        if tail.len() > self.max_len {
            return Ok(Err(too_long(tail.len(), self.max_len)));
        }
        // The last token is scored and not read.
        let surplus = (head.len() + tail.len()).saturating_sub(self.max_len + 1);
        head.drain(..surplus);
        Ok(Ok(Pair { context: head, continuation: tail }))
    }

    /// The separator, as much of the context's end as fits, the continuation: all of it within the model's length.
    fn with_separator(&self, head: Vec<i32>, tail: Vec<i32>) -> std::result::Result<Pair, String> {
        let room = self.max_len.checked_sub(tail.len() + 1).ok_or_else(|| too_long(tail.len(), self.max_len - 1))?;
        let kept = &head[head.len().saturating_sub(room)..];
        Ok(Pair { context: [&[self.tokenizer.separator() as i32], kept].concat(), continuation: tail })
    }

    /// With what the tokenizer's file adds, if that is wanted.
    fn encode(&self, text: &str) -> Result<Vec<i32>> {
        match self.bos {
            Bos::Auto => Ok(signed(self.tokenizer.encode_as_configured(text)?)),
            _ => self.plain(text),
        }
    }

    fn plain(&self, text: &str) -> Result<Vec<i32>> {
        Ok(signed(self.tokenizer.encode(text)?))
    }
}

/// Every token of `tokens` scored once: the first window reads `prefix` and all but its last token; each later one scores the
/// next `max_len` tokens, or what is left, after as much context as fits.
pub fn rolling_windows(tokens: &[i32], prefix: i32, max_len: usize) -> Vec<Pair> {
    let first = tokens.len().min(max_len);
    if first == 0 {
        return Vec::new();
    }
    let mut windows = vec![Pair { context: vec![prefix], continuation: tokens[..first].to_vec() }];
    let mut done = first;
    while done < tokens.len() {
        let end = tokens.len().min(done + max_len);
        windows.push(Pair { context: tokens[end - max_len - 1..done].to_vec(), continuation: tokens[done..end].to_vec() });
        done = end;
    }
    windows
}

fn too_long(is: usize, most: usize) -> String {
    format!("its continuation has {is} tokens, wanted at most {most} (model.maxSeqLen)")
}

fn signed(ids: Vec<u32>) -> Vec<i32> {
    ids.into_iter().map(|id| id as i32).collect()
}

/// What `str.rstrip` of Python takes away: white space, and four separators that Unicode does not call so.
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}
