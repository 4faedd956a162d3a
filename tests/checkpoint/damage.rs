//! A checkpoint that is not what was written is refused, and the file is named.

use crate::common::{MODEL, OPTIMIZER, Tensors, read_all, reason, write_step};
use bowline::checkpoint::{Checkpoint, MODEL_FILE, OPTIMIZER_FILE, STATE_FILE, TOKENIZER_FILE};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

const FILES: [&str; 4] = [MODEL_FILE, OPTIMIZER_FILE, TOKENIZER_FILE, STATE_FILE];

#[test]
fn one_changed_bit_anywhere_is_found() {
    let parent = tempfile::tempdir().unwrap();
    let folder = write_step(parent.path(), 3).unwrap();
    for name in FILES {
        let path = folder.join(name);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            // Every bit of the file that vouches for the others.
            for flip in if name == STATE_FILE { (0..8).map(|bit| 1 << bit).collect() } else { vec![1u8] } {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                fs::write(&path, bytes).unwrap();
                let says = reason(read_all(&folder), &path);
                assert!(says.contains("damaged"), "{name} byte {at}: {says}");
            }
        }
        fs::write(&path, whole).unwrap();
    }
    read_all(&folder).unwrap();
}

/// A caller that skips `verify`, like one that only wants to generate, is safe too.
#[test]
fn reading_alone_finds_it_as_well() {
    let parent = tempfile::tempdir().unwrap();
    let folder = write_step(parent.path(), 3).unwrap();
    for (name, specs) in [(MODEL_FILE, MODEL), (OPTIMIZER_FILE, OPTIMIZER)] {
        let path = folder.join(name);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, bytes).unwrap();
            let checkpoint = Checkpoint::open(&folder).unwrap();
            let mut tensors = Tensors::zeros(specs);
            let result = if name == MODEL_FILE {
                checkpoint.read_model(&mut tensors.muts())
            } else {
                checkpoint.read_optimizer(&mut tensors.muts())
            };
            // A letter of a name in the header may have changed: then that name is what is wrong.
            reason(result, &path);
        }
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn a_file_of_another_length_is_found_on_opening() {
    let parent = tempfile::tempdir().unwrap();
    let folder = write_step(parent.path(), 3).unwrap();
    for name in FILES {
        let path = folder.join(name);
        let whole = fs::read(&path).unwrap();
        for length in [0, 1, 7, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            let says = reason(Checkpoint::open(&folder), &path);
            let want = format!("it has {length} bytes, {} were written; use an older checkpoint", whole.len());
            assert!(says == want || name == STATE_FILE && says.contains("truncated"), "{name} with {length} bytes: {says}");
        }
        fs::write(&path, [whole.as_slice(), b" "].concat()).unwrap();
        reason(Checkpoint::open(&folder), &path);
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn missing_files_and_folders_are_named() {
    let parent = tempfile::tempdir().unwrap();
    let folder = write_step(parent.path(), 3).unwrap();
    for name in [MODEL_FILE, OPTIMIZER_FILE, TOKENIZER_FILE] {
        let path = folder.join(name);
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(reason(Checkpoint::open(&folder), &path), "it is missing; use an older checkpoint");
        fs::write(&path, whole).unwrap();
    }
    fs::remove_file(folder.join(STATE_FILE)).unwrap();
    assert_eq!(reason(Checkpoint::open(&folder), &folder), "it has no state.json");
    let nowhere = parent.path().join("nowhere");
    assert_eq!(reason(Checkpoint::open(&nowhere), &nowhere), "there is no such folder");
}

/// Replaces text in `state.json` and makes its checksum right again, as a writer of that content would have.
fn rewrite_state(folder: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(folder.join(STATE_FILE)).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    assert!(rest.contains(from), "{rest}");
    let rest = rest.replacen(from, to, 1);
    let sum: String = Sha256::digest(&rest).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(folder.join(STATE_FILE), format!("{{ \"sha256\": \"{sum}\",\n{rest}")).unwrap();
}

#[test]
fn a_newer_format_says_which_version_reads_it() {
    let parent = tempfile::tempdir().unwrap();
    let folder = write_step(parent.path(), 3).unwrap();
    rewrite_state(&folder, "\"needs\": \"0.1.0\"", "\"needs\": \"0.7.0\", \"novelty\": []");
    rewrite_state(&folder, "\"format\": 1", "\"format\": 2");
    let says = reason(Checkpoint::open(&folder), &folder.join(STATE_FILE));
    assert_eq!(says, "its format is 2, this version of Bowline reads up to 1; use Bowline 0.7.0 or newer");
}

#[test]
fn fields_that_the_format_does_not_have_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    for (from, to, says) in [
        ("\"plan\":", "\"novelty\": 1, \"plan\":", "unknown field `novelty`"),
        ("\"step\": 3", "\"step\": \"3\"", "invalid type: string"),
        ("\"optimizer.safetensors\": ", "\"other.safetensors\": ", "it does not list optimizer.safetensors"),
    ] {
        let folder = write_step(parent.path(), 3).unwrap();
        rewrite_state(&folder, from, to);
        let got = reason(Checkpoint::open(&folder), &folder.join(STATE_FILE));
        assert!(got.contains(says), "{got}");
    }
}

proptest! {
    /// Whatever stands in `state.json`: an error, never a panic.
    #[test]
    fn any_state_file_is_an_error(text in any::<String>(), first in any::<bool>()) {
        let parent = tempfile::tempdir().unwrap();
        let folder = write_step(parent.path(), 3).unwrap();
        let path = folder.join(STATE_FILE);
        fs::write(&path, if first { format!("{{\n{text}") } else { text }).unwrap();
        reason(Checkpoint::open(&folder), &path);
    }
}
