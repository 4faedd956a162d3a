//! Core of Bowline. For now the ops, the data pipeline, checkpoints and their errors.

pub mod backend;
pub mod checkpoint;
pub mod cpu;
pub mod data;
pub mod error;
pub mod files;
