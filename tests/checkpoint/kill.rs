//! Killed at any moment, a writer leaves a whole checkpoint.

use crate::common::{assert_whole, names_in, write_step};
use bowline::checkpoint::{Checkpoint, latest, prune};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// Tells the child where to write.
const FOLDER: &str = "BOWLINE_TEST_KILL_FOLDER";

/// Writes checkpoints, old steps again and again and new ones, until it is killed.
#[test]
#[ignore = "run and killed by the test below"]
fn child_that_writes_for_ever() {
    let Some(parent) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let start = latest(&parent).unwrap().map_or(0, |folder| Checkpoint::open(&folder).unwrap().state().step);
    for step in start.. {
        write_step(&parent, step).unwrap();
        prune(&parent, 2).unwrap();
    }
}

#[test]
fn a_killed_writer_leaves_a_whole_checkpoint() {
    let parent = tempfile::tempdir().unwrap();
    let mut before = 0;
    for round in 0..20u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child_that_writes_for_ever", "--ignored"])
            .env(FOLDER, parent.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Spread over the time of a few writes.
        sleep(Duration::from_micros(30_000 + round * 7919 % 20_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let Some(folder) = latest(parent.path()).unwrap() else {
            continue;
        };
        let step = Checkpoint::open(&folder).unwrap().state().step;
        assert!(step >= before, "round {round} went back from step {before} to {step}");
        assert_whole(&folder, step);
        assert!(names_in(parent.path()).iter().all(|name| name.starts_with("step-")), "{:?}", names_in(parent.path()));
        before = step;
    }
    assert!(before > 0, "no round was long enough for one write");
}
