//! Times a call and prints its line.

use std::time::Instant;

use bowline::error::Result;
use serde_json::json;

use super::sizes::Sizes;

/// Failures of a benchmark, whatever they are.
pub type Outcome<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Seconds and calls at least.
const SECONDS: f64 = 0.3;
const CALLS: usize = 3;

/// What bounds a call: nominal floating-point operations, or bytes of its operands, each counted once.
pub enum Work {
    Flops(usize),
    Floats(usize),
}

/// Calls `op` once to warm up and then until time is up; the fastest call, in seconds. A call is so short that on a busy
/// machine it runs undisturbed or not at all, and the probe that it is compared with is the fastest of some, too.
fn fastest(mut op: impl FnMut() -> Result<()>) -> Result<f64> {
    op()?;
    let (begin, mut best, mut calls) = (Instant::now(), f64::INFINITY, 0);
    while calls < CALLS || begin.elapsed().as_secs_f64() < SECONDS {
        let start = Instant::now();
        op()?;
        best = best.min(start.elapsed().as_secs_f64());
        calls += 1;
    }
    Ok(best)
}

/// Times an op and prints its line.
pub fn time(sizes: &Sizes, op: &str, shape: String, work: Work, call: impl FnMut() -> Result<()>) -> Outcome {
    let seconds = fastest(call)?;
    let per_ns = |count: usize| count as f64 / seconds / 1e9;
    let (gflops, gb_per_s) = match work {
        Work::Flops(count) => (Some(per_ns(count)), None),
        Work::Floats(count) => (None, Some(per_ns(4 * count))),
    };
    let line = json!({
        "op": op, "model": sizes.model, "shape": shape, "ms": seconds * 1e3, "gflops": gflops, "gb_per_s": gb_per_s,
    });
    println!("{line}");
    Ok(())
}
