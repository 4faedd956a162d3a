//! What stands behind the C functions of `lib.rs`, without pointers.

pub mod calls;
mod device;
pub mod handles;
pub mod machine;
pub mod stats;
pub mod status;
pub mod texts;
pub mod trainers;
