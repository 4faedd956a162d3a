//! Working memory of one thread, kept between calls.

use std::cell::Cell;

thread_local! {
    static SPARE: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Runs `body` with `len` elements of unspecified content.
pub fn with<R>(len: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buf = SPARE.take();
    if buf.len() < len {
        buf.resize(len, 0.0);
    }
    let result = body(&mut buf[..len]);
    SPARE.set(buf);
    result
}
