//! Training on a stream: stopped and resumed, and stopped by a source that fails.

use crate::common::*;
use bowline::cpu::Cpu;
use bowline::data::source::{Cursor, Record};
use bowline::data::{
    AtEnd, HeldOut, MixtureSource, MixtureSpec, Records, SeparatorPlacement, Skipped, Stream, StreamInfo, StreamSettings, Tokenizer,
};
use bowline::error::{Error, Result};
use bowline::train::Trainer;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MICRO: Micro = Micro { accumulation: 2, ..OLMOE };
const SEPARATOR: &str = "</s>";

/// Documents of ids; reading document `fails` fails.
struct Ids {
    at: u64,
    fails: u64,
}

impl Records for Ids {
    fn next(&mut self) -> Result<Option<(Cursor, Record)>> {
        if self.at == self.fails {
            return Err(Error::data("ids", format!("document {} is broken", self.at + 1)));
        }
        let cursor = self.cursor();
        self.at += 1;
        let ids = (0..3 + cursor.row % 11).map(|i| ((cursor.row * 7 + i * i) % 22) as u32).collect();
        Ok((cursor.row < 60).then_some((cursor, Record::Tokens(ids))))
    }

    fn cursor(&self) -> Cursor {
        Cursor { row: self.at, ..Cursor::default() }
    }

    fn seek(&mut self, to: &Cursor) -> Result<()> {
        self.at = to.row;
        Ok(())
    }

    fn skipped(&self) -> Skipped {
        Skipped::default()
    }

    fn file_name(&self, _: usize) -> String {
        "ids".into()
    }

    fn identity(&self) -> String {
        "ids".into()
    }

    fn progress(&self) -> f64 {
        self.at as f64 / 60.0
    }
}

/// Words `0` to `21` and the separator 22.
fn tokenizer() -> Tokenizer {
    let vocab: serde_json::Map<String, Value> = (0..22).map(|id| (id.to_string(), json!(id))).collect();
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null, "decoder": null,
        "added_tokens": [{ "id": 22, "content": SEPARATOR, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true }],
        "pre_tokenizer": { "type": "Whitespace" }, "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "0" }
    });
    Tokenizer::from_json(file.to_string().into_bytes(), SEPARATOR, "words").expect("a tokenizer")
}

fn trainer(threads: usize, fails: u64) -> Trainer<Cpu> {
    let mut trainer = Trainer::new(Cpu::new(threads).expect("threads"), MICRO.plan()).expect("memory");
    let open = Arc::new(move || Ok(Box::new(Ids { at: 0, fails }) as Box<dyn Records>));
    let mixture = MixtureSpec {
        sources: vec![MixtureSource { name: "ids".into(), weight: 1.0, open }],
        seed: 7,
        shuffle_buffer: 8,
        at_end: AtEnd::Repeat,
        held_out: HeldOut::Documents { every: 6, index: 1 },
    };
    let settings = StreamSettings {
        mixture,
        tokenizer: Arc::new(tokenizer()),
        separator: SeparatorPlacement::After,
        seq_len: MICRO.seq_len,
        model_vocab: VOCAB,
        batch: MICRO.batch,
        rank: 0,
        world: 1,
        threads: 1,
        stop: Arc::default(),
    };
    let info =
        StreamInfo { kind: "stream", sources: Vec::new(), commits: Default::default(), vocab: VOCAB, tokenizer_file: PathBuf::new() };
    trainer.attach_stream(Stream::new(settings).expect("a stream"), info);
    trainer
}

fn steps(trainer: &mut Trainer<Cpu>, count: usize) {
    for _ in 0..count {
        unwatched(|w| trainer.step(w)).expect("step");
    }
}

fn saved(trainer: &mut Trainer<Cpu>, folder: &Path) -> Vec<Vec<u8>> {
    trainer.save(folder).expect("save");
    ["model.safetensors", "optimizer.safetensors", "state.json", "tokenizer.json"]
        .map(|name| std::fs::read(folder.join(name)).expect("saved"))
        .into()
}

#[test]
fn a_run_on_a_stream_goes_on_from_its_checkpoint() {
    let dir = tempfile::tempdir().expect("temp");
    let mut whole = trainer(1, u64::MAX);
    steps(&mut whole, 20);
    let mut first = trainer(2, u64::MAX);
    steps(&mut first, 7);
    let at_7 = dir.path().join("7");
    first.save(&at_7).expect("save");
    let mut rest = trainer(1, u64::MAX);
    steps(&mut rest, 3);
    rest.load(&at_7).expect("load");
    steps(&mut rest, 13);
    assert!(saved(&mut whole, &dir.path().join("a")) == saved(&mut rest, &dir.path().join("b")), "the bits differ");
    assert!(whole.windows().expect("data").epochs() >= 1.0, "the source started over on the way");
    let evaluate = |trainer: &mut Trainer<Cpu>, batches| {
        let report = unwatched(|w| trainer.evaluate(batches, w)).expect("evaluation");
        (report.loss, report.tokens)
    };
    assert_eq!(evaluate(&mut whole, 0), evaluate(&mut rest, 0));
    assert_eq!(evaluate(&mut whole, 2).1, 2 * 2 * 7);
}

#[test]
fn a_run_that_its_data_stops_can_be_saved_and_gone_on_with() {
    let dir = tempfile::tempdir().expect("temp");
    let mut whole = trainer(1, u64::MAX);
    steps(&mut whole, 20);
    let mut broken = trainer(1, 50);
    let failed = std::iter::from_fn(|| Some(unwatched(|w| broken.step(w)))).find_map(|step| step.err());
    assert_eq!(failed.map(|e| e.to_string()).as_deref(), Some("Cannot read training data from ids: document 51 is broken"));
    let stopped = dir.path().join("stopped");
    broken.save(&stopped).expect("save");
    let mut rest = trainer(1, u64::MAX);
    rest.load(&stopped).expect("load");
    let done = rest.windows().map(|windows| windows.state());
    assert!(matches!(done, Some(bowline::data::WindowsState::Stream(state)) if (4..80).contains(&state.windows)));
    while unwatched(|w| rest.step(w)).expect("step").step < 20 {}
    assert!(saved(&mut whole, &dir.path().join("a")) == saved(&mut rest, &dir.path().join("b")), "the bits differ");
}
