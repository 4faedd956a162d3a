//! Checkpoints of other programs: folders of safetensors as Hugging Face transformers writes them.
//!
//! `names` is the one table of their tensors and of where each lies in a model here, for both directions; `tensor_files`
//! reads their files and trusts nothing in them; `import` makes a run folder of them. What a config.json means stands in
//! TypeScript, which turns it into a plan.

mod import;
mod names;
mod tensor_files;

pub use import::{ImportReport, ImportRequest};
pub use names::{Family, Form, Name, names};
pub use tensor_files::{Dtype, TensorFiles, TensorInfo};
