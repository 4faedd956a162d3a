//! Tensors are matched by name and shape with what the caller's plan has.

use crate::common::{MODEL, Tensors, reason, write_step};
use bowline::checkpoint::{Checkpoint, MODEL_FILE};

/// The reason why a checkpoint of `MODEL` does not fit `specs`; the targets must be untouched then.
fn misfit(specs: &[(&str, &[usize])]) -> String {
    let parent = tempfile::tempdir().unwrap();
    let folder = write_step(parent.path(), 3).unwrap();
    let mut targets = Tensors::zeros(specs);
    let says = reason(Checkpoint::open(&folder).unwrap().read_model(&mut targets.muts()), &folder.join(MODEL_FILE));
    assert_eq!(targets, Tensors::zeros(specs), "nothing is written before all names fit");
    says
}

#[test]
fn a_missing_tensor_is_named() {
    let specs = [MODEL, &[("experts.0.down", &[2, 2, 2])]].concat();
    assert_eq!(misfit(&specs), "it has no tensor experts.0.down, which the plan has");
}

#[test]
fn an_unexpected_tensor_is_named() {
    assert_eq!(misfit(&MODEL[1..]), "it has a tensor router.0.weight that the plan does not have");
}

#[test]
fn another_shape_is_named() {
    let mut specs = MODEL.to_vec();
    specs[0].1 = &[2, 4]; // as many numbers, another shape
    assert_eq!(misfit(&specs), "its tensor router.0.weight has shape [4, 2] in F32, the plan wants [2, 4] in F32");
}

#[test]
fn the_order_of_the_targets_does_not_matter() {
    let parent = tempfile::tempdir().unwrap();
    let folder = write_step(parent.path(), 3).unwrap();
    let mut targets = Tensors::zeros(MODEL);
    targets.0.reverse();
    Checkpoint::open(&folder).unwrap().read_model(&mut targets.muts()).unwrap();
    targets.0.reverse();
    assert_eq!(targets.bits(), Tensors::new(MODEL, 3).bits());
}
