//! Export: the model of a checkpoint becomes a folder that Hugging Face transformers loads. Everything is checked before
//! anything is written; the folder is whole or not there; never more than a few megabytes of numbers are in memory.

use super::names::{Family, Form, Name, names};
use super::shards::{ExportType, write_shards};
use super::tensor_files::TensorFiles;
use super::tokenizer::tokenizer_json;
use crate::checkpoint::{Checkpoint, TOKENIZER_FILE};
use crate::data::{Builtin, Tokenizer, Watch};
use crate::error::{Error, Result};
use crate::files::{TempFolder, require_new, write_file};
use crate::layout::Layout;
use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The class of the compact form, beside the tensors that it reads.
const PROGRAM: [(&str, &str); 3] = [
    ("configuration_bowline.py", include_str!("transformers/configuration_bowline.py")),
    ("modules_bowline.py", include_str!("transformers/modules_bowline.py")),
    ("modeling_bowline.py", include_str!("transformers/modeling_bowline.py")),
];

/// What to export.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportRequest {
    /// Folder of the checkpoint.
    pub checkpoint: PathBuf,
    /// Whose names the tensors get: a matrix for each expert and copies for each site, or the compact form.
    pub family: Family,
    pub dtype: ExportType,
    /// Most bytes of numbers in a file.
    pub shard_bytes: u64,
    /// What config.json says of the model; the type and the tokenizer's ids are added.
    pub config: Map<String, Value>,
    /// The folder to make.
    pub out: PathBuf,
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportReport {
    pub tensors: usize,
    /// Numbers in them.
    pub parameters: usize,
    /// Bytes of those.
    pub bytes: u64,
    /// Steps that the model was trained.
    pub step: u64,
    /// Names of the files.
    pub files: Vec<String>,
    /// Whether a tokenizer is among them.
    pub has_tokenizer: bool,
}

/// The tokenizer of a checkpoint.
struct Words {
    /// Content of its tokenizer.json.
    json: Vec<u8>,
    separator: String,
    separator_id: u32,
}

/// Keys whose values are fractions: version 5 takes no integer for them.
const FRACTIONS: [&str; 3] = ["clip_qkv", "rms_norm_eps", "rope_theta"];

impl ExportRequest {
    /// Makes the folder; it is whole or not there.
    pub fn run(&self, watch: &Watch) -> Result<ExportReport> {
        require_new(&self.out, "export to")?;
        let checkpoint = Checkpoint::open(&self.checkpoint)?;
        let plan = Plan::parse(checkpoint.plan())?;
        let layout = Layout::new(&plan)?;
        let names: Vec<Name> = names(self.family, Form::PerExpert, &layout).collect();
        self.require_all(&layout, &names)?;
        let words = words(&checkpoint, &plan)?;
        checkpoint.verify_model(&watch.part(0.0, 0.3))?;
        let source = TensorFiles::open(&self.checkpoint)?;

        let temp = TempFolder::beside(&self.out)?;
        let read = |name: &Name, first: usize, out: &mut [f32], watch: &Watch| read_part(&source, &layout, name, first, out, watch);
        let mut files = write_shards(temp.path(), &names, self.dtype, self.shard_bytes, &read, &watch.part(0.3, 1.0))?;
        for (name, content) in self.texts(&plan, words.as_ref()) {
            write_file(&temp.path().join(&name), &content)?;
            files.push(name);
        }
        require_new(&self.out, "export to")?;
        temp.commit()?;
        files.sort();
        let parameters: usize = names.iter().map(Name::size).sum();
        Ok(ExportReport {
            tensors: names.len(),
            parameters,
            bytes: parameters as u64 * self.dtype.width(),
            step: checkpoint.state().step,
            has_tokenizer: words.is_some(),
            files,
        })
    }

    /// Every number of the model has a place in the tensors that are written.
    fn require_all(&self, layout: &Layout, names: &[Name]) -> Result<()> {
        let mut sizes = vec![0; layout.params.len()];
        let mut seen = BTreeSet::new();
        for name in names.iter().filter(|name| seen.insert((name.param, name.start))) {
            sizes[name.param] += name.size();
        }
        match layout.params.iter().zip(sizes).find(|(param, size)| param.size() != *size) {
            None => Ok(()),
            Some((param, _)) => {
                let reason = format!("its {} has no place in a model of transformers", param.name);
                Err(Error::Argument(format!("Cannot export {}: {reason}", self.checkpoint.display())))
            }
        }
    }

    /// The small files: name and content.
    fn texts(&self, plan: &Plan, words: Option<&Words>) -> Vec<(String, Vec<u8>)> {
        let id = words.map(|words| words.separator_id);
        let mut config = self.config.clone();
        for key in FRACTIONS {
            if let Some(value) = config.get_mut(key).filter(|value| value.is_number()) {
                *value = json!(value.as_f64());
            }
        }
        // Version 4 reads the older key of the type, and version 5 either.
        let dtype = self.dtype.torch_name();
        for (key, value) in
            [("bos_token_id", json!(id)), ("eos_token_id", json!(id)), ("dtype", json!(dtype)), ("torch_dtype", json!(dtype))]
        {
            config.insert(key.into(), value);
        }
        let mut texts = vec![("config.json".to_string(), json_file(&Value::Object(config)))];
        if self.family == Family::Bowline {
            texts.extend(PROGRAM.map(|(name, text)| (name.to_string(), text.as_bytes().to_vec())));
        }
        if let Some(Words { json, separator, .. }) = words {
            let generation = json!({ "bos_token_id": id, "eos_token_id": id, "pad_token_id": id });
            let tokenizer = json!({
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": separator,
                "eos_token": separator,
                "pad_token": separator,
                "clean_up_tokenization_spaces": false,
                // Version 4 would add token types, which the models do not take.
                "model_input_names": ["input_ids", "attention_mask"],
                "model_max_length": plan.model.max_seq_len,
            });
            texts.extend([
                ("generation_config.json".into(), json_file(&generation)),
                (TOKENIZER_FILE.into(), json.clone()),
                ("tokenizer_config.json".into(), json_file(&tokenizer)),
            ]);
        }
        texts
    }
}

fn json_file(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

fn words(checkpoint: &Checkpoint, plan: &Plan) -> Result<Option<Words>> {
    let Some(json) = checkpoint.read_tokenizer()? else { return Ok(None) };
    let path = checkpoint.folder().join(TOKENIZER_FILE);
    let separator = plan.data.separator.clone();
    let separator_id = Tokenizer::from_json(json.clone(), &separator, &path.display().to_string())?.separator();
    let json = Builtin::read(&json).map_or(json, tokenizer_json);
    Ok(Some(Words { json, separator, separator_id }))
}

/// Overwrites `out` with values of a tensor from `first` on; numbers that are not finite are refused.
fn read_part(source: &TensorFiles, layout: &Layout, name: &Name, first: usize, out: &mut [f32], watch: &Watch) -> Result<()> {
    let param = &layout.params[name.param].name;
    let missing = |folder: &Path| Error::checkpoint(folder, format!("it has no tensor {param}, which its plan has"));
    let info = source.info(param).ok_or_else(|| missing(Path::new("model.safetensors")))?;
    source.read_from(info, name.start + first, out, watch)?;
    if out.iter().all(|x| x.is_finite()) {
        return Ok(());
    }
    Err(Error::checkpoint(source.path(info), format!("its tensor {param} has a value that is not finite")))
}
