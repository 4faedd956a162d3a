//! The CPU backend: f32, multithreaded by fixed pieces, one file per op.

/// The CPU: buffers are vectors, work runs on an own pool of threads.
pub struct Cpu {
    pool: rayon::ThreadPool,
}
