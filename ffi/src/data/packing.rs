//! Documents become windows: each with its separator, one after the other, cut every S+1 tokens. What is left of a
//! document after a cut begins the next window.

use super::SeparatorPlacement;

/// A window that is cut, not handed out.
pub struct Packer {
    /// S+1.
    size: usize,
    separator: i32,
    placement: SeparatorPlacement,
    window: Vec<i32>,
}

impl Packer {
    /// An empty window of `size` tokens, at least 1.
    pub fn new(size: usize, separator: u32, placement: SeparatorPlacement) -> Self {
        debug_assert!(size > 0);
        Self { size, separator: separator as i32, placement, window: Vec::with_capacity(size) }
    }

    /// Appends the document `ids` without its first `skip` tokens, the separator being one of them. For each window that
    /// becomes full, `full` gets it and how many tokens of the document are in it or in windows before it; when it says
    /// `false`, the rest is dropped. Returns what it said last.
    pub fn push(&mut self, ids: &[u32], skip: usize, mut full: impl FnMut(Vec<i32>, usize) -> bool) -> bool {
        let before = self.placement == SeparatorPlacement::Before;
        let after = self.placement == SeparatorPlacement::After;
        let separator = |wanted: bool| wanted.then_some(self.separator);
        let tokens = separator(before).into_iter().chain(ids.iter().map(|&id| id as i32)).chain(separator(after));
        let mut tokens = tokens.skip(skip);
        let mut used = skip;
        loop {
            let from = self.window.len();
            self.window.extend(tokens.by_ref().take(self.size - from));
            used += self.window.len() - from;
            if self.window.len() < self.size {
                return true;
            }
            let window = std::mem::replace(&mut self.window, Vec::with_capacity(self.size));
            if !full(window, used) {
                return false;
            }
        }
    }

    /// Tokens of a document of `num_ids` ids, its separator included.
    pub fn length(&self, num_ids: usize) -> usize {
        num_ids + usize::from(self.placement != SeparatorPlacement::None)
    }
}
