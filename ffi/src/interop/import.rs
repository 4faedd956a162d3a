//! Import: the tensors of another program's checkpoint, by a plan that describes the same model, become a run folder with a
//! checkpoint at step 0. Everything is checked before anything is written; never more than one parameter is in memory.

use super::names::{EMBEDDING, Family, Form, HEAD, Name, is_fused, names};
use super::tensor_files::{TensorFiles, TensorInfo, width};
use crate::checkpoint::{self, Made, State};
use crate::cpu::Cpu;
use crate::data::{Tokenizer, Watch};
use crate::error::{Error, Result};
use crate::files::{TempFolder, require_new, write_file};
use crate::layout::Layout;
use crate::optim::Optimizer;
use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What to import.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportRequest {
    /// Folder of the safetensors files.
    pub folder: PathBuf,
    pub family: Family,
    /// The plan as JSON.
    pub plan: String,
    /// Whether the folder's tokenizer.json is the run's tokenizer.
    pub has_tokenizer: bool,
    /// The run folder to make.
    pub out: PathBuf,
    /// Other files of the run folder: name and content.
    pub files: BTreeMap<String, String>,
}

/// What was imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportReport {
    /// Tensors read.
    pub tensors: usize,
    /// Numbers in them, each bank once.
    pub parameters: usize,
    pub form: Form,
    /// Types that the numbers had.
    pub dtypes: Vec<String>,
    /// Where the checkpoint is.
    pub checkpoint: PathBuf,
}

/// A tensor of the files and its place in a parameter.
struct Piece<'a> {
    start: usize,
    size: usize,
    name: String,
    info: &'a TensorInfo,
}

impl ImportRequest {
    /// Makes the run folder; it is whole or not there.
    pub fn run(&self, watch: &Watch) -> Result<ImportReport> {
        require_new(&self.out, "import into")?;
        let plan = Plan::parse(&self.plan)?;
        let layout = Layout::new(&plan)?;
        let files = TensorFiles::open(&self.folder)?;
        let (form, pieces) = match_tensors(&self.folder, &files, self.family, &layout)?;
        let tokenizer = self.tokenizer(&plan)?;

        let temp = TempFolder::beside(&self.out)?;
        for (name, content) in &self.files {
            write_file(&temp.path().join(name), content.as_bytes())?;
        }
        if let Some(json) = &tokenizer {
            write_file(&temp.path().join(checkpoint::TOKENIZER_FILE), json)?;
        }
        let below = Path::new("checkpoints").join(checkpoint::folder_name(0));
        self.write_checkpoint(&temp.path().join(&below), &plan, &layout, &files, &pieces, tokenizer.as_deref(), watch)?;
        require_new(&self.out, "import into")?;
        temp.commit()?;
        let dtypes = pieces.iter().flatten().map(|piece| format!("{:?}", piece.info.dtype));
        Ok(ImportReport {
            tensors: pieces.iter().map(Vec::len).sum(),
            parameters: layout.params.iter().map(|p| p.size()).sum(),
            form,
            dtypes: dtypes.collect::<BTreeSet<_>>().into_iter().collect(),
            checkpoint: self.out.join(below),
        })
    }

    /// The content of the folder's tokenizer.json, if wanted: it has the plan's separator, and its ids have embeddings.
    fn tokenizer(&self, plan: &Plan) -> Result<Option<Vec<u8>>> {
        if !self.has_tokenizer {
            return Ok(None);
        }
        let tokenizer = Tokenizer::load(&self.folder.join(checkpoint::TOKENIZER_FILE), &plan.data.separator)?;
        tokenizer.require_vocab(plan.model.vocab)?;
        Ok(Some(tokenizer.json().to_vec()))
    }

    fn write_checkpoint(
        &self,
        folder: &Path,
        plan: &Plan,
        layout: &Layout,
        files: &TensorFiles,
        pieces: &[Vec<Piece>],
        tokenizer: Option<&[u8]>,
        watch: &Watch,
    ) -> Result<()> {
        let model: Vec<_> = layout.params.iter().map(|p| (p.name.as_str(), p.shape.as_slice())).collect();
        let moments = Optimizer::<Cpu>::moments(layout);
        let optimizer: Vec<_> = moments.iter().map(|(name, param, _)| (name.as_str(), layout.params[*param].shape.as_slice())).collect();
        let total: usize = layout.params.iter().map(|p| p.size()).sum();
        let done = Cell::new(0);
        let read = |param: usize, out: &mut [f32]| {
            let (from, to) = (done.get() as f64 / total as f64, (done.get() + out.len()) as f64 / total as f64);
            done.set(done.get() + out.len());
            // The moments, which are zeros, are written in a fraction of the time.
            read_parameter(files, &pieces[param], out, &watch.part(0.7 * from, 0.7 * to))
        };
        let written = Cell::new(0);
        let rest = |_: usize, _: &mut [f32]| {
            written.set(written.get() + 1);
            watch.report(0.7 + 0.3 * written.get() as f64 / optimizer.len() as f64)
        };
        let state = State { step: 0, tokens: 0, loader: None };
        let plan = plan.to_json()?;
        let content = Made { tensors: &model, make: &read };
        checkpoint::write_made(folder, &state, &plan, content, Made { tensors: &optimizer, make: &rest }, tokenizer)
    }
}

/// For each parameter, the tensors that it is made of, in the order of their places. Names and shapes must be those of the
/// plan, no more and no less; wrappers' prefixes do not count.
fn match_tensors<'a>(folder: &Path, files: &'a TensorFiles, family: Family, layout: &Layout) -> Result<(Form, Vec<Vec<Piece<'a>>>)> {
    let mut found = BTreeMap::new();
    for name in files.names() {
        let Some(info) = files.info(name) else { continue };
        if let Some((other, _)) = found.insert(unwrapped(name), (name, info)) {
            return Err(Error::checkpoint(files.path(info), format!("its tensors {other} and {name} have one name without prefixes")));
        }
    }
    let form = if found.keys().any(|name| is_fused(name)) { Form::Fused } else { Form::PerExpert };
    let mut pieces: Vec<Vec<Piece>> = layout.params.iter().map(|_| Vec::new()).collect();
    // A tied head may be written out, too; it must then be the embedding.
    let is_tied = layout.head == layout.embedding && found.contains_key(HEAD);
    let copy = is_tied.then(|| names(family, form, layout).find(|name| name.name == EMBEDDING)).flatten();
    let copy = copy.map(|embedding| Name { name: HEAD.into(), ..embedding });
    for wanted in names(family, form, layout).chain(copy) {
        let Some((name, info)) = found.remove(wanted.name.as_str()) else {
            return Err(Error::checkpoint(folder, format!("it has no tensor {}, wanted one of shape {:?}", wanted.name, wanted.shape)));
        };
        let path = files.path(info);
        if info.shape != wanted.shape {
            return Err(Error::checkpoint(path, format!("its tensor {name} has shape {:?}, wanted {:?}", info.shape, wanted.shape)));
        }
        if width(info.dtype).is_none() {
            return Err(Error::checkpoint(path, format!("its tensor {name} is in {:?}, wanted F32, BF16 or F16", info.dtype)));
        }
        pieces[wanted.param].push(Piece { start: wanted.start, size: wanted.size(), name: name.into(), info });
    }
    if let Some((name, info)) = found.into_values().next() {
        let reason = format!("it has a tensor {name} of shape {:?}, which its config.json does not ask for", info.shape);
        return Err(Error::checkpoint(files.path(info), reason));
    }
    pieces.iter_mut().for_each(|pieces| pieces.sort_by_key(|piece| piece.start));
    Ok((form, pieces))
}

/// A name without the prefixes that wrappers of torch put before it.
fn unwrapped(mut name: &str) -> &str {
    while let Some(rest) = ["module.", "_orig_mod."].iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    name
}

/// Overwrites `out` with a parameter. A tensor whose place has been filled by another must hold the same numbers.
fn read_parameter(files: &TensorFiles, pieces: &[Piece], out: &mut [f32], watch: &Watch) -> Result<()> {
    let mut filled = 0;
    for (i, piece) in pieces.iter().enumerate() {
        let watch = watch.part(i as f64 / pieces.len() as f64, (i + 1) as f64 / pieces.len() as f64);
        let place = &mut out[piece.start..piece.start + piece.size];
        let fault = |what: &str| Error::checkpoint(files.path(piece.info), format!("its tensor {} {what}", piece.name));
        if piece.start < filled {
            let mut again = vec![0.0; piece.size];
            files.read(piece.info, &mut again, &watch)?;
            if again != place {
                return Err(fault("differs from the one that it is tied to"));
            }
            continue;
        }
        files.read(piece.info, place, &watch)?;
        if !place.iter().all(|x| x.is_finite()) {
            return Err(fault("has a value that is not finite"));
        }
        filled = piece.start + piece.size;
    }
    if filled == out.len() { Ok(()) } else { Err(Error::Internal("the table of names leaves a part of a parameter out".into())) }
}
