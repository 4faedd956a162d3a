//! What is refused of files: the error names the file and says what it is.

use crate::common::{Raw, file, models, tensors, with_header, write_index, write_shards, write_single};
use crate::micro::unwatched;
use bowline::error::Error;
use bowline::interop::{Family, Form, TensorFiles};
use bowline::layout::Layout;
use serde_json::json;
use std::path::Path;

fn two() -> [Raw; 2] {
    ["a", "b"].map(|name| Raw { name: name.into(), dtype: "F32", shape: vec![2, 3], bytes: vec![0; 24] })
}

/// The reason why a folder is refused; the error must name `file` in it.
fn refused(folder: &Path, file: &str) -> String {
    match TensorFiles::open(folder) {
        Err(Error::Checkpoint { path, reason }) => {
            assert_eq!(path, if file.is_empty() { folder.to_path_buf() } else { folder.join(file) });
            reason
        }
        other => panic!("wanted an error about {file}, got {other:?}"),
    }
}

/// The reason why a single file is refused.
fn refused_file(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("temp");
    std::fs::write(folder.path().join("model.safetensors"), bytes).expect("written");
    refused(folder.path(), "model.safetensors")
}

#[test]
fn headers_that_do_not_describe_their_file() {
    let (whole, header) = file(&two());
    let entry = |from: usize, to: usize| json!({"dtype": "F32", "shape": [2, 3], "data_offsets": [from, to]});
    let of = |header: serde_json::Value| with_header(&header.to_string(), vec![0; 48]);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", vec![], "it is truncated: its header is not whole"),
        ("half a length", whole[..5].to_vec(), "it is truncated: its header is not whole"),
        ("half a header", whole[..8 + header / 2].to_vec(), "it says that its header has"),
        ("a huge header", [&u64::MAX.to_le_bytes()[..], &whole[8..]].concat(), "it says that its header has 18446744073709551615 bytes"),
        ("no tensors' bytes", whole[..8 + header].to_vec(), "its header says that 48 bytes follow, 0 do"),
        ("a byte less", whole[..whole.len() - 1].to_vec(), "its header says that 48 bytes follow, 47 do"),
        ("a byte more", [&whole[..], &[0]].concat(), "its header says that 48 bytes follow, 49 do"),
        ("a header that is not JSON", with_header("{\"a\": ", vec![]), "its header is not that of safetensors"),
        ("tensors that overlap", of(json!({"a": entry(0, 24), "b": entry(12, 36)})), "invalid offset for tensor `b`"),
        ("tensors in one place", of(json!({"a": entry(0, 24), "b": entry(0, 24)})), "invalid offset for tensor"),
        ("a hole", of(json!({"a": entry(0, 24), "b": entry(28, 52)})), "invalid offset for tensor `b`"),
        ("offsets backwards", of(json!({"a": entry(24, 0)})), "invalid offset for tensor `a`"),
        ("fewer bytes than the shape", of(json!({"a": entry(0, 20)})), "invalid shape, data type, or offset"),
        (
            "a shape that overflows",
            of(json!({"a": {"dtype": "F32", "shape": [u64::MAX, u64::MAX], "data_offsets": [0, 24]}})),
            "its header is not that of safetensors",
        ),
        (
            "an unknown type",
            of(json!({"a": {"dtype": "F99", "shape": [2, 3], "data_offsets": [0, 24]}})),
            "its header is not that of safetensors",
        ),
    ];
    for (what, bytes, says) in cases {
        let reason = refused_file(&bytes);
        assert!(reason.contains(says) && !reason.contains('\n'), "{what}: {reason}");
    }
}

#[test]
fn folders_and_indexes_that_do_not_fit() {
    let folder = tempfile::tempdir().expect("temp");
    let at = folder.path();
    let index = "model.safetensors.index.json";
    assert_eq!(refused(at, ""), "it has neither model.safetensors nor model.safetensors.index.json");
    let good = write_shards(at, &two());
    let (first, second) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    assert_eq!(TensorFiles::open(at).expect("good").names().collect::<Vec<_>>(), ["a", "b"]);

    std::fs::rename(at.join(second), at.join("aside")).expect("renamed");
    assert_eq!(refused(at, index), format!("it names the file {second:?}, which is missing"));
    std::fs::rename(at.join("aside"), at.join(second)).expect("renamed");

    let says = |map: serde_json::Value| {
        write_index(at, &json!({ "weight_map": map }));
        refused(at, index)
    };
    assert_eq!(says(json!({"a": first, "b": first})), format!("it says that b is in {first}, which does not have it"));
    assert_eq!(says(json!({"a": first, "b": second, "c": second})), format!("it says that c is in {second}, which does not have it"));
    assert_eq!(says(json!({"a": "../secret"})), "it names the file \"../secret\", wanted a name without a folder");
    assert_eq!(says(json!({"a": ".."})), "it names the file \"..\", wanted a name without a folder");
    assert!(says(json!(3)).contains("it is not an index"));
    std::fs::write(at.join(index), "{").expect("written");
    assert!(refused(at, index).contains("it is not an index"));
    std::fs::write(at.join(first), file(&two()).0).expect("written");
    write_index(at, &good);
    assert!(refused(at, second).contains("its tensor b is in"));
    std::fs::remove_file(at.join(second)).expect("removed");
    assert!(says(json!({"a": first})).contains("it does not name the tensor b"));
    // A single file is what is loaded, whatever lies beside it.
    write_single(at, &two());
    assert!(TensorFiles::open(at).is_ok());
}

#[test]
fn the_types_of_numbers() {
    let (_, plan) = &models()[0];
    let layout = Layout::new(plan).expect("checked");
    let read = |dtype| {
        let folder = tempfile::tempdir().expect("temp");
        let raws = tensors(Family::Olmoe, Form::Fused, &layout, dtype);
        write_single(folder.path(), &raws);
        let files = TensorFiles::open(folder.path()).expect("good");
        let values = raws.iter().map(|raw| {
            let mut out = vec![f32::NAN; raw.shape.iter().product()];
            unwatched(|watch| files.read(files.info(&raw.name).expect("there"), &mut out, watch)).expect("read");
            out
        });
        values.collect::<Vec<_>>()
    };
    let want = read("F32");
    // The values are bf16; F16 has more bits of the mantissa, and holds those of at least 2^-14 and below 2 exactly.
    assert!(want == read("BF16"));
    for (want, got) in want.iter().flatten().zip(read("F16").iter().flatten()) {
        assert!((want - got).abs() <= 2f32.powi(-25), "{got} in place of {want}");
    }
}

#[test]
fn numbers_of_half_precision_are_those_of_ieee() {
    // One of each kind: 1, -2, the largest, the smallest normal, the smallest subnormal, zeros.
    let halves: [(u16, f32); 7] = [
        (0x3c00, 1.0),
        (0xc000, -2.0),
        (0x7bff, 65504.0),
        (0x0400, 2f32.powi(-14)),
        (0x0001, 2f32.powi(-24)),
        (0x0000, 0.0),
        (0x8000, -0.0),
    ];
    let brains: [(u16, f32); 4] = [(0x3f80, 1.0), (0xc000, -2.0), (0x7f7f, 3.3895314e38), (0x0001, 9.1835e-41)];
    for (dtype, cases) in [("F16", &halves[..]), ("BF16", &brains[..])] {
        let bytes = cases.iter().flat_map(|(bits, _)| bits.to_le_bytes()).collect();
        let folder = tempfile::tempdir().expect("temp");
        write_single(folder.path(), &[Raw { name: "a".into(), dtype, shape: vec![cases.len()], bytes }]);
        let files = TensorFiles::open(folder.path()).expect("good");
        let mut out = vec![f32::NAN; cases.len()];
        unwatched(|watch| files.read(files.info("a").expect("there"), &mut out, watch)).expect("read");
        for (got, (_, want)) in out.iter().zip(cases) {
            assert_eq!(got.to_bits(), want.to_bits(), "{dtype}: {got} in place of {want}");
        }
    }
}
