//! Checkpoints of other programs: their names, their files, and what becomes of them.

mod common;
mod export;
mod files;
mod fuzz;
mod import;
#[path = "../model/common.rs"]
#[allow(dead_code)]
mod micro;
mod names;
mod tokenizer;
