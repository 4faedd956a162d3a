//! What is written comes back, and the same content gives the same bytes.

use crate::common::{MODEL, OPTIMIZER, PLAN, TOKENIZER, Tensors, assert_whole, names_in, state, write_step};
use bowline::checkpoint::{Checkpoint, Content, MODEL_FILE, OPTIMIZER_FILE, State, write};
use bowline::error::Error;
use safetensors::tensor::{Dtype, TensorView, serialize};
use std::fs;

#[test]
fn everything_comes_back_to_the_bit() {
    let parent = tempfile::tempdir().unwrap();
    let folder = write_step(parent.path(), 7).unwrap();
    assert_eq!(names_in(&folder), ["model.safetensors", "optimizer.safetensors", "state.json", "tokenizer.json"]);
    assert_whole(&folder, 7);
    let checkpoint = Checkpoint::open(&folder).unwrap();
    assert_eq!((checkpoint.plan(), checkpoint.folder()), (PLAN, folder.as_path()));
}

#[test]
fn a_checkpoint_without_data_or_tokenizer_comes_back_too() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("bare");
    let state = State { step: 0, tokens: 0, loader: None };
    write(&folder, &Content { state: &state, plan: PLAN, model: &[], optimizer: &[], tokenizer: None }).unwrap();
    let checkpoint = Checkpoint::open(&folder).unwrap();
    checkpoint.verify().unwrap();
    assert_eq!(checkpoint.state(), &state);
    assert_eq!(checkpoint.read_tokenizer().unwrap(), None);
    checkpoint.read_model(&mut []).unwrap();
}

#[test]
fn tensor_files_are_those_of_the_safetensors_library() {
    let parent = tempfile::tempdir().unwrap();
    let folder = write_step(parent.path(), 3).unwrap();
    for (file, specs) in [(MODEL_FILE, MODEL), (OPTIMIZER_FILE, OPTIMIZER)] {
        let tensors = Tensors::new(specs, 3);
        let views = tensors.0.iter().map(|(name, shape, data)| {
            let bytes: &[u8] = bytemuck::cast_slice(data);
            (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
        });
        assert_eq!(fs::read(folder.join(file)).unwrap(), serialize(views, None).unwrap(), "{file}");
    }
}

#[test]
fn the_order_and_the_place_of_writing_change_no_byte() {
    let parents = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut model = Tensors::new(MODEL, 3);
    let mut optimizer = Tensors::new(OPTIMIZER, 3);
    let mut folders = Vec::new();
    for parent in &parents {
        let folder = parent.path().join("step-00000003");
        let content =
            Content { state: &state(3), plan: PLAN, model: &model.refs(), optimizer: &optimizer.refs(), tokenizer: Some(TOKENIZER) };
        write(&folder, &content).unwrap();
        folders.push(folder);
        model.0.reverse();
        optimizer.0.reverse();
    }
    for name in names_in(&folders[0]) {
        assert_eq!(fs::read(folders[0].join(&name)).unwrap(), fs::read(folders[1].join(&name)).unwrap(), "{name}");
    }
}

#[test]
fn writing_again_replaces_all_of_it() {
    let parent = tempfile::tempdir().unwrap();
    let folder = write_step(parent.path(), 5).unwrap();
    fs::write(folder.join("stray"), "left by someone").unwrap();
    write_step(parent.path(), 5).unwrap();
    assert_whole(&folder, 5);
    assert_eq!(names_in(&folder).len(), 4);
    assert_eq!(names_in(parent.path()), ["step-00000005"]);
}

#[test]
fn two_tensors_of_one_name_are_a_fault_and_leave_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let mut model = Tensors::new(MODEL, 3);
    model.0[1].0 = model.0[0].0.clone();
    let content = Content { state: &state(3), plan: PLAN, model: &model.refs(), optimizer: &[], tokenizer: None };
    assert!(matches!(write(&parent.path().join("x"), &content), Err(Error::Internal(_))));
    assert_eq!(names_in(parent.path()), [""; 0]);
}
