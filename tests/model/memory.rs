//! The plan of memory: what is really allocated on a device, and what is refused.

use bowline::backend::Meter;
use bowline::comm::Place;
use bowline::cuda::{Cuda, Precision};
use bowline::layout::Layout;
use bowline::memory::{MemoryPlan, Processes, Room, Target, fewest_processes, require_training, smallest_change};
use bowline::model::Model;
use bowline::model::decoder::Decoder;
use bowline::plan::Plan;
use bowline::train::Trainer;

use crate::common::*;

const CPU: Target = Target::Cpu { threads: 2 };

fn variants() -> [Micro; 7] {
    let adamw = Micro { optimizer: "adamw", ..OLMOE };
    let recomputing = Micro { recompute: true, accumulation: 2, ..QWEN3 };
    let long = Micro { batch: 3, seq_len: 60, experts: 9, top_k: 3, ..OLMOE };
    [OLMOE, VANILLA, LORA, MIXED, adamw, recomputing, long]
}

/// Within 1 %, as promised; what the core allocates itself is known to the byte.
fn assert_held(planned: &MemoryPlan, device: &Cuda, what: &str) {
    let [buffers, working] = device.held().expect("held");
    assert_eq!(planned.total - planned.working, buffers, "{what}: buffers");
    let most = planned.total as f64 * 0.01;
    assert!(planned.working.abs_diff(working) as f64 <= most, "{what}: {planned:?}, the library holds {working}");
}

#[test]
fn training_allocates_what_was_planned() {
    for precision in [Precision::F32, Precision::Bf16] {
        for (i, micro) in variants().into_iter().enumerate() {
            let Some(device) = emulated(precision) else { return };
            let plan = micro.plan();
            let planned = MemoryPlan::training(&plan, Target::Cuda(precision), &Place::alone()).expect("a plan");
            let mut trainer = Trainer::new(device, plan).expect("memory");
            let tokens = micro.windows(1, micro.batch * micro.accumulation);
            unwatched(|w| trainer.step_tokens(&tokens, w)).expect("step");
            unwatched(|w| trainer.evaluate_tokens(&tokens, w)).expect("evaluation");
            assert_held(&planned, &trainer.backend(), &format!("variant {i} in {precision:?}"));
        }
    }
}

#[test]
fn writing_a_text_allocates_what_was_planned() {
    for capacity in [5, 200] {
        let Some(device) = emulated(Precision::F32) else { return };
        let plan = QWEN3.plan();
        let planned =
            MemoryPlan::generation(&Layout::new(&plan).expect("checked"), capacity, Target::Cuda(Precision::F32)).expect("a plan");
        let model = Model::new(&device, Layout::new(&plan).expect("checked"), 7).expect("memory");
        let mut decoder = Decoder::new(&device, &model.layout, capacity).expect("memory");
        let tokens: Vec<i32> = (0..capacity).map(|i| (i % VOCAB) as i32).collect();
        decoder.push(&device, &model, &tokens).expect("room");
        assert_held(&planned, &device, &format!("{capacity} tokens"));
        assert_eq!(planned.cache, (3 * 2 * capacity * 2 * 4 * 4) as u64, "3 sites, keys and values of 2 heads of 4, f32");
    }
}

#[test]
fn a_meter_counts_elements_of_four_bytes() {
    use bowline::backend::Memory;
    assert_eq!(Meter::bytes(|m| m.zeros(3)).expect("counted"), 12);
    assert_eq!(Meter::bytes(|m| m.zeros_i32(5).and(m.zeros(0))).expect("counted"), 20);
}

fn room(bytes: u64) -> Room {
    Room { bytes, is: "free on a card".into() }
}

/// The plan of a micro model with so many windows, and the bytes that it takes.
fn wide(batch: usize, accumulation: usize, recompute: bool) -> (Plan, u64) {
    let plan = Micro { layers: 6, batch, accumulation, recompute, seq_len: 64, ..OLMOE }.plan();
    let total = MemoryPlan::training(&plan, CPU, &Place::alone()).expect("a plan").total;
    (plan, total)
}

#[test]
fn the_smallest_change_is_recomputation_then_a_smaller_batch_then_both() {
    let (plan, whole) = wide(12, 2, false);
    let change = |bytes: u64| smallest_change(&plan, CPU, &Place::alone(), &room(bytes)).expect("a plan");
    let recomputing = wide(12, 2, true).1;
    let at = |batch: usize, recompute: bool| wide(batch, 24 / batch, recompute).1;
    let below = [6, 4, 3, 2].into_iter().find(|&batch| at(batch, false) < recomputing).expect("a batch that saves more than recomputation");
    assert!(recomputing < whole && at(1, true) < at(1, false));
    let split = |batch: usize| [format!("train.batch={batch}"), format!("train.accumulation={}", 24 / batch)];
    let recompute = "train.recompute=true".to_string();
    for (bytes, settings, total) in [
        (whole - 1, vec![recompute.clone()], recomputing),
        (recomputing, vec![recompute.clone()], recomputing),
        (recomputing - 1, split(below).to_vec(), at(below, false)),
        (at(1, false), split(1).to_vec(), at(1, false)),
        (at(1, true), [vec![recompute], split(1).to_vec()].concat(), at(1, true)),
    ] {
        let found = change(bytes).unwrap_or_else(|| panic!("nothing fits into {bytes}"));
        assert_eq!((found.settings, found.total), (settings, total), "{bytes} bytes");
    }
    assert_eq!(change(at(1, true) - 1), None);
    let (recomputing, total) = wide(2, 1, true);
    let found = smallest_change(&recomputing, CPU, &Place::alone(), &room(total - 1)).expect("a plan").expect("a change");
    assert_eq!(found.settings, ["train.batch=1", "train.accumulation=2"], "it recomputes already");
}

/// The bytes that each of `world` ranks takes.
fn of_ranks(plan: &Plan, target: Target, world: usize) -> Vec<u64> {
    let at = |rank| MemoryPlan::training(plan, target, &Place { rank, world, ..Place::alone() }).expect("a plan").total;
    (0..world).map(at).collect()
}

#[test]
fn the_fewest_processes_are_those_that_all_fit() {
    let plan = wide(12, 2, false).0;
    let gpu = Target::Cuda(Precision::Bf16);
    let most = |target, world| *of_ranks(&plan, target, world).iter().max().expect("ranks");
    for target in [CPU, gpu] {
        let fewest = |bytes: u64| fewest_processes(&plan, target, &Place::alone(), &room(bytes)).expect("a plan");
        for (world, before) in [(2, 1), (3, 2), (4, 3), (6, 4), (12, 6)] {
            assert!(most(target, world) < most(target, before), "{world} processes need less each than {before}");
            assert_eq!(fewest(most(target, world)), Some(Processes { count: world, total: most(target, world) }));
            assert_eq!(fewest(most(target, before) - 1).map(|found| found.count), Some(world));
        }
        assert_eq!(fewest(most(target, 12) - 1), None);
        let of_two = fewest_processes(&plan, target, &Place { world: 2, ..Place::alone() }, &room(u64::MAX)).expect("a plan");
        assert_eq!(of_two.map(|found| found.count), Some(3), "more than there are");
    }
}

#[test]
fn ranks_share_out_moments_and_gather_them_where_the_memory_is_the_hosts() {
    let plan = wide(12, 2, false).0;
    let at = |target, rank, world| MemoryPlan::training(&plan, target, &Place { rank, world, ..Place::alone() }).expect("a plan");
    for target in [CPU, Target::Cuda(Precision::Bf16)] {
        let one = at(target, 0, 1);
        assert_eq!(one.gathered, 0);
        assert_eq!((0..3).map(|rank| at(target, rank, 3).optimizer).sum::<u64>(), one.optimizer);
        assert_eq!(at(target, 1, 3).gathered, if target == CPU { one.optimizer } else { 0 });
    }
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    let (plan, whole) = wide(12, 2, false);
    let require = |room: Option<Room>, is_resuming| require_training(&plan, CPU, &Place::alone(), room.as_ref(), is_resuming);
    assert_eq!(require(None, false).expect("no bound").total, whole);
    assert_eq!(require(Some(room(whole)), false).expect("it fits to the byte").total, whole);
    let says = |bytes: u64, is_resuming| require(Some(room(bytes)), is_resuming).expect_err("refused").to_string();
    let kilobytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let (need, have, then) = (kilobytes(whole), kilobytes(whole - 1), kilobytes(wide(12, 2, true).1));
    let each = kilobytes(*of_ranks(&plan, CPU, 2).iter().max().expect("ranks"));
    let lacks = |have: &str| format!("Cannot train: {need} are needed and {have} are free on a card;");
    let want = format!("{} it fits with --set train.recompute=true ({then}), or with 2 processes ({each} each)", lacks(&have));
    assert_eq!(says(whole - 1, false), want);
    let want = "neither train.recompute=true nor a smaller train.batch nor more processes make it fit, wanted a smaller model";
    assert_eq!(says(999, false), format!("{} {want}", lacks("999 B")));
    let keeps = "a run that goes on keeps its manifest: it fits with";
    let elsewhere = "or perhaps on another --device";
    assert_eq!(says(whole - 1, true), format!("{} {keeps} 2 processes ({each} each), {elsewhere}", lacks(&have)));
    assert_eq!(says(999, true), format!("{} {keeps} more memory, {elsewhere}", lacks("999 B")));
}
