//! The model and its training on the CPU: gradients of blocks and of whole models, the law of tied banks, the cache of keys and values,
//! and what makes two runs equal to the bit.

mod block;
mod common;
mod decoder;
mod gradient;
mod init;
mod metrics;
mod plan;
mod score;
mod score_encode;
mod stream;
mod tied;
mod training;
