//! The model and its training: gradients of blocks and of whole models, the law of tied banks, the cache of keys and values,
//! and what makes two runs equal to the bit; on the CPU, and on the emulated GPU what must be the same there.

mod block;
mod common;
mod decoder;
mod devices;
mod gradient;
mod init;
mod memory;
mod metrics;
mod plan;
mod score;
mod score_encode;
mod stream;
mod tied;
mod training;
