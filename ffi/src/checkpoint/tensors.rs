//! Tensors to and from a safetensors file, without a second copy of them in memory: written from the slices they live
//! in and read into those. The header is that of the `safetensors` crate; the body is hashed on its way.

use crate::error::{Error, Result};
use crate::files::{FileRecord, HashedWriter, hex};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

// The file holds little-endian numbers and slices are written as they lie in memory.
#[cfg(target_endian = "big")]
compile_error!("checkpoints need a little-endian machine");

/// Bytes that go through the hash at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// A tensor to write.
#[derive(Clone, Copy, Debug)]
pub struct TensorRef<'a> {
    pub name: &'a str,
    pub shape: &'a [usize],
    pub data: &'a [f32],
}

/// A tensor to read into.
#[derive(Debug)]
pub struct TensorMut<'a> {
    pub name: &'a str,
    pub shape: &'a [usize],
    pub data: &'a mut [f32],
}

/// Tensors that are made one after the other while they are written, so that never more than one is in memory.
pub struct Made<'a> {
    /// Name and shape of each.
    pub tensors: &'a [(&'a str, &'a [usize])],
    /// Overwrites the values, all 0, of the tensor of this number.
    pub make: &'a dyn Fn(usize, &mut [f32]) -> Result<()>,
}

/// Writes tensors in the order of their names.
pub(super) fn write_tensors(path: &Path, tensors: &[TensorRef]) -> Result<FileRecord> {
    let shapes: Vec<_> = tensors.iter().map(|tensor| (tensor.name, tensor.shape)).collect();
    write_in_order(path, &shapes, |at, write| write(tensors[at].data))
}

/// The same of tensors that are yet to be made.
pub(super) fn write_made_tensors(path: &Path, Made { tensors, make }: &Made) -> Result<FileRecord> {
    write_in_order(path, tensors, |at, write| {
        let mut values = vec![0.0; tensors[at].1.iter().product()];
        make(at, &mut values)?;
        write(&values)
    })
}

/// Writes the header, and then what `give` gives of each tensor, in the order of their names.
fn write_in_order(
    path: &Path,
    tensors: &[(&str, &[usize])],
    mut give: impl FnMut(usize, &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()>,
) -> Result<FileRecord> {
    let mut sorted: Vec<usize> = (0..tensors.len()).collect();
    sorted.sort_by_key(|&at| tensors[at].0);
    let mut infos = Vec::with_capacity(sorted.len());
    let mut offset = 0;
    for pair in sorted.windows(2) {
        if tensors[pair[0]].0 == tensors[pair[1]].0 {
            return Err(Error::Internal(format!("two tensors of a checkpoint are called {}", tensors[pair[0]].0)));
        }
    }
    for &at in &sorted {
        let (name, shape) = tensors[at];
        let end = offset + shape.iter().product::<usize>() * size_of::<f32>();
        infos.push((name.to_string(), TensorInfo { dtype: Dtype::F32, shape: shape.to_vec(), data_offsets: (offset, end) }));
        offset = end;
    }
    let mut writer = begin_file(path, None, infos)?;
    for at in sorted {
        give(at, &mut |values| bytemuck::cast_slice::<f32, u8>(values).chunks(CHUNK_BYTES).try_for_each(|chunk| writer.write(chunk)))?;
    }
    writer.finish()
}

/// A safetensors file with its header, of the tensors `infos` in the order of their bytes; the numbers are to follow.
pub(crate) fn begin_file(path: &Path, notes: Option<HashMap<String, String>>, infos: Vec<(String, TensorInfo)>) -> Result<HashedWriter> {
    let internal = |e: &dyn std::fmt::Display| Error::Internal(format!("writing {}: {e}", path.display()));
    let metadata = Metadata::new(notes, infos).map_err(|e| internal(&e))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|e| internal(&e))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut writer = HashedWriter::create(path)?;
    writer.write(&(header.len() as u64).to_le_bytes())?;
    writer.write(&header)?;
    Ok(writer)
}

/// Reads a file of which `record` is known into `targets`, which must be all of its tensors. Nothing is written to them
/// before names and shapes were found right; when the file is found damaged only at its end, they hold damaged numbers.
pub(super) fn read_tensors(path: &Path, record: &FileRecord, targets: &mut [TensorMut]) -> Result<()> {
    let file = File::open(path).map_err(|e| Error::checkpoint(path, format!("it cannot be opened: {e}")))?;
    let mut reader = HashedReader { path, file: BufReader::with_capacity(CHUNK_BYTES, file), hash: Sha256::new() };
    let metadata = reader.header(record)?;
    let order = match_names(path, &metadata, targets)?;
    for at in order {
        for chunk in bytemuck::cast_slice_mut::<f32, u8>(targets[at].data).chunks_mut(CHUNK_BYTES) {
            reader.fill(chunk)?;
        }
    }
    let mut rest = Vec::new();
    reader.file.read_to_end(&mut rest).map_err(|e| Error::file("read", path, e))?;
    reader.hash.update(&rest);
    if hex(&reader.hash.finalize()) != record.sha256 {
        return Err(damaged(path));
    }
    Ok(())
}

/// What to say of a file that is not the one that was written.
pub(super) fn damaged(path: &Path) -> Error {
    Error::checkpoint(path, "it is damaged, its SHA-256 is not the one in state.json; use an older checkpoint")
}

struct HashedReader<'a> {
    path: &'a Path,
    file: BufReader<File>,
    hash: Sha256,
}

impl HashedReader<'_> {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        self.file.read_exact(out).map_err(|_| damaged(self.path))?;
        self.hash.update(out);
        Ok(())
    }

    fn header(&mut self, record: &FileRecord) -> Result<Metadata> {
        let mut length = [0; 8];
        self.fill(&mut length)?;
        // A damaged length must not become a huge allocation.
        let length = u64::from_le_bytes(length);
        if length > record.bytes {
            return Err(damaged(self.path));
        }
        let mut header = vec![0; length as usize];
        self.fill(&mut header)?;
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|_| damaged(self.path))?;
        if 8 + length + metadata.data_len() as u64 != record.bytes {
            return Err(damaged(self.path));
        }
        Ok(metadata)
    }
}

/// For each tensor of the file, in its order, the number of the target with its name and shape.
fn match_names(path: &Path, metadata: &Metadata, targets: &[TensorMut]) -> Result<Vec<usize>> {
    let mut numbers: HashMap<&str, usize> = targets.iter().enumerate().map(|(at, target)| (target.name, at)).collect();
    let mut order = Vec::with_capacity(targets.len());
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let Some(at) = numbers.remove(name.as_str()) else {
            return Err(Error::checkpoint(path, format!("it has a tensor {name} that the plan does not have")));
        };
        let target = &targets[at];
        if info.shape != target.shape || info.dtype != Dtype::F32 || size_of_val(target.data) != info.data_offsets.1 - info.data_offsets.0 {
            let is = format!("its tensor {name} has shape {:?} in {:?}", info.shape, info.dtype);
            return Err(Error::checkpoint(path, format!("{is}, the plan wants {:?} in F32", target.shape)));
        }
        order.push(at);
    }
    // The first in the order of the targets, so that the message does not depend on the map.
    match targets.iter().find(|target| numbers.contains_key(target.name)) {
        Some(missing) => Err(Error::checkpoint(path, format!("it has no tensor {}, which the plan has", missing.name))),
        None => Ok(order),
    }
}
