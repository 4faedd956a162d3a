//! From texts to scored tokens: the rules of the harness and those of the study.

use bowline::checkpoint::{Content, State, TensorRef, write};
use bowline::cpu::Cpu;
use bowline::data::{Builtin, Tokenizer, Watch};
use bowline::generate::Writer;
use bowline::model::Model;
use bowline::score::{Bos, Encoder, Pair, Prompt, ScoreRequest, Tokenization, score};
use bowline::train::open_model;

use crate::common::*;

const SEPARATOR: &str = "<|endoftext|>";

/// A tokenizer whose words begin with their space, so that tokens merge across a boundary.
fn trained() -> Tokenizer {
    let text = "the answer is yes the answer is no ".repeat(40);
    unwatched(|watch: &Watch| Tokenizer::train(&[&text], 280, SEPARATOR, watch)).expect("a tokenizer")
}

/// The same with a post-processor that puts the separator before every text.
fn with_bos() -> Tokenizer {
    let mut json: serde_json::Value = serde_json::from_slice(trained().json()).expect("JSON");
    let id = trained().separator();
    json["post_processor"] = serde_json::json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": SEPARATOR, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {SEPARATOR: {"id": SEPARATOR, "ids": [id], "tokens": [SEPARATOR]}},
    });
    Tokenizer::from_json(json.to_string().into_bytes(), SEPARATOR, "with a template").expect("a tokenizer")
}

fn encoder(tokenizer: &Tokenizer, tokenization: Tokenization, bos: Bos, max_len: usize) -> Encoder<'_> {
    Encoder { tokenizer, tokenization, bos, max_len }
}

fn pair(encoder: Encoder<'_>, context: &str, continuation: &str) -> Pair {
    encoder.pair(context, continuation).expect("encoded").expect("a pair")
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<i32> {
    tokenizer.encode(text).expect("encoded").into_iter().map(|id| id as i32).collect()
}

#[test]
fn joint_cuts_the_tokens_of_the_whole_where_those_of_the_context_end() {
    let t = trained();
    let joint = encoder(&t, Tokenization::Joint, Bos::Auto, 100);
    // The token " answer" begins inside of the context: its first part is what the context alone has.
    let (context, continuation) = ("the answ", "er is yes");
    let whole = ids(&t, "the answer is yes");
    let got = pair(joint, context, continuation);
    assert_eq!(got.context, ids(&t, context), "the context keeps its own tokens");
    assert_eq!(got.continuation, whole[ids(&t, context).len()..], "what follows is cut from the whole");
    assert_ne!(got.continuation, ids(&t, continuation));
    let split = pair(encoder(&t, Tokenization::Split, Bos::Auto, 100), context, continuation);
    assert_eq!((split.context, split.continuation), (ids(&t, context), ids(&t, continuation)));
}

#[test]
fn spaces_at_the_end_of_a_context_belong_to_the_continuation() {
    let t = trained();
    let joint = encoder(&t, Tokenization::Joint, Bos::Never, 100);
    for spaces in [" ", "\n", "\u{1c}", " \u{a0}"] {
        let got = pair(joint, &format!("the answer{spaces}"), "is");
        assert_eq!(got.context, ids(&t, "the answer"), "{spaces:?}");
        assert_eq!(got.continuation, ids(&t, &format!("the answer{spaces}is"))[got.context.len()..]);
    }
    let split = pair(encoder(&t, Tokenization::Split, Bos::Never, 100), "the answer ", "is");
    assert_eq!(split.context, ids(&t, "the answer "), "the study moves nothing");
}

#[test]
fn the_separator_stands_where_it_is_asked_for() {
    let (plain, marked) = (trained(), with_bos());
    let s = plain.separator() as i32;
    let (context, continuation) = (ids(&plain, "the"), ids(&plain, " answer"));
    for tokenization in [Tokenization::Joint, Tokenization::Split] {
        for (t, bos, wanted) in [
            (&plain, Bos::Auto, false),
            (&plain, Bos::Always, true),
            (&plain, Bos::Never, false),
            (&marked, Bos::Auto, true),
            (&marked, Bos::Always, true),
            (&marked, Bos::Never, false),
        ] {
            let got = pair(encoder(t, tokenization, bos, 100), "the", " answer");
            let start: &[i32] = if wanted { &[s] } else { &[] };
            assert_eq!(got.context, [start, &context].concat(), "{tokenization:?} {bos:?}");
            assert_eq!(got.continuation, continuation, "{tokenization:?} {bos:?}");
            let empty = pair(encoder(t, tokenization, bos, 100), "", " answer");
            assert_eq!((empty.context, empty.continuation), (vec![s], continuation.clone()), "{tokenization:?} {bos:?}, no context");
        }
    }
}

#[test]
fn a_long_context_loses_its_start_and_the_separator_of_always_stays() {
    let t = Builtin::Bytes.tokenizer(SEPARATOR).expect("the separator");
    let s = t.separator() as i32;
    for tokenization in [Tokenization::Joint, Tokenization::Split] {
        // The last token is scored and not read: 10 are read of 11.
        let got = pair(encoder(&t, tokenization, Bos::Auto, 10), "0123456789", "abcd");
        assert_eq!(got, Pair { context: ids(&t, "3456789"), continuation: ids(&t, "abcd") });
        let got = pair(encoder(&t, tokenization, Bos::Always, 10), "0123456789", "abcd");
        assert_eq!(got, Pair { context: [&[s], &ids(&t, "56789")[..]].concat(), continuation: ids(&t, "abcd") });
        let got = pair(encoder(&t, tokenization, Bos::Auto, 4), "0123456789", "abcd");
        assert_eq!(got.context, ids(&t, "9"), "a token to go on from is left");
        for (bos, most) in [(Bos::Auto, 4), (Bos::Always, 3)] {
            let reason = encoder(&t, tokenization, bos, 4).pair("0", "abcde").expect("encoded").expect_err("too long");
            assert_eq!(reason, format!("its continuation has 5 tokens, wanted at most {most} (model.maxSeqLen)"));
        }
        let reason = encoder(&t, tokenization, Bos::Auto, 4).pair("0", "").expect("encoded").expect_err("nothing to score");
        assert!(reason.contains("no tokens of its own"), "{reason}");
    }
}

#[test]
fn prompts_and_texts_come_back_in_order() {
    let t = Builtin::Bytes.tokenizer(SEPARATOR).expect("the separator");
    let cpu = Cpu::new(1).expect("a thread");
    let mut json = OLMOE.json();
    // A vocabulary that holds every byte.
    json["model"]["vocab"] = 257.into();
    for bank in json["banks"].as_array_mut().expect("banks") {
        if bank["shape"].get("V").is_some() {
            bank["shape"]["V"] = 257.into();
        }
    }
    json["data"]["tokenizer"] = serde_json::json!({"kind": "bytes"});
    let plan = bowline::plan::Plan::parse(&json.to_string()).expect("a plan");
    let layout = bowline::layout::Layout::new(&plan).expect("checked");
    let model = Model::new(&cpu, layout, 7).expect("memory");
    let writer = Writer { backend: cpu, model, tokenizer: t, max_seq_len: 8 };
    let lanes = [Cpu::new(1).expect("a thread"), Cpu::new(1).expect("a thread")];
    let prompt = |context: &str, continuations: &[&str]| Prompt {
        context: context.into(),
        continuations: continuations.iter().map(|text| text.to_string()).collect(),
    };
    let request = |prompts: Vec<Prompt>, texts: &[&str]| ScoreRequest {
        tokenization: Tokenization::Joint,
        bos: Bos::Auto,
        prompts,
        texts: texts.iter().map(|text| text.to_string()).collect(),
    };
    let run = |request: &ScoreRequest| unwatched(|watch| score(&writer, &lanes, request, watch)).expect("scores");
    let all =
        run(&request(vec![prompt("ab", &["c", "de"]), prompt("", &["x"]), prompt("ab", &["f"])], &["a longer text of words", "", "y"]));
    let alone = |context: &str, text: &str| run(&request(vec![prompt(context, &[text])], &[])).prompts[0][0];
    assert_eq!(all.prompts[0], [alone("ab", "c"), alone("ab", "de")]);
    assert_eq!((all.prompts[1][0], all.prompts[2][0]), (alone("", "x"), alone("ab", "f")));
    assert_eq!(all.texts[2], all_of(&run(&request(vec![prompt("", &["y"])], &[]))));
    assert_eq!((all.texts.len(), all.texts[1]), (3, 0.0));
    assert_eq!(all.texts[0], run(&request(vec![], &["a longer text of words"])).texts[0]);
    assert!(all.texts[0] < -22.0, "22 bytes at about ln 257 each: {}", all.texts[0]);
    let refused = unwatched(|watch| score(&writer, &lanes, &request(vec![prompt("q", &["123456789"])], &[]), watch));
    let says = refused.expect_err("too long").to_string();
    assert!(says.starts_with("Cannot score prompt 0 (\"q\"): its continuation has 9 tokens"), "{says}");
}

fn all_of(report: &bowline::score::ScoreReport) -> f64 {
    report.prompts[0][0].log_likelihood
}

#[test]
fn a_tokenizer_with_more_ids_than_the_model_is_refused_and_so_is_none() {
    let cpu = Cpu::new(1).expect("a thread");
    let (model, plan) = (OLMOE.model(&cpu), OLMOE.json().to_string());
    let tensors = model.layout.params.iter().zip(&model.weights);
    let tensors: Vec<_> = tensors.map(|(p, data)| TensorRef { name: &p.name, shape: &p.shape, data }).collect();
    let state = State { step: 0, tokens: 0, loader: None };
    let bytes = Builtin::Bytes.tokenizer(SEPARATOR).expect("the separator");
    let folder = tempfile::tempdir().expect("a folder");
    for (tokenizer, says) in
        [(Some(bytes.json()), "the tokenizer has 257 tokens, the model's vocabulary only 23"), (None, "it has no tokenizer")]
    {
        let path = folder.path().join(says);
        write(&path, &Content { state: &state, plan: &plan, model: &tensors, optimizer: &[], tokenizer }).expect("written");
        let error = open_model(Cpu::new(1).expect("a thread"), &path).err().expect("refused").to_string();
        assert!(error.contains(says), "{error}");
    }
}
