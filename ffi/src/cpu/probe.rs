//! What the processor is and can do: its vector instructions, and fused multiply-adds on registers alone. Benchmarks are
//! told as a share of the latter.

use std::time::Instant;

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use super::Cpu;

const ROUNDS: usize = 400_000;

/// The widest vector instructions that the ops use here.
pub fn isa() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            return "avx512";
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return "avx2";
        }
    }
    "portable"
}

/// Accumulators in registers: enough to hide the latency of two units, few enough not to spill.
#[inline(always)]
fn chains<const N: usize>(a: f32, b: f32, fma: bool) -> f32 {
    let mut acc: [f32; N] = std::array::from_fn(|i| i as f32);
    for _ in 0..ROUNDS {
        for x in &mut acc {
            *x = if fma { x.mul_add(a, b) } else { *x * a + b };
        }
    }
    acc.iter().sum()
}

/// Returns the number of lanes that ran, and a value that keeps them from being optimised away.
#[multiversion(targets = "simd")]
fn spin(a: f32, b: f32) -> (usize, f32) {
    let (is_wide, has_fma) = (target_cfg_f!(target_feature = "avx512f"), target_cfg_f!(target_feature = "fma"));
    if is_wide {
        (128, chains::<128>(a, b, true))
    } else if has_fma {
        (80, chains::<80>(a, b, true))
    } else {
        (32, chains::<32>(a, b, false))
    }
}

/// GFLOP/s of `threads` threads together (0: all cores), the best of five.
pub fn gflops(threads: usize) -> f64 {
    let Ok(cpu) = Cpu::new(threads) else { return f64::NAN };
    let run = || {
        let start = Instant::now();
        // Values that the compiler cannot know and that stay finite.
        let lanes = cpu.pool.broadcast(|_| std::hint::black_box(spin(std::hint::black_box(0.999), std::hint::black_box(0.001))).0);
        2.0 * (lanes.iter().sum::<usize>() * ROUNDS) as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    (0..5).map(|_| run()).fold(0.0, f64::max)
}
