//! Checkpoints of other programs: folders of safetensors as Hugging Face transformers writes them.
//!
//! `names` is the one table of their tensors and of where each lies in a model here, for both directions; `tensor_files`
//! reads their files and trusts nothing in them; `import` makes a run folder of them, `export` makes them of a checkpoint,
//! `shards` writes their files and `tokenizer` that of a tokenizer without one. What a config.json means stands in TypeScript, which turns it into a plan and back.

mod export;
mod import;
mod names;
mod shards;
mod tensor_files;
mod tokenizer;

pub use export::{ExportReport, ExportRequest};
pub use import::{ImportReport, ImportRequest};
pub use names::{Family, Form, Name, names};
pub use shards::ExportType;
pub use tensor_files::{Dtype, TensorFiles, TensorInfo};
pub use tokenizer::tokenizer_json;
