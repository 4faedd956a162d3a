//! Core of Bowline. For now the ops and their errors.

pub mod backend;
pub mod cpu;
pub mod error;
