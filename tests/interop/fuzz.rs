//! Bytes that nobody wrote on purpose: files are refused by name or read in full, and nothing panics.

use crate::common::{Raw, file, write_index, write_shards};
use crate::micro::unwatched;
use bowline::interop::TensorFiles;
use proptest::prelude::*;
use serde_json::json;
use std::path::Path;

/// Opens a folder and reads every tensor that it says to have.
fn read(folder: &Path) {
    let files = match TensorFiles::open(folder) {
        Ok(files) => files,
        Err(error) => {
            let says = error.to_string();
            return assert!(says.starts_with("Cannot use the checkpoint ") && !says.contains('\n'), "{says}");
        }
    };
    for name in files.names() {
        let info = files.info(name).expect("named");
        let size = info.shape.iter().product::<usize>();
        assert!(size <= 48, "{name} has more numbers than the file has bytes");
        let mut out = vec![0.0; size];
        if let Err(error) = unwatched(|watch| files.read(info, &mut out, watch)) {
            assert!(error.to_string().contains("it has a tensor in"), "{error}");
        }
    }
}

fn tensors() -> Vec<Raw> {
    let raw = |(i, dtype): (usize, &'static str)| Raw { name: format!("t{i}"), dtype, shape: vec![2, 2], bytes: vec![7; 16] };
    let mut all: Vec<_> = ["F32", "F16", "BF16"].into_iter().enumerate().map(raw).collect();
    all[1].bytes.truncate(8);
    all[2].bytes.truncate(8);
    all
}

/// `valid` with some bytes replaced and perhaps cut.
fn damaged(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = valid.len();
    (prop::collection::vec((0..length, any::<u8>()), 0..6), 0..=length, any::<bool>()).prop_map(move |(changes, cut, is_cut)| {
        let mut bytes = valid.clone();
        changes.iter().for_each(|&(at, byte)| bytes[at] = byte);
        if is_cut {
            bytes.truncate(cut);
        }
        bytes
    })
}

/// A header of tensors with numbers that may lie.
fn headers() -> impl Strategy<Value = String> {
    let number = prop_oneof![0..40u64, any::<u64>()];
    let tensor = (
        prop::sample::select(vec!["F32", "F16", "BF16", "I64", "F4", "BOOL"]),
        prop::collection::vec(number.clone(), 0..4),
        number.clone(),
        number,
    );
    prop::collection::vec(tensor, 0..4).prop_map(|tensors| {
        let entries = tensors
            .into_iter()
            .enumerate()
            .map(|(i, (dtype, shape, from, to))| (format!("t{i}"), json!({"dtype": dtype, "shape": shape, "data_offsets": [from, to]})));
        serde_json::Value::Object(entries.collect()).to_string()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file(bytes in damaged(file(&tensors()).0)) {
        let folder = tempfile::tempdir().expect("temp");
        std::fs::write(folder.path().join("model.safetensors"), bytes).expect("written");
        read(folder.path());
    }

    #[test]
    fn a_header_that_lies(header in headers(), body in 0..48usize) {
        let folder = tempfile::tempdir().expect("temp");
        let bytes = crate::common::with_header(&header, vec![0; body]);
        std::fs::write(folder.path().join("model.safetensors"), bytes).expect("written");
        read(folder.path());
    }

    #[test]
    fn a_damaged_index(bytes in damaged({
        let folder = tempfile::tempdir().expect("temp");
        write_shards(folder.path(), &tensors()).to_string().into_bytes()
    })) {
        let folder = tempfile::tempdir().expect("temp");
        write_shards(folder.path(), &tensors());
        std::fs::write(folder.path().join("model.safetensors.index.json"), bytes).expect("written");
        read(folder.path());
    }

    #[test]
    fn an_index_of_any_names(names in prop::collection::vec(".{0,12}", 0..4)) {
        let folder = tempfile::tempdir().expect("temp");
        write_shards(folder.path(), &tensors());
        let map: serde_json::Map<_, _> = names.into_iter().enumerate().map(|(i, name)| (format!("t{i}"), json!(name))).collect();
        write_index(folder.path(), &json!({ "weight_map": map }));
        read(folder.path());
    }
}
