//! The byte-level BPE that is trained here, and tokenizer files from elsewhere.

use crate::common::{Folder, SEPARATOR, message, watched, words};
use bowline::data::{Tokenizer, Watch};
use bowline::error::Error;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

static TRAINED: LazyLock<Tokenizer> = LazyLock::new(|| train(400));

fn train(vocab: usize) -> Tokenizer {
    let texts = [words(1, 2000), words(2, 2000), words(3, 2000)];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    watched(|watch| Tokenizer::train(&texts, vocab, SEPARATOR, watch).unwrap())
}

/// The trained tokenizer's file with something changed.
fn changed(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut file: Value = serde_json::from_slice(TRAINED.json()).unwrap();
    change(&mut file);
    serde_json::to_vec(&file).unwrap()
}

#[test]
fn training_twice_gives_the_same_file_whatever_the_threads() {
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| train(400)).json(), TRAINED.json(), "{threads} threads");
    }
}

#[test]
fn vocabulary_is_bytes_separator_and_merges() {
    assert_eq!(TRAINED.vocab(), 307, "twelve words have no more merges than fifty, so 400 is not reached");
    let smallest = train(257);
    assert_eq!(smallest.vocab(), 257);
    assert!((smallest.separator() as usize) < 257);
    assert_eq!(smallest.encode("we").unwrap().len(), 2);
    assert_eq!(train(260).vocab(), 260);
    let says = message(watched(|watch| Tokenizer::train(&["text"], 256, SEPARATOR, watch)));
    let want = "it is 256, at least 257 holds every byte and the separator (data.tokenizer.vocab)";
    assert_eq!(says, format!("Cannot use the plan: {want}"));
}

#[test]
fn a_special_token_is_never_made_from_text() {
    let text = format!("before{SEPARATOR}after");
    let ids = TRAINED.encode(&text).unwrap();
    assert!(!ids.contains(&TRAINED.separator()));
    assert_eq!(TRAINED.decode(&ids).unwrap(), text);
    assert_eq!(TRAINED.decode(&[TRAINED.separator()]).unwrap(), "");
    // Also when the file calls the separator an ordinary token.
    let ordinary = changed(|file| file["added_tokens"][0]["special"] = json!(false));
    let ordinary = Tokenizer::from_json(ordinary, SEPARATOR, "x").unwrap();
    assert_eq!(ordinary.encode(&text).unwrap(), ids);
}

#[test]
fn a_separator_that_text_can_spell_is_refused() {
    for separator in ["the", "!"] {
        let says = message(watched(|watch| Tokenizer::train(&[&words(1, 2000)], 300, separator, watch)));
        let want = format!("the text {separator} becomes its separator; set data.separator to a token that text cannot spell");
        assert_eq!(says, format!("Cannot use the tokenizer trained here: {want}"));
    }
}

#[test]
fn byte_lengths_are_those_of_the_text() {
    let lengths = TRAINED.byte_lengths().unwrap();
    assert_eq!(lengths.len(), TRAINED.vocab());
    assert_eq!(lengths[TRAINED.separator() as usize], 0);
    let mut bytes: Vec<_> = (0..TRAINED.vocab() as u32).filter_map(|id| TRAINED.token_bytes(id).filter(|b| b.len() == 1)).collect();
    bytes.sort_unstable();
    assert!(bytes.into_iter().flatten().copied().eq(0..=255), "every byte has its own token");
    assert_eq!(TRAINED.token_bytes(TRAINED.vocab() as u32), None);
}

#[test]
fn a_saved_file_is_the_same_tokenizer() {
    let folder = Folder::new();
    let loaded = Tokenizer::load(&folder.file("tokenizer.json", TRAINED.json()), SEPARATOR).unwrap();
    let text = words(9, 300);
    assert_eq!(loaded.json(), TRAINED.json());
    assert_eq!(loaded.encode(&text).unwrap(), TRAINED.encode(&text).unwrap());
    assert_eq!((loaded.vocab(), loaded.separator()), (TRAINED.vocab(), TRAINED.separator()));
}

#[test]
fn cutting_and_padding_of_a_file_are_not_obeyed() {
    let obedient = changed(|file| {
        file["truncation"] = json!({ "direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0 });
        file["padding"] = json!({ "strategy": { "Fixed": 64 }, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 1, "pad_type_id": 0, "pad_token": "x" });
    });
    let tokenizer = Tokenizer::from_json(obedient, SEPARATOR, "x").unwrap();
    let text = words(9, 30);
    assert_eq!(tokenizer.encode(&text).unwrap(), TRAINED.encode(&text).unwrap());
}

#[test]
fn a_tokenizer_of_words_has_no_byte_lengths() {
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null, "decoder": null,
        "added_tokens": [{ "id": 7, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true }],
        "pre_tokenizer": { "type": "Whitespace" },
        "model": { "type": "WordLevel", "vocab": { "[UNK]": 0, "we": 1, "the": 2, "people": 3, "</s>": 7 }, "unk_token": "[UNK]" }
    });
    let tokenizer = Tokenizer::from_json(file.to_string().into_bytes(), "</s>", "words.json").unwrap();
    assert_eq!((tokenizer.vocab(), tokenizer.separator()), (8, 7), "the vocabulary is the largest id + 1");
    assert_eq!(tokenizer.encode("we the lovely people").unwrap(), [1, 2, 0, 3]);
    assert_eq!(tokenizer.decode(&[1, 2, 7, 3]).unwrap(), "we the people");
    assert_eq!((tokenizer.byte_lengths(), tokenizer.token_bytes(1)), (None, None));
}

#[test]
fn unusable_files_are_refused() {
    let folder = Folder::new();
    let missing = folder.path().join("missing.json");
    let says = message(Tokenizer::load(&missing, SEPARATOR));
    assert!(says.starts_with(&format!("Cannot use the tokenizer {}: ", missing.display())), "{says}");
    assert!(says.ends_with("; check the path"), "{says}");
    let says = message(Tokenizer::load(&folder.file("x.json", "{\"a\": 1}"), SEPARATOR));
    assert!(says.ends_with("; wanted a tokenizer.json of the Hugging Face tokenizers library"), "{says}");
    let says = message(Tokenizer::from_json(TRAINED.json().to_vec(), "</s>", "t.json"));
    let want = "it has no token </s>; set data.separator to one of its special tokens (<|endoftext|>)";
    assert_eq!(says, format!("Cannot use the tokenizer t.json: {want}"));
    let huge = changed(|file| file["model"]["vocab"]["huge"] = json!(4_000_000_000u32));
    let says = message(Tokenizer::from_json(huge, SEPARATOR, "t.json"));
    assert_eq!(says, "Cannot use the tokenizer t.json: it has a token with id 4000000000, wanted less than 16777216");
    let says = message(TRAINED.require_vocab(200));
    assert_eq!(says, "Cannot use the plan: the tokenizer has 307 tokens, the model's vocabulary only 200 (model.vocab)");
    assert!(TRAINED.require_vocab(307).is_ok());
    let says = message(TRAINED.decode(&[1, 307]));
    assert_eq!(says, "Cannot decode token 307: the tokenizer has 307 tokens");
}

#[test]
fn long_calls_can_be_cancelled_and_report_progress() {
    let text = words(1, 60_000);
    let cancel = Arc::new(AtomicBool::new(false));
    let progress = |fraction: f64| {
        assert!((0.0..=1.0).contains(&fraction));
        cancel.store(fraction > 0.3, Ordering::Relaxed);
    };
    let watch = Watch::new(&progress, &cancel);
    assert!(matches!(Tokenizer::train(&[&text], 400, SEPARATOR, &watch), Err(Error::Cancelled)));
    cancel.store(true, Ordering::Relaxed);
    let watch = Watch::new(&|_| (), &cancel);
    assert!(matches!(TRAINED.encode_all(&[&text], &watch), Err(Error::Cancelled)));
}

proptest! {
    /// Also characters, controls and blanks that training never saw.
    #[test]
    fn any_text_comes_back(text in any::<String>()) {
        let ids = TRAINED.encode(&text).unwrap();
        prop_assert_eq!(TRAINED.decode(&ids).unwrap(), text.clone());
        let lengths = TRAINED.byte_lengths().unwrap();
        prop_assert_eq!(ids.iter().map(|&id| lengths[id as usize] as usize).sum::<usize>(), text.len());
    }
}
