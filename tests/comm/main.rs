//! Several ranks: who owns what, when gradients are complete, where a process stands, and that ranks train as one does.

#[path = "../model/common.rs"]
#[allow(dead_code)] // the tests of the model use the rest
mod common;
mod control;
mod owners;
mod place;
mod threads;
mod training;
