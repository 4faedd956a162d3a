//! Writes tensors as safetensors files: one, or several with an index, each with a header before the numbers.

use crate::checkpoint::begin_file;
use crate::data::Watch;
use crate::error::Result;
use crate::files::write_file;
use half::bf16;
use safetensors::tensor::{Dtype, TensorInfo};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::names::Name;

/// Numbers that are read, turned and written at a time.
const CHUNK: usize = 1 << 18;

/// Types that tensors can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportType {
    F32,
    /// Rounded to the nearest, ties to even.
    Bf16,
}

impl ExportType {
    fn dtype(self) -> Dtype {
        match self {
            ExportType::F32 => Dtype::F32,
            ExportType::Bf16 => Dtype::BF16,
        }
    }

    /// Bytes of a number.
    pub fn width(self) -> u64 {
        match self {
            ExportType::F32 => 4,
            ExportType::Bf16 => 2,
        }
    }

    /// Its name in a config.json.
    pub fn torch_name(self) -> &'static str {
        match self {
            ExportType::F32 => "float32",
            ExportType::Bf16 => "bfloat16",
        }
    }

    /// Overwrites `out` with the bytes of `values`.
    fn encode(self, values: &[f32], out: &mut Vec<u8>) {
        out.clear();
        match self {
            ExportType::F32 => out.extend(values.iter().flat_map(|x| x.to_le_bytes())),
            ExportType::Bf16 => out.extend(values.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes())),
        }
    }
}

/// Overwrites a slice with the values of a tensor, from a place in it on.
pub(super) type ReadValues<'a> = dyn Fn(&Name, usize, &mut [f32], &Watch) -> Result<()> + 'a;

/// Writes `names` into `folder` and returns the names of the files. A file has at most `limit` bytes of numbers, or one
/// tensor.
pub(super) fn write_shards(
    folder: &Path,
    names: &[Name],
    dtype: ExportType,
    limit: u64,
    read: &ReadValues,
    watch: &Watch,
) -> Result<Vec<String>> {
    let parts = split(names, |name| name.size() as u64 * dtype.width(), limit);
    let file_of = |part: usize| match parts.len() {
        1 => "model.safetensors".to_string(),
        count => format!("model-{:05}-of-{count:05}.safetensors", part + 1),
    };
    let total: usize = names.iter().map(Name::size).sum();
    let (mut files, mut map, mut done) = (Vec::new(), BTreeMap::new(), 0);
    for (i, part) in parts.iter().enumerate() {
        let size: usize = part.iter().map(Name::size).sum();
        let watch = watch.part(done as f64 / total as f64, (done + size) as f64 / total as f64);
        write_part(&folder.join(file_of(i)), part, dtype, read, &watch)?;
        done += size;
        map.extend(part.iter().map(|name| (name.name.as_str(), file_of(i))));
        files.push(file_of(i));
    }
    if parts.len() > 1 {
        let index = json!({ "metadata": { "total_size": total as u64 * dtype.width() }, "weight_map": map });
        files.push("model.safetensors.index.json".into());
        write_file(&folder.join("model.safetensors.index.json"), format!("{index:#}\n").as_bytes())?;
    }
    Ok(files)
}

/// Cuts a list into runs of at most `limit` together; what is larger by itself is a run of its own.
fn split<T>(list: &[T], size: impl Fn(&T) -> u64, limit: u64) -> Vec<&[T]> {
    let (mut runs, mut start, mut filled) = (Vec::new(), 0, 0);
    for (at, item) in list.iter().enumerate() {
        if at > start && filled + size(item) > limit {
            runs.push(&list[start..at]);
            (start, filled) = (at, 0);
        }
        filled += size(item);
    }
    runs.push(&list[start..]);
    runs
}

fn write_part(path: &Path, names: &[Name], dtype: ExportType, read: &ReadValues, watch: &Watch) -> Result<()> {
    let mut at = 0;
    let infos = names.iter().map(|name| {
        let from = at;
        at += name.size() * dtype.width() as usize;
        (name.name.clone(), TensorInfo { dtype: dtype.dtype(), shape: name.shape.clone(), data_offsets: (from, at) })
    });
    // Without this note, transformers 4 refuses the file.
    let note = HashMap::from([("format".to_string(), "pt".to_string())]);
    let mut writer = begin_file(path, Some(note), infos.collect())?;
    let total = names.iter().map(Name::size).sum::<usize>().max(1) as f64;
    let (mut values, mut bytes, mut done) = (vec![0.0; CHUNK], Vec::new(), 0);
    for name in names {
        for first in (0..name.size()).step_by(CHUNK) {
            let values = &mut values[..CHUNK.min(name.size() - first)];
            let from = done as f64 / total;
            done += values.len();
            read(name, first, values, &watch.part(from, done as f64 / total))?;
            dtype.encode(values, &mut bytes);
            writer.write(&bytes)?;
        }
    }
    writer.finish()?;
    watch.report(1.0)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn runs_are_as_long_as_the_limit_lets_them_and_keep_the_order() {
        let runs = |sizes: &[u64], limit| split(sizes, |&size| size, limit).into_iter().map(<[u64]>::to_vec).collect::<Vec<_>>();
        assert_eq!(runs(&[3, 3, 4, 11, 1, 9, 1], 10), [vec![3, 3, 4], vec![11], vec![1, 9], vec![1]]);
        assert_eq!(runs(&[5], 1), [[5]]);
        assert_eq!(runs(&[5, 5], 10), [[5, 5]]);
    }
}
