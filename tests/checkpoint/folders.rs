//! Listing, pruning, and clearing up after killed processes.

use crate::common::{assert_whole, names_in, reason, write_step};
use bowline::checkpoint::{Checkpoint, folder_name, latest, list, prune};
use std::fs;
use std::path::Path;

/// Not the id of any process: Linux gives none above 2^22.
const DEAD: u32 = 4_194_305;

fn steps(parent: &Path) -> Vec<u64> {
    list(parent).unwrap().into_iter().map(|(step, _)| step).collect()
}

#[test]
fn names_sort_like_steps() {
    assert_eq!(folder_name(1000), "step-00001000");
    let parent = tempfile::tempdir().unwrap();
    for step in [100, 20, 123_456_789, 3] {
        write_step(parent.path(), step).unwrap();
    }
    assert_eq!(steps(parent.path()), [3, 20, 100, 123_456_789]);
    assert_eq!(latest(parent.path()).unwrap(), Some(parent.path().join("step-123456789")));
}

#[test]
fn a_run_without_checkpoints_has_no_latest() {
    let parent = tempfile::tempdir().unwrap();
    assert_eq!(latest(parent.path()).unwrap(), None);
    assert_eq!(latest(&parent.path().join("nowhere")).unwrap(), None);
    prune(&parent.path().join("nowhere"), 1).unwrap();
}

#[test]
fn only_complete_folders_are_listed() {
    let parent = tempfile::tempdir().unwrap();
    write_step(parent.path(), 3).unwrap();
    for name in ["step-00000009", "step-x", "other", ".tmp-step-00000009-0-1"] {
        fs::create_dir(parent.path().join(name)).unwrap();
    }
    fs::write(parent.path().join("step-00000010"), "a file").unwrap();
    assert_eq!(steps(parent.path()), [3]);
}

/// The newest one is not passed over silently when it is damaged: whoever resumes must know.
#[test]
fn a_damaged_folder_is_still_the_latest() {
    let parent = tempfile::tempdir().unwrap();
    write_step(parent.path(), 3).unwrap();
    let newest = write_step(parent.path(), 4).unwrap();
    fs::write(newest.join("model.safetensors"), "x").unwrap();
    let found = latest(parent.path()).unwrap().unwrap();
    reason(Checkpoint::open(&found), &newest.join("model.safetensors"));
}

#[test]
fn pruning_keeps_the_latest() {
    let parent = tempfile::tempdir().unwrap();
    for step in 1..=5 {
        write_step(parent.path(), step).unwrap();
    }
    prune(parent.path(), 9).unwrap();
    assert_eq!(steps(parent.path()), [1, 2, 3, 4, 5]);
    prune(parent.path(), 2).unwrap();
    assert_eq!(names_in(parent.path()), ["step-00000004", "step-00000005"]);
    prune(parent.path(), 0).unwrap();
    assert_eq!(names_in(parent.path()), ["step-00000005"]);
    assert_whole(&parent.path().join("step-00000005"), 5);
}

#[test]
fn what_a_killed_writer_left_is_removed_by_the_next() {
    let parent = tempfile::tempdir().unwrap();
    let own = std::process::id();
    let foreign = format!(".tmp-step-00000001-0-{}", std::os::unix::process::parent_id());
    for name in [&format!(".tmp-step-00000001-0-{DEAD}"), &format!(".tmp-step-00000001-0-{own}"), &foreign] {
        fs::create_dir(parent.path().join(name)).unwrap();
        fs::write(parent.path().join(name).join("model.safetensors"), "half").unwrap();
    }
    write_step(parent.path(), 2).unwrap();
    // A living process may still be writing; a container reuses ids, so our own id from an earlier life may not.
    assert_eq!(names_in(parent.path()), [foreign.as_str(), "step-00000002"]);
}

#[test]
fn a_kill_between_the_two_renames_of_a_replacement_loses_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let folder = write_step(parent.path(), 3).unwrap();
    let aside = parent.path().join(format!(".old-step-00000003-{DEAD}"));
    fs::rename(&folder, &aside).unwrap();
    assert_eq!(latest(parent.path()).unwrap(), Some(folder.clone()));
    assert_whole(&folder, 3);
    // And when the new one had already come, the old one goes.
    fs::create_dir(&aside).unwrap();
    assert_eq!(steps(parent.path()), [3]);
    assert_eq!(names_in(parent.path()), ["step-00000003"]);
}
