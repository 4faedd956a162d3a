//! Checkpoints: a folder with the tensors of the model, those of the optimizer and the state of training, that is either
//! there and whole or not there at all.
//!
//! ```text
//! model.safetensors       every parameter, each bank once
//! optimizer.safetensors   what the optimizer keeps for each
//! tokenizer.json          if the writer had one
//! state.json              step, data position, plan, format, and size and SHA-256 of the other files
//! ```
//!
//! The same content gives the same bytes. `write` makes a folder, `Checkpoint` reads one, `folders` lists and prunes
//! those of a run.

mod difference;
mod folders;
mod read;
mod state;
mod tensors;
mod write;

pub use difference::first_difference;
pub use folders::{folder_name, latest, list, prune};
pub use read::Checkpoint;
pub use state::State;
pub(crate) use tensors::begin_file;
pub use tensors::{Made, TensorMut, TensorRef};
pub use write::{Content, write, write_made};

/// File names in a checkpoint folder.
pub const MODEL_FILE: &str = "model.safetensors";
pub const OPTIMIZER_FILE: &str = "optimizer.safetensors";
pub const TOKENIZER_FILE: &str = "tokenizer.json";
pub const STATE_FILE: &str = "state.json";
