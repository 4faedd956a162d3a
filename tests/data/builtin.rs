//! The tokenizers that need no file.

use crate::common::{Folder, SEPARATOR, message, settings, words};
use bowline::data::{Builtin, Tokenizer, TokenizerSpec};
use proptest::prelude::*;
use std::sync::LazyLock;

static CL100K: LazyLock<Tokenizer> = LazyLock::new(|| Builtin::Cl100kBase.tokenizer(SEPARATOR).unwrap());

#[test]
fn cl100k_is_the_published_one() {
    // From the npm package `tiktoken`.
    let want = [9906, 11, 4435, 0, 2650, 527, 499, 3432, 30, 11410, 234, 235];
    assert_eq!(CL100K.encode("Hello, World! How are you today? \u{1f30d}").unwrap(), want);
    assert_eq!((CL100K.vocab(), CL100K.separator()), (100_277, 100_257));
    assert!(CL100K.encode("").unwrap().is_empty());
    assert!(CL100K.require_vocab(100_277).is_ok());
    let want = "the tokenizer has 100277 tokens, the model's vocabulary only 100276 (model.vocab)";
    assert_eq!(message(CL100K.require_vocab(100_276)), format!("Cannot use the plan: {want}"));
    let fim = Builtin::Cl100kBase.tokenizer("<|fim_prefix|>").unwrap();
    assert_eq!((fim.vocab(), fim.separator()), (100_277, 100_258));
}

#[test]
fn special_tokens_are_never_made_from_text_and_stand_for_none() {
    for tokenizer in [&*CL100K, &Builtin::Bytes.tokenizer(SEPARATOR).unwrap()] {
        let text = "a<|endoftext|>b<|fim_prefix|><|fim_middle|><|fim_suffix|><|endofprompt|>";
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        assert!(ids.iter().all(|&id| id < tokenizer.separator()));
        let lengths = tokenizer.byte_lengths().unwrap();
        assert_eq!(lengths.len(), tokenizer.vocab());
        assert_eq!(lengths.iter().rposition(|&length| length > 0), Some(if tokenizer.vocab() == 257 { 255 } else { 100_255 }));
        let last = tokenizer.vocab() as u32;
        assert_eq!(tokenizer.decode(&[last - 1]).unwrap(), "");
        assert_eq!(message(tokenizer.decode(&[last])), format!("Cannot decode token {last}: the tokenizer has {last} tokens"));
    }
    assert_eq!(CL100K.decode(&[100_256, 9906, 100_270]).unwrap(), "Hello", "ids between stand for nothing");
}

#[test]
fn long_text_in_pieces_has_the_ids_of_the_whole() {
    let text = words(5, 40_000);
    assert!(bowline::data::pieces(&text).len() > 2);
    assert_eq!(CL100K.encode(&text).unwrap(), bpe_openai::cl100k_base().encode(text.as_str()));
}

#[test]
fn a_marker_in_a_checkpoint_is_read_back() {
    for (builtin, want) in [(Builtin::Cl100kBase, "{\"builtin\":\"cl100k_base\"}"), (Builtin::Bytes, "{\"builtin\":\"bytes\"}")] {
        let tokenizer = builtin.tokenizer(SEPARATOR).unwrap();
        assert_eq!(tokenizer.json(), want.as_bytes());
        assert_eq!(Builtin::read(tokenizer.json()), Some(builtin));
        let again = Tokenizer::from_json(tokenizer.json().to_vec(), SEPARATOR, "x").unwrap();
        assert_eq!((again.vocab(), again.separator(), again.json()), (tokenizer.vocab(), tokenizer.separator(), tokenizer.json()));
        let says = message(Tokenizer::from_json(tokenizer.json().to_vec(), "</s>", "x"));
        let want = format!("Cannot use the tokenizer {}: it has no token </s>; set data.separator to one of its", builtin.name());
        assert!(says.starts_with(&want) && says.contains(SEPARATOR), "{says}");
        assert_eq!(serde_json::to_string(&builtin).unwrap(), format!("\"{}\"", builtin.name()));
    }
    let says = message(Tokenizer::from_json(b"{\"builtin\":\"o200k\"}".to_vec(), SEPARATOR, "x"));
    assert!(says.ends_with("; wanted a tokenizer.json of the Hugging Face tokenizers library"), "{says}");
    let kind = TokenizerSpec::Bytes;
    assert_eq!(serde_json::to_string(&kind).unwrap(), "{\"kind\":\"bytes\"}");
}

#[test]
fn a_corpus_can_be_made_with_one() {
    let folder = Folder::new();
    let settings = bowline::data::Settings { tokenizer: TokenizerSpec::Bytes, ..settings() };
    let files = folder.ten_files();
    let corpus = folder.prepare(&files, &settings).unwrap();
    let text = std::fs::read_to_string(&files[0]).unwrap();
    let mut window = vec![0; 17];
    corpus.train_window(0, &mut window);
    let want: Vec<i32> = [256].into_iter().chain(text.bytes().take(16).map(i32::from)).collect();
    assert_eq!(window, want);
    let again = folder.prepare(&files, &settings).unwrap();
    assert_eq!(again.fingerprint(), corpus.fingerprint(), "from the cache");
    assert_eq!(again.tokenizer.vocab(), 257);
}

static LENGTHS: LazyLock<Vec<u32>> = LazyLock::new(|| CL100K.byte_lengths().unwrap());

proptest! {
    #[test]
    fn any_text_comes_back(text in "\\PC{0,60}[ \\n\\t\\r]{0,6}\\PC{0,60}") {
        let ids = CL100K.encode(&text).unwrap();
        prop_assert_eq!(CL100K.decode(&ids).unwrap(), &*text);
        prop_assert_eq!(ids.iter().map(|&id| LENGTHS[id as usize] as usize).sum::<usize>(), text.len());
        let bytes = Builtin::Bytes.tokenizer(SEPARATOR).unwrap();
        let ids = bytes.encode(&text).unwrap();
        prop_assert_eq!(bytes.decode(&ids).unwrap(), &*text);
        prop_assert!(ids.iter().copied().eq(text.bytes().map(u32::from)));
    }
}
