//! The builtin tokenizers as a tokenizer.json of the Hugging Face tokenizers library, which then gives the same ids.

use crate::data::{Builtin, byte_alphabet};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// How cl100k_base cuts text into words.
const CL100K_WORDS: &str =
    concat!(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*", r"|\s*[\r\n]+|\s+(?!\S)|\s+");

/// The content of the file for `builtin`: a byte-level BPE.
pub fn tokenizer_json(builtin: Builtin) -> Vec<u8> {
    let alphabet = byte_alphabet();
    let spell = |bytes: &[u8]| bytes.iter().map(|&byte| alphabet[usize::from(byte)]).collect::<String>();
    let bytes = builtin.bytes();
    let words: Vec<(usize, &[u8])> = bytes.iter().map(Vec::as_slice).enumerate().filter(|(_, bytes)| !bytes.is_empty()).collect();
    // The special tokens, too: the library gives ids of its own to those that are not in the vocabulary. No merge makes them.
    let special_ids = builtin.special().iter().map(|(text, id)| (text.to_string(), json!(id)));
    let vocab: Map<String, Value> = words.iter().map(|(id, bytes)| (spell(bytes), json!(id))).chain(special_ids).collect();
    let special = |&(text, id): &(&str, u32)| json!({"id": id, "content": text, "special": true, "normalized": false, "single_word": false, "lstrip": false, "rstrip": false});
    let added: Vec<Value> = builtin.special().iter().map(special).collect();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let pre_tokenizer = match builtin {
        Builtin::Bytes => byte_level.clone(),
        Builtin::Cl100kBase => {
            let split = json!({"type": "Split", "pattern": {"Regex": CL100K_WORDS}, "behavior": "Isolated", "invert": false});
            json!({"type": "Sequence", "pretokenizers": [split, byte_level]})
        }
    };
    let merges: Vec<[String; 2]> = merges(&words).map(|(left, right)| [spell(left), spell(right)]).collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocab,
            "merges": merges,
        },
    })
    .to_string()
    .into_bytes()
}

/// Every pair of tokens that make up another one, in the order of the other's id: there any neighbours merge whose bytes
/// are a token, the lowest id first, while the library merges the pairs that it is given, the first first.
fn merges<'a>(words: &'a [(usize, &'a [u8])]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let is_word: HashSet<&[u8]> = words.iter().map(|&(_, bytes)| bytes).collect();
    words.iter().flat_map(move |&(_, bytes)| {
        let pairs = (1..bytes.len()).map(|at| bytes.split_at(at)).filter(|(left, right)| is_word.contains(left) && is_word.contains(right));
        pairs.collect::<Vec<_>>()
    })
}
