//! The safetensors files of a folder: one, or several named by an index. Headers are read and checked as a whole before any
//! tensor is; tensors are read where they are wanted, as f32, a piece at a time.

use crate::data::Watch;
use crate::error::{Error, Result};
use half::{bf16, f16};
use safetensors::tensor::Metadata;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

pub use safetensors::tensor::Dtype;

const MODEL_FILE: &str = "model.safetensors";
const INDEX_FILE: &str = "model.safetensors.index.json";

/// Longest header that is read, in bytes: that of the safetensors crate.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// One tensor of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Which of the files it lies in, and at what byte.
    file: usize,
    start: u64,
}

/// The tensors of a folder by their names.
#[derive(Debug)]
pub struct TensorFiles {
    paths: Vec<PathBuf>,
    tensors: BTreeMap<String, TensorInfo>,
}

/// `model.safetensors.index.json`: the file of each tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl TensorFiles {
    /// Reads the headers of `model.safetensors`, or of the files that the index names.
    pub fn open(folder: &Path) -> Result<Self> {
        let (single, index) = (folder.join(MODEL_FILE), folder.join(INDEX_FILE));
        if single.is_file() {
            return Self::read_headers(vec![single]);
        }
        if !index.is_file() {
            return Err(Error::checkpoint(folder, format!("it has neither {MODEL_FILE} nor {INDEX_FILE}")));
        }
        let text = std::fs::read(&index).map_err(|e| Error::file("read", &index, e))?;
        let Index { weight_map } = serde_json::from_slice(&text)
            .map_err(|e| Error::checkpoint(&index, format!("it is not an index of safetensors files: {e}")))?;
        let names: BTreeSet<&String> = weight_map.values().collect();
        if let Some(name) = names.iter().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
            return Err(Error::checkpoint(&index, format!("it names the file {name:?}, wanted a name without a folder")));
        }
        if let Some(name) = names.iter().find(|name| !folder.join(name).is_file()) {
            return Err(Error::checkpoint(&index, format!("it names the file {name:?}, which is missing")));
        }
        let files = Self::read_headers(names.into_iter().map(|name| folder.join(name)).collect())?;
        for (tensor, file) in &weight_map {
            if files.info(tensor).is_none_or(|info| files.paths[info.file] != folder.join(file)) {
                return Err(Error::checkpoint(&index, format!("it says that {tensor} is in {file}, which does not have it")));
            }
        }
        if let Some(name) = files.tensors.keys().find(|name| !weight_map.contains_key(*name)) {
            return Err(Error::checkpoint(&index, format!("it does not name the tensor {name} that is in one of its files")));
        }
        Ok(files)
    }

    fn read_headers(paths: Vec<PathBuf>) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for (file, path) in paths.iter().enumerate() {
            let (metadata, body) = read_header(path)?;
            for (name, info) in metadata.tensors() {
                let start = body + info.data_offsets.0 as u64;
                let info = TensorInfo { dtype: info.dtype, shape: info.shape.clone(), file, start };
                if let Some(other) = tensors.insert(name.clone(), info) {
                    let other = paths[other.file].display();
                    return Err(Error::checkpoint(path, format!("its tensor {name} is in {other}, too")));
                }
            }
        }
        Ok(TensorFiles { paths, tensors })
    }

    /// The names of all tensors, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// What is known of a tensor.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    /// The file that a tensor lies in.
    pub fn path(&self, info: &TensorInfo) -> &Path {
        &self.paths[info.file]
    }

    /// Overwrites `out`, which has the size of the tensor, with its values as f32. Tensors of other types than F32, BF16 and
    /// F16 are refused.
    pub fn read(&self, info: &TensorInfo, out: &mut [f32], watch: &Watch) -> Result<()> {
        self.read_from(info, 0, out, watch)
    }

    /// The same of a part of the tensor: as many values as `out` has, from the value `first` on.
    pub fn read_from(&self, info: &TensorInfo, first: usize, out: &mut [f32], watch: &Watch) -> Result<()> {
        let path = self.path(info);
        let width = width(info.dtype).ok_or_else(|| Error::checkpoint(path, format!("it has a tensor in {:?}", info.dtype)))?;
        let failed = |e| Error::file("read", path, e);
        let mut file = File::open(path).map_err(failed)?;
        file.seek(SeekFrom::Start(info.start + (first * width) as u64)).map_err(failed)?;
        let mut bytes = vec![0; CHUNK_BYTES.min(out.len() * width)];
        let count = out.len().max(1) as f64;
        for (i, values) in out.chunks_mut(CHUNK_BYTES / width).enumerate() {
            watch.report((i * (CHUNK_BYTES / width)) as f64 / count)?;
            let bytes = &mut bytes[..values.len() * width];
            file.read_exact(bytes).map_err(failed)?;
            decode(info.dtype, bytes, values);
        }
        watch.report(1.0)
    }
}

/// Bytes of a number, of the types that can be read.
pub(super) fn width(dtype: Dtype) -> Option<usize> {
    match dtype {
        Dtype::F32 => Some(4),
        Dtype::BF16 | Dtype::F16 => Some(2),
        _ => None,
    }
}

fn decode(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    let pairs = bytes.as_chunks().0.iter();
    match dtype {
        Dtype::BF16 => out.iter_mut().zip(pairs).for_each(|(x, &pair)| *x = bf16::from_le_bytes(pair).to_f32()),
        Dtype::F16 => out.iter_mut().zip(pairs).for_each(|(x, &pair)| *x = f16::from_le_bytes(pair).to_f32()),
        _ => out.iter_mut().zip(bytes.as_chunks().0).for_each(|(x, &four)| *x = f32::from_le_bytes(four)),
    }
}

/// The header of a file, found to describe all of its bytes, and where the tensors begin.
fn read_header(path: &Path) -> Result<(Metadata, u64)> {
    let fault = |reason: String| Error::checkpoint(path, reason);
    let cut = |e: std::io::Error| match e.kind() {
        ErrorKind::UnexpectedEof => fault("it is truncated: its header is not whole".into()),
        _ => Error::file("read", path, e),
    };
    let mut file = File::open(path).map_err(cut)?;
    let size = file.metadata().map_err(cut)?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(cut)?;
    let length = u64::from_le_bytes(length);
    // A wrong length must not become a huge allocation.
    if length > MAX_HEADER_BYTES || length > size - 8 {
        return Err(fault(format!("it says that its header has {length} bytes, the file has {size}")));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(cut)?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|e| fault(format!("its header is not that of safetensors: {e}")))?;
    let (body, wanted) = (8 + length, metadata.data_len() as u64);
    if size - body != wanted {
        return Err(fault(format!("its header says that {wanted} bytes follow, {} do", size - body)));
    }
    Ok((metadata, body))
}
