//! The file system refuses: an error, nothing half-written, and the previous checkpoint is still there.

use crate::common::{MODEL, OPTIMIZER, PLAN, Tensors, assert_whole, names_in, state, write_step};
use bowline::checkpoint::{Content, write};
use bowline::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tells the child test below where to write; without it the child does nothing.
const FOLDER: &str = "BOWLINE_TEST_FULL_FOLDER";

#[test]
fn a_file_where_the_parent_should_be() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("checkpoints");
    std::fs::write(&file, "a file").unwrap();
    let says = write_step(&file, 3).unwrap_err().to_string();
    assert!(says.starts_with(&format!("Cannot create the folder {}: ", file.display())), "{says}");
    assert!(!says.contains('\n'));
}

#[test]
fn a_file_where_the_checkpoint_should_be() {
    let parent = tempfile::tempdir().unwrap();
    std::fs::write(parent.path().join("step-00000003"), "a file").unwrap();
    assert!(matches!(write_step(parent.path(), 3), Err(Error::File { .. })));
    assert_eq!(names_in(parent.path()), ["step-00000003"]);
}

/// Writes a checkpoint of a megabyte, which must fail, over one that exists and beside it.
#[test]
#[ignore = "run by the tests below in a process that may not write that much"]
fn child_that_runs_out_of_space() {
    let Some(parent) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let mut model = Tensors::new(MODEL, 1);
    model.0[0].1 = vec![1 << 18];
    model.0[0].2 = vec![1.0; 1 << 18];
    let optimizer = Tensors::new(OPTIMIZER, 1);
    let content = Content { state: &state(9), plan: PLAN, model: &model.refs(), optimizer: &optimizer.refs(), tokenizer: None };
    for name in ["step-00000003", "step-00000004"] {
        match write(&parent.join(name), &content) {
            Err(Error::File { action: "write", path, .. }) => assert!(path.ends_with("model.safetensors"), "{}", path.display()),
            other => panic!("wanted a failure to write, got {other:?}"),
        }
        assert_eq!(names_in(&parent), ["step-00000003"], "the temporary folder is gone");
    }
}

/// Runs the child under `script`, in which "$@" stands for it.
fn run_child(script: &str, parent: &Path) -> bool {
    let child = std::env::current_exe().unwrap();
    let arguments = ["--exact", "failure::child_that_runs_out_of_space", "--ignored", "--nocapture"];
    let status = Command::new("sh").args(["-c", script, "sh"]).arg(child).args(arguments).env(FOLDER, parent).status().unwrap();
    status.success()
}

#[test]
fn a_write_that_fails_half_way_leaves_the_previous_checkpoint() {
    let parent = tempfile::tempdir().unwrap();
    let folder = write_step(parent.path(), 3).unwrap();
    // A limit on the size of a file stands for the end of the disk: 512 KiB, where the tensors need 1 MiB.
    assert!(run_child("trap '' XFSZ; ulimit -f 1024; exec \"$@\"", parent.path()));
    assert_whole(&folder, 3);
}

/// A file system of 256 KiB at a folder, unmounted at the end.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} is still mounted", self.0.display());
    }
}

#[test]
fn a_full_disk_leaves_the_previous_checkpoint() {
    let parent = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(parent.path()) else {
        eprintln!("skip full disk: this user may not mount a small file system");
        return;
    };
    let folder = write_step(parent.path(), 3).unwrap();
    assert!(run_child("exec \"$@\"", parent.path()));
    assert_whole(&folder, 3);
}
