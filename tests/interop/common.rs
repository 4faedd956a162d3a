//! Small checkpoints of other programs, written here.

use crate::micro::{MIXED, Micro, OLMOE, QWEN3, centered, rng};
use bowline::interop::{Family, Form, Name, names};
use bowline::layout::Layout;
use bowline::plan::Plan;
use serde_json::{Map, Value, json};
use std::path::Path;

/// A model of each family, with all that the family may have; nothing is shared, as in a checkpoint.
pub fn models() -> [(Family, Plan); 4] {
    let plan = |micro: Micro| Micro { group_size: 1, ..micro }.plan();
    [
        (Family::Olmoe, plan(OLMOE)),
        (Family::Qwen3Moe, plan(Micro { tied_head: true, ..QWEN3 })),
        (Family::Qwen3Moe, plan(MIXED)),
        (Family::Mixtral, plan(Micro { qk_norm: "none", ..QWEN3 })),
    ]
}

/// A tensor of a file: its bytes are little-endian numbers of `dtype`.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw {
    pub name: String,
    pub dtype: &'static str,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// Values of all parameters of a layout; each is a bf16, so that every type of file can hold it.
pub fn weights(layout: &Layout) -> Vec<Vec<f32>> {
    let mut rng = rng(4);
    let mut value = || half::bf16::from_f32(centered(&mut rng)).to_f32();
    layout.params.iter().map(|p| (0..p.size()).map(|_| value()).collect()).collect()
}

fn encode(values: &[f32], dtype: &str) -> Vec<u8> {
    match dtype {
        "BF16" => values.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect(),
        "F16" => values.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

/// The tensors of a model as the other program has them.
pub fn tensors(family: Family, form: Form, layout: &Layout, dtype: &'static str) -> Vec<Raw> {
    let weights = weights(layout);
    let raw = |Name { name, shape, param, start }: Name| {
        let size: usize = shape.iter().product();
        Raw { name, bytes: encode(&weights[param][start..start + size], dtype), shape, dtype }
    };
    names(family, form, layout).map(raw).collect()
}

/// The bytes of a safetensors file, and the length of its header.
pub fn file(tensors: &[Raw]) -> (Vec<u8>, usize) {
    let mut header = Map::from_iter([("__metadata__".to_string(), json!({"format": "pt"}))]);
    let mut at = 0;
    for tensor in tensors {
        let end = at + tensor.bytes.len();
        header.insert(tensor.name.clone(), json!({"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [at, end]}));
        at = end;
    }
    let header = Value::Object(header).to_string();
    let bytes = with_header(&header, tensors.iter().flat_map(|tensor| tensor.bytes.iter().copied()).collect());
    (bytes, header.len())
}

/// A file of a header and a body.
pub fn with_header(header: &str, body: Vec<u8>) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &body].concat()
}

/// Writes `model.safetensors` into a folder.
pub fn write_single(folder: &Path, tensors: &[Raw]) {
    std::fs::write(folder.join("model.safetensors"), file(tensors).0).expect("written");
}

/// Writes two files and their index into a folder; returns the index.
pub fn write_shards(folder: &Path, tensors: &[Raw]) -> Value {
    let mut map = Map::new();
    let (first, second) = tensors.split_at(tensors.len() / 2);
    for (n, part) in [(1, first), (2, second)] {
        let name = format!("model-0000{n}-of-00002.safetensors");
        std::fs::write(folder.join(&name), file(part).0).expect("written");
        map.extend(part.iter().map(|tensor| (tensor.name.clone(), json!(name))));
    }
    let index = json!({"metadata": {"total_size": 1}, "weight_map": map});
    write_index(folder, &index);
    index
}

pub fn write_index(folder: &Path, index: &Value) {
    std::fs::write(folder.join("model.safetensors.index.json"), index.to_string()).expect("written");
}
