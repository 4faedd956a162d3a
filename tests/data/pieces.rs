//! Pieces of a long text give the same ids as the whole.

use crate::common::{SEPARATOR, watched, words};
use bowline::data::{Tokenizer, pieces};
use proptest::prelude::*;
use std::sync::LazyLock;

static TOKENIZER: LazyLock<Tokenizer> =
    LazyLock::new(|| watched(|watch| Tokenizer::train(&[&words(7, 3000)], 400, SEPARATOR, watch).unwrap()));

/// Encodes without any cutting.
fn encode_whole(text: &str) -> Vec<u32> {
    let whole = tokenizers::Tokenizer::from_bytes(TOKENIZER.json()).unwrap();
    whole.encode_fast(text, false).unwrap().get_ids().to_vec()
}

#[test]
fn text_without_a_safe_place_stays_whole() {
    for unit in ["x", "a\n", "a \n", "  ", "\u{6f22}"] {
        let text = unit.repeat(70_000);
        assert_eq!(pieces(&text), [text.as_str()]);
    }
    assert_eq!(pieces(""), [""]);
}

#[test]
fn long_text_is_cut_before_a_space() {
    let text = words(3, 60_000);
    let cut = pieces(&text);
    assert!(cut.len() > 3, "{}", cut.len());
    assert!(cut[1..].iter().all(|piece| piece.starts_with(' ')));
    assert_eq!(cut.concat(), text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Blanks of every kind around every kind of character, long enough for several pieces.
    #[test]
    fn ids_of_pieces_are_the_ids_of_the_text(unit in "[ab1.'s\u{e9}\u{6f22}\u{a0}\u{3000}\u{301} \n\r\t]{40,400}") {
        let text = unit.repeat(200_000 / unit.len());
        prop_assert_eq!(pieces(&text).concat(), text.clone());
        prop_assert_eq!(TOKENIZER.encode(&text).unwrap(), encode_whole(&text));
    }
}
