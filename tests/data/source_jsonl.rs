//! JSON lines: against serde_json's tree, from any place, damaged in every way.

use crate::common::message;
use crate::source_common::{check_places, column, memory, open, rest, shared, skipping, spec, text, texts_of};
use bowline::data::{Cursor, SourceSpec, local_files};
use flate2::write::GzEncoder;
use std::io::Write;
use std::slice::from_ref;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// Lines with the column in all positions, escapes, blank lines, a byte order mark, both line ends, no last line end.
const LINES: &str = "\u{feff}{\"text\": \"one\", \"id\": 1}\n\n{\"id\": [1, {\"text\": \"no\"}], \"text\": \"tw\\u00f6\\n\\\"\"}\r\n  \n\
    {\"text\": null}\n{\"text\": \"\", \"x\": 1.5e300}\n{\"text\": \"first\", \"text\": \"last\"}\n{\"t\\u0065xt\":\"caf\u{e9} \u{1f30d}\"}";

#[test]
fn every_compression_gives_the_same_texts_from_every_place() {
    let wanted = ["one", "tw\u{f6}\n\"", "", "last", "caf\u{e9} \u{1f30d}"];
    let mut two_members = gzip(&LINES.as_bytes()[..40]);
    two_members.extend(gzip(&LINES.as_bytes()[40..]));
    let mut two_frames = zstd(&LINES.as_bytes()[..40]);
    two_frames.extend(zstd(&LINES.as_bytes()[40..]));
    for (name, bytes) in [
        ("a.jsonl", LINES.as_bytes().to_vec()),
        ("a.jsonl.gz", gzip(LINES.as_bytes())),
        ("a.jsonl.zst", zstd(LINES.as_bytes())),
        ("b.json.gz", two_members),
        ("b.json.zst", two_frames),
    ] {
        let (texts, source) = texts_of(memory(name, bytes.clone()), spec()).unwrap();
        assert_eq!(texts, wanted, "{name}");
        assert_eq!((source.counts().records, source.counts().empty, source.counts().bad), (5, 1, 0));
        check_places(&[memory(name, bytes)], &spec());
    }
    let records = check_places(&[memory("1.jsonl", LINES), memory("2.jsonl", ""), memory("3.jsonl", LINES)], &spec());
    assert_eq!(records.len(), 10);
    assert_eq!(records[1].0, Cursor { file: 0, row: 2, block: 29, element: 0 }, "lines and bytes count from the start of the file");
}

#[test]
fn lists_and_fields_below_are_followed() {
    let lines = r#"{"text": "page", "rollout_results": [{"text": "a", "n": 1}, {"n": 2}, {"text": null}, {"text": "b"}]}
{"rollout_results": [], "text": "page"}
{"rollout_results": null}
{"rollout_results": [{"text": "c"}], "a.b": {"c": ["x", "y"]}}"#;
    let path = "rollout_results.list.element.text";
    let file = memory("a.jsonl", lines);
    let (texts, source) = texts_of(file.clone(), column(path)).unwrap();
    assert_eq!(texts, ["a", "b", "c"]);
    assert_eq!(source.counts().empty, 4);
    let records = check_places(from_ref(&file), &column(path));
    assert_eq!((records[1].0.row, records[1].0.element), (0, 3));
    // The page and its rewrite have the same bare name; a dot says which.
    let reason = message(open(from_ref(&file), spec()));
    assert!(reason.contains(r#"column "text" may be "rollout_results.list.element.text", ".text"; name one"#), "{reason}");
    let (texts, source) = texts_of(file, skipping(column(".text"))).unwrap();
    assert_eq!((texts.len(), source.counts().bad), (2, 2));
    let (texts, _) = texts_of(memory("b.jsonl", r#"{"a.b": {"c": ["x", "y"]}}"#), column("c")).unwrap();
    assert_eq!(texts, ["x", "y"]);
}

#[test]
fn bad_lines_are_named_or_counted() {
    let good = "{\"text\": \"good\"}\n";
    for (bad, reason) in [
        ("{\"text\": \"open", "line 3 is not valid JSON (EOF while parsing a string at byte 14)"),
        ("{\"text\": \"x\"} {}", "line 3 is not valid JSON (trailing characters"),
        ("{\"text\": 5}", "line 3 has no text in column \"text\" (invalid type: integer `5`, expected a string at byte"),
        ("{\"text\": [\"x\"]}", "line 3 has no text in column \"text\" (invalid type: sequence, expected a string"),
        ("{\"text\": {\"x\": 1}}", "line 3 has no text in column"),
        ("\"text\"", "line 3 has no text in column"),
        ("{\"body\": \"x\"}", "line 3: there is no column \".text\" of strings; those of strings are \".body\""),
        ("{}", "line 3: there is no column \".text\", nor any other of strings"),
        ("{\"text\": \"\\ud800\"}", "line 3 is not valid JSON"),
    ] {
        let file = memory("a.jsonl", format!("{good}\n{bad}\n{good}"));
        let mut source = open(from_ref(&file), spec()).unwrap();
        source.next().unwrap().unwrap();
        let before = source.cursor();
        let told = message(source.next());
        assert!(told.contains(reason), "{told}");
        assert!(told.starts_with("Cannot read training data from a.jsonl: line 3"), "{told}");
        assert!(told.ends_with("; repair or replace it, or set data.onBadRecord to \"skip\"") && !told.contains('\n'), "{told}");
        assert_eq!(source.cursor(), before, "a source that stops stands before the bad record");
        assert_eq!(message(source.next()), told);
        let (texts, source) = texts_of(file, skipping(spec())).unwrap();
        assert_eq!((texts.len(), source.counts().bad), (2, 1), "{bad}");
    }
    let mut bytes = good.as_bytes().to_vec();
    bytes.extend(b"{\"text\": \"\xff\"}\n");
    let told = message(texts_of(memory("a.jsonl", bytes), spec()));
    assert!(told.contains("line 2 is not UTF-8 at its byte 10"), "{told}");
    let told = message(texts_of(memory("a.jsonl", "{\"body\": \"x\"}"), spec()));
    assert!(told.contains("line 1: there is no column \"text\" of strings"), "a wrong column is refused at the start: {told}");
}

#[test]
fn compressed_files_that_are_cut_short_end_there() {
    let lines: String = (0..5000).map(|n| format!("{{\"text\": \"{}\"}}\n", n * 7919 % 100_003)).collect();
    for (name, bytes) in [("a.jsonl.gz", gzip(lines.as_bytes())), ("a.jsonl.zst", zstd(lines.as_bytes()))] {
        let (whole, _) = texts_of(memory(name, bytes.clone()), spec()).unwrap();
        for keep in [0, 1, 10, bytes.len() / 2, bytes.len() - 1] {
            let cut = memory(name, &bytes[..keep]);
            let told = message(texts_of(cut.clone(), spec()));
            assert!(told.contains(name) && told.contains("compressed data"), "{keep}: {told}");
            // The next file is still read.
            let mut source = open(&[cut, memory(name, bytes.clone())], skipping(spec())).unwrap();
            let texts: Vec<_> = rest(&mut source).unwrap().into_iter().map(|(_, record)| text(record)).collect();
            let (first, second) = texts.split_at(texts.len() - whole.len());
            assert_eq!((second, source.counts().bad), (&whole[..], 1), "{keep}");
            assert_eq!(first, &whole[..first.len()]);
        }
    }
}

#[test]
fn short_texts_are_counted() {
    let lines = "{\"text\": \"\u{e9}\u{e9}\"}\n{\"text\": \"abc\"}\n{\"text\": \"\"}\n";
    let (texts, source) = texts_of(memory("a.jsonl", lines), SourceSpec { min_characters: 3, ..spec() }).unwrap();
    assert_eq!((texts, source.counts().short), (vec!["abc".to_string()], 2));
}

#[test]
fn books_are_what_a_tree_of_each_line_gives() {
    let Some(path) = shared("data/text/books.jsonl.zst") else { return };
    let mut source = open(&local_files(&path.display().to_string()).unwrap(), spec()).unwrap();
    let decoded = zstd::decode_all(std::fs::File::open(&path).unwrap()).unwrap();
    let mut count = 0;
    let mut middle = None;
    for line in decoded.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let tree: serde_json::Value = serde_json::from_slice(line).unwrap();
        let (cursor, record) = source.next().unwrap().unwrap();
        assert_eq!(Some(text(record).as_str()), tree["text"].as_str(), "{cursor:?}");
        count += 1;
        if count == 2800 {
            middle = Some(source.cursor());
        }
    }
    assert_eq!((source.next().unwrap(), count), (None, 5602));
    source.seek(&middle.unwrap()).unwrap();
    assert_eq!(rest(&mut source).unwrap().len(), 2802);
}
