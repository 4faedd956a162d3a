//! What the tests share: a small checkpoint, and the words of an error.

use bowline::checkpoint::{Checkpoint, Content, State, TensorMut, TensorRef, write};
use bowline::data::{LoaderState, WindowsState};
use bowline::error::{Error, Result};
use std::path::{Path, PathBuf};

pub const PLAN: &str =
    r#"{"format":1,"name":"nano","train":{"steps":500,"batch":16},"sites":[{"router":"router.0"},{"router":"router.1"}]}"#;
pub const TOKENIZER: &[u8] = b"{\"model\": \"any bytes\"}";

/// Names and shapes in an order that is not that of the file.
pub const MODEL: &[(&str, &[usize])] = &[("router.0.weight", &[4, 2]), ("embedding.weight", &[3, 2]), ("final_norm.weight", &[2])];
pub const OPTIMIZER: &[(&str, &[usize])] = &[("momentum/router.0.weight", &[4, 2]), ("first/final_norm.weight", &[2]), ("empty", &[0, 5])];

/// Tensors that own their numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensors(pub Vec<(String, Vec<usize>, Vec<f32>)>);

impl Tensors {
    /// Numbers that depend on `seed`, among them the odd ones: they must come back to the bit.
    pub fn new(specs: &[(&str, &[usize])], seed: u32) -> Self {
        let tensor = |(at, (name, shape)): (usize, &(&str, &[usize]))| {
            let count: usize = shape.iter().product();
            let bits = |i: usize| (seed + 1).wrapping_mul(2_654_435_761).wrapping_mul((at * 1000 + i + 1) as u32);
            (name.to_string(), shape.to_vec(), (0..count).map(|i| f32::from_bits(bits(i))).collect())
        };
        Self(specs.iter().enumerate().map(tensor).collect())
    }

    pub fn zeros(specs: &[(&str, &[usize])]) -> Self {
        Self(specs.iter().map(|(name, shape)| (name.to_string(), shape.to_vec(), vec![0.0; shape.iter().product()])).collect())
    }

    pub fn refs(&self) -> Vec<TensorRef<'_>> {
        self.0.iter().map(|(name, shape, data)| TensorRef { name, shape, data }).collect()
    }

    pub fn muts(&mut self) -> Vec<TensorMut<'_>> {
        self.0.iter_mut().map(|(name, shape, data)| TensorMut { name, shape, data }).collect()
    }

    pub fn bits(&self) -> Vec<u32> {
        self.0.iter().flat_map(|(_, _, data)| data).map(|x| x.to_bits()).collect()
    }
}

pub fn state(step: u64) -> State {
    let loader = LoaderState { epoch: 1, position: 2, fingerprint: "abc".into() };
    State { step, tokens: step * 2048, loader: Some(WindowsState::Corpus(loader)) }
}

/// Writes the checkpoint of `step` into `parent`; its numbers depend on the step.
pub fn write_step(parent: &Path, step: u64) -> Result<PathBuf> {
    let folder = parent.join(bowline::checkpoint::folder_name(step));
    let (model, optimizer) = (Tensors::new(MODEL, step as u32), Tensors::new(OPTIMIZER, step as u32));
    let content =
        Content { state: &state(step), plan: PLAN, model: &model.refs(), optimizer: &optimizer.refs(), tokenizer: Some(TOKENIZER) };
    write(&folder, &content).map(|()| folder)
}

/// Opens, verifies and reads all of a checkpoint.
pub fn read_all(folder: &Path) -> Result<(State, Tensors, Tensors, Option<Vec<u8>>)> {
    let checkpoint = Checkpoint::open(folder)?;
    checkpoint.require_plan(PLAN)?;
    checkpoint.verify()?;
    let (mut model, mut optimizer) = (Tensors::zeros(MODEL), Tensors::zeros(OPTIMIZER));
    checkpoint.read_model(&mut model.muts())?;
    checkpoint.read_optimizer(&mut optimizer.muts())?;
    Ok((checkpoint.state().clone(), model, optimizer, checkpoint.read_tokenizer()?))
}

/// Asserts that `folder` is what `write_step` wrote.
pub fn assert_whole(folder: &Path, step: u64) {
    let (got, model, optimizer, tokenizer) = read_all(folder).unwrap();
    assert_eq!(got, state(step));
    assert_eq!(model.bits(), Tensors::new(MODEL, step as u32).bits());
    assert_eq!(optimizer.bits(), Tensors::new(OPTIMIZER, step as u32).bits());
    assert_eq!(tokenizer.as_deref(), Some(TOKENIZER));
}

/// The reason of an error about a checkpoint, which must name `path`.
pub fn reason<T>(result: Result<T>, path: &Path) -> String {
    match result {
        Err(Error::Checkpoint { path: named, reason }) if named == path => reason,
        Err(other) => panic!("wanted an error about {}, got: {other}", path.display()),
        Ok(_) => panic!("wanted an error about {}", path.display()),
    }
}

/// Names of everything in a folder, sorted.
pub fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
