//! What training on the CPU really takes: the peak of a process that trains, against its plan, and what a step allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bowline::comm::Place;
use bowline::cpu::Cpu;
use bowline::memory::{MemoryPlan, Target};
use bowline::plan::Plan;
use bowline::train::Trainer;
use serde_json::{Value, json};

use crate::common::*;

/// Told to the process that measures itself: what to do.
const TASK: &str = "BOWLINE_TEST_HELD";
const THREADS: usize = 2;

/// Counts what is asked of the system's allocator.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static BYTES: AtomicU64 = AtomicU64::new(0);
static LARGEST: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicU64 = AtomicU64::new(0);

fn count(size: usize) {
    BYTES.fetch_add(size as u64, Ordering::Relaxed);
    LARGEST.fetch_max(size as u64, Ordering::Relaxed);
    LIVE.fetch_add(size as u64, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator with the caller's arguments, whose contract is the same.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: see above.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: see above.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        LIVE.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: see above.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: see above.
        unsafe { System.dealloc(at, layout) }
    }
}

/// A model of some hundred MB: every part of the plan has a few percent of it at least, but the cache, which is not for training.
fn large(recompute: Recompute) -> (Micro, Plan) {
    let micro = Micro { layers: 6, experts: 16, top_k: 4, heads: 4, kv_heads: 4, batch: 4, seq_len: 256, recompute, ..OLMOE };
    let sizes = json!({"V": 40_000, "D": 256, "P": 64, "F": 256});
    let mut plan = micro.json();
    for bank in plan["banks"].as_array_mut().expect("banks") {
        let shape = bank["shape"].as_object_mut().expect("a shape");
        shape.iter_mut().filter(|(letter, _)| sizes.get(letter).is_some()).for_each(|(letter, size)| *size = sizes[letter].clone());
    }
    for (key, value) in [("vocab", &sizes["V"]), ("width", &sizes["D"]), ("maxSeqLen", &json!(256))] {
        plan["model"][key] = value.clone();
    }
    (micro, Plan::parse(&plan.to_string()).expect("a valid plan"))
}

/// The most that this process held so far.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    1024 * line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("a number of kB")
}

/// What a process measured of itself.
fn measured(task: &str) -> Value {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let output = command
        .args(["--exact", "held::a_process_that_measures_itself", "--ignored", "--nocapture"])
        .env(TASK, task)
        .output()
        .expect("started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find_map(|line| line.find('{').map(|at| &line[at..])).unwrap_or_else(|| panic!("no measurement in {text}"));
    serde_json::from_str(line).expect("JSON")
}

/// Does what it is told to by the tests below.
#[test]
#[ignore = "run by the tests below"]
fn a_process_that_measures_itself() {
    let recompute = match std::env::var(TASK).as_deref() {
        Err(_) => return,
        Ok("idle") => {
            // A model of some kB: what the program and its threads take by themselves.
            let mut trainer = Trainer::new(Cpu::new(THREADS).expect("threads"), OLMOE.plan()).expect("memory");
            unwatched(|w| trainer.step_tokens(&OLMOE.windows(1, OLMOE.batch), w)).expect("step");
            return println!("{}", json!({"peak": peak_bytes()}));
        }
        Ok("experts") => Recompute::Experts,
        Ok("sites") => Recompute::Sites,
        Ok(_) => Recompute::Nothing,
    };
    let (micro, plan) = large(recompute);
    let tokens = micro.windows(1, micro.batch);
    let mut trainer = Trainer::new(Cpu::new(THREADS).expect("threads"), plan).expect("memory");
    let mut step = || unwatched(|w| trainer.step_tokens(&tokens, w)).expect("step");
    step();
    let before = [BYTES.swap(0, Ordering::Relaxed), LARGEST.swap(0, Ordering::Relaxed), LIVE.load(Ordering::Relaxed)];
    step();
    let [bytes, largest, live] = [&BYTES, &LARGEST, &LIVE].map(|count| count.load(Ordering::Relaxed));
    println!("{}", json!({"peak": peak_bytes(), "bytes": bytes, "largest": largest, "grown": live as i64 - before[2] as i64}));
}

/// What processes measured that train, each with something else computed again.
#[cfg(target_os = "linux")]
fn trained() -> &'static [(Recompute, Value)] {
    static TRAINED: OnceLock<Vec<(Recompute, Value)>> = OnceLock::new();
    let tasks = [("nothing", Recompute::Nothing), ("experts", Recompute::Experts), ("sites", Recompute::Sites)];
    TRAINED.get_or_init(|| tasks.map(|(task, recompute)| (recompute, measured(task))).to_vec())
}

#[test]
#[cfg(target_os = "linux")]
fn training_takes_what_was_planned() {
    let idle = measured("idle")["peak"].as_u64().expect("bytes");
    for (recompute, child) in trained() {
        let plan = MemoryPlan::training(&large(*recompute).1, Target::Cpu { threads: THREADS }, &Place::alone()).expect("a plan");
        let took = child["peak"].as_u64().expect("bytes") - idle;
        println!("{recompute:?}: took {took}, planned {}", plan.total);
        assert!(took.abs_diff(plan.total) as f64 <= 0.03 * plan.total as f64, "{recompute:?}: took {took}, planned {plan:?}");
    }
}

/// Below the (T, D) of the model. The gemm crate packs what a product multiplies into memory that it asks for each time, here
/// 516 KiB, by the sizes of the caches; the largest list of tasks of ours has some tens of kB.
#[cfg(target_os = "linux")]
const MOST_AT_ONCE: u64 = 1 << 20;

#[test]
#[cfg(target_os = "linux")]
fn a_step_allocates_no_buffer() {
    for (recompute, child) in trained() {
        let largest = child["largest"].as_u64().expect("bytes");
        assert!(largest > 0 && largest < MOST_AT_ONCE, "{recompute:?}: {largest} bytes at once");
        assert_eq!(child["grown"], 0, "{recompute:?}: a step leaves memory behind");
    }
}
