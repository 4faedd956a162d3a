//! Cuts a long text where a byte-level tokenizer cuts it anyway, so that its pieces can be encoded in parallel.

/// Pieces are at least this long, apart from the last one.
const PIECE_BYTES: usize = 1 << 16;

/// Cuts `text` before single spaces between two non-blank characters. The pattern of a byte-level tokenizer (GPT-2's
/// and its descendants') starts a new word there whatever stands around, so that the ids of the pieces, put together,
/// are the ids of the text. Text without such a place stays whole.
pub fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while text.len() - start > PIECE_BYTES {
        let from = boundary_before(text, start + PIECE_BYTES);
        let Some(cut) = next_cut(text, from) else { break };
        pieces.push(&text[start..cut]);
        start = cut;
    }
    pieces.push(&text[start..]);
    pieces
}

/// The first place at or after `from` to cut before.
fn next_cut(text: &str, from: usize) -> Option<usize> {
    text[from..].match_indices(' ').map(|(at, _)| from + at).find(|&at| {
        let before = text[..at].chars().next_back();
        let after = text[at + 1..].chars().next();
        before.is_some_and(|c| !c.is_whitespace()) && after.is_some_and(|c| !c.is_whitespace())
    })
}

/// The last place at or before `at` where a character starts.
pub(super) fn boundary_before(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}
