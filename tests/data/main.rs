//! Tests of the data pipeline: from files to windows in order.

mod bigram;
mod cache;
mod common;
mod corpus;
mod loader;
mod pieces;
mod shuffle;
mod sotu;
mod split;
mod text;
mod tokenizer;
