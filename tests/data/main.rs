//! Tests of the data pipeline.
use bowline::data::*;
use std::sync::atomic::AtomicBool;
#[test]
fn explore() {
    let mut files: Vec<_> = std::fs::read_dir("/tmp/sotu/package/data")
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    let cancel = AtomicBool::new(false);
    let progress = |_: f64| ();
    let watch = Watch::new(&progress, &cancel);
    let docs = read_documents(&files, 50, &watch).unwrap();
    let parts = split(&docs.documents, HeldOut::Documents { every: 20, index: 7 }).unwrap();
    let all: Vec<&str> = docs.documents.iter().map(|d| d.text.as_str()).collect();
    for (name, texts) in [("train", &parts.train), ("all", &all)] {
        let t = std::time::Instant::now();
        let tok = Tokenizer::train(texts, 2048, "<|endoftext|>", &watch).unwrap();
        let trained = t.elapsed();
        let t = std::time::Instant::now();
        let held: usize = tok.encode_all(&parts.held_out, &watch).unwrap().iter().map(|x| x.len() + 1).sum();
        let train: usize = tok.encode_all(&parts.train, &watch).unwrap().iter().map(|x| x.len() + 1).sum();
        println!(
            "{name}: vocab {} sep {} train {trained:?} encode {:?} held {held} windows {} train {train} w {}",
            tok.vocab(),
            tok.separator(),
            t.elapsed(),
            held / 129 * 129,
            train / 129
        );
    }
    let settings = Settings {
        tokenizer: TokenizerSource::TrainBpe { vocab: 2048 },
        separator: "<|endoftext|>".into(),
        min_characters: 50,
        held_out: HeldOut::Documents { every: 20, index: 7 },
        seq_len: 128,
        model_vocab: 2048,
    };
    for _ in 0..2 {
        let t = std::time::Instant::now();
        let c = prepare(&files, &settings, std::path::Path::new("/tmp/sotu/cache"), &watch).unwrap();
        let el = t.elapsed();
        let t = std::time::Instant::now();
        println!("{:?} {el:?} {:?}", c.info(), t.elapsed());
    }
}
