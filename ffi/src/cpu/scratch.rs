//! Working memory kept between calls: of one thread, and of an op as a whole.

use std::cell::Cell;
use std::sync::Mutex;

thread_local! {
    static SPARE: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Runs `body` with `len` elements of unspecified content that belong to this thread.
pub fn with<R>(len: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buf = SPARE.take();
    let result = body(prefix(&mut buf, len));
    SPARE.set(buf);
    result
}

/// Memory for an op whose tasks share it. It is taken out while in use, so that a second call at the same time makes its own
/// instead of waiting: a thread that waits for tasks may start another op.
#[derive(Default)]
pub struct Shared(Mutex<Vec<f32>>);

impl Shared {
    /// Runs `body` with `len` elements of unspecified content.
    pub fn with<R>(&self, len: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
        let spare = || self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut buf = std::mem::take(&mut *spare());
        let result = body(prefix(&mut buf, len));
        let mut slot = spare();
        if slot.len() < buf.len() {
            *slot = buf;
        }
        result
    }
}

fn prefix(buf: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buf.len() < len {
        buf.resize(len, 0.0);
    }
    &mut buf[..len]
}
