//! What the tests of sources share: files in memory, a specification, and the law of places.

use bowline::data::{Cursor, Format, OnBad, ReadAt, Record, Source, SourceSpec};
use bowline::error::{Error, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// A file in memory.
struct Memory {
    name: String,
    bytes: Vec<u8>,
}

impl ReadAt for Memory {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let bytes = usize::try_from(offset).ok().and_then(|from| self.bytes.get(from..)?.get(..buf.len()));
        buf.copy_from_slice(bytes.ok_or_else(|| Error::data(&self.name, "read outside of the file"))?);
        Ok(())
    }

    fn identity(&self) -> String {
        format!("{:?}", self.bytes)
    }
}

pub fn memory(name: &str, bytes: impl Into<Vec<u8>>) -> Arc<dyn ReadAt> {
    Arc::new(Memory { name: name.into(), bytes: bytes.into() })
}

/// Any format, any length, stop at bad records.
pub fn spec() -> SourceSpec {
    let paths = vec!["in memory".into()];
    SourceSpec { name: "test".into(), paths, column: None, format: Format::Auto, min_characters: 0, on_bad: OnBad::Stop }
}

pub fn column(path: &str) -> SourceSpec {
    SourceSpec { column: Some(path.into()), ..spec() }
}

pub fn skipping(spec: SourceSpec) -> SourceSpec {
    SourceSpec { on_bad: OnBad::Skip, ..spec }
}

pub fn open(files: &[Arc<dyn ReadAt>], spec: SourceSpec) -> Result<Source> {
    Source::open(files.to_vec(), spec)
}

/// Everything from where the source stands.
pub fn rest(source: &mut Source) -> Result<Vec<(Cursor, Record)>> {
    let mut records = Vec::new();
    while let Some(record) = source.next()? {
        records.push(record);
    }
    Ok(records)
}

/// All texts of one file, and the source at its end.
pub fn texts_of(file: Arc<dyn ReadAt>, spec: SourceSpec) -> Result<(Vec<String>, Source)> {
    let mut source = open(&[file], spec)?;
    let texts = rest(&mut source)?.into_iter().map(|(_, record)| text(record)).collect();
    Ok((texts, source))
}

pub fn text(record: Record) -> String {
    match record {
        Record::Text(text) => text,
        Record::Tokens(ids) => panic!("wanted text, got {} tokens", ids.len()),
    }
}

/// The law of places: from the cursor of any record, and from the cursor between any two, reading goes on with exactly
/// what would have come, at the same cursors. Returns all records.
pub fn check_places(files: &[Arc<dyn ReadAt>], spec: &SourceSpec) -> Vec<(Cursor, Record)> {
    let mut source = open(files, spec.clone()).unwrap();
    let mut between = vec![source.cursor()];
    let mut records = Vec::new();
    while let Some(record) = source.next().unwrap() {
        records.push(record);
        between.push(source.cursor());
    }
    assert!(records.is_sorted_by(|a, b| a.0 < b.0), "cursors ascend");
    let mut other = open(files, spec.clone()).unwrap();
    for at in (0..records.len()).rev() {
        for from in [records[at].0, between[at]] {
            other.seek(&from).unwrap();
            assert_eq!(rest(&mut other).unwrap(), records[at..], "from {from:?}");
        }
    }
    other.seek(&source.cursor()).unwrap();
    assert_eq!(other.next().unwrap(), None, "nothing is behind the end");
    records
}

/// A file of the project's larger data, which must be there in CI.
pub fn shared(path: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let path = std::env::var_os("BOWLINE_SHARED").map_or(beside, PathBuf::from).join(path);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var("CI").is_err(), "{} is not there", path.display());
    eprintln!("skip a test of {}: it is not there (BOWLINE_SHARED names its folder)", path.display());
    None
}
