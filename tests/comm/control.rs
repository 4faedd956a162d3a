//! The line between ranks. A rank that is gone is never this process itself: the line would end the tests after its grace.
//! So the ranks here are helper processes: this test program, started again with a role.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bowline::comm::Control;
use bowline::error::Error;

const ROLE: &str = "BOWLINE_TEST_RANK";

/// What a helper does: it waits for the end of the run and prints it, unless it is to die or fail first.
#[test]
fn helper() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let [rank, act, file] = role.splitn(3, ' ').collect::<Vec<_>>().try_into().expect("three words");
    let (rank, file): (usize, _) = (rank.parse().expect("a number"), Path::new(file));
    let control = if rank == 0 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("a port").port().to_string();
        std::fs::write(file.with_extension("part"), port).expect("written");
        std::fs::rename(file.with_extension("part"), file).expect("written");
        Control::host(listener, 3, "a word").expect("ranks")
    } else {
        let (control, word) = Control::guest(&[("127.0.0.1".into(), port_in(file))], rank, 3).expect("rank 0");
        assert_eq!(word, "a word");
        control
    };
    match act {
        "fails" => drop(control.fail(Error::Argument("the disk is full".into()))),
        "dies" => std::process::abort(),
        "leaves" => {
            control.leave();
            control.fail(Error::Argument("too late".into()));
            std::thread::sleep(Duration::from_millis(300));
            return println!("left {:?}", control.failure().map(|error| error.to_string()));
        }
        "hangs" => std::thread::sleep(Duration::from_secs(60)),
        _ => {}
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if let Some(error) = control.failure() {
            return println!("ended {error}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("nothing happened");
}

/// The port that rank 0 wrote, as soon as it has.
fn port_in(file: &Path) -> u16 {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        if let Ok(port) = std::fs::read_to_string(file) {
            return port.parse().expect("a number");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("rank 0 opened no port");
}

fn start(rank: usize, act: &str, file: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "control::helper", "--nocapture"]).env(ROLE, format!("{rank} {act} {}", file.display()));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
}

/// Runs three ranks with these roles; returns what each printed, and how long it took.
fn run(acts: [&str; 3]) -> (Vec<(Option<i32>, String)>, Duration) {
    let dir = tempfile::tempdir().expect("temp");
    let children: Vec<_> = acts.iter().enumerate().map(|(rank, act)| start(rank, act, &dir.path().join("port"))).collect();
    let begun = Instant::now();
    let outputs = children.into_iter().map(|child| {
        let output = child.wait_with_output().expect("ended");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code(), text)
    });
    let outputs = outputs.collect();
    (outputs, begun.elapsed())
}

fn assert_says(outputs: &[(Option<i32>, String)], ranks: &[usize], text: &str) {
    for &rank in ranks {
        assert!(outputs[rank].1.contains(text), "rank {rank} printed {}", outputs[rank].1);
    }
}

#[test]
fn all_learn_which_rank_died() {
    let (outputs, _) = run(["waits", "waits", "dies"]);
    assert_says(&outputs, &[0, 1], "ended Cannot go on: rank 2 of 3 died: its connection ended");
}

#[test]
fn all_learn_that_rank_0_died() {
    let (outputs, _) = run(["dies", "waits", "waits"]);
    assert_says(&outputs, &[1, 2], "ended Cannot go on: rank 0 of 3 died: ");
}

#[test]
fn all_learn_why_a_rank_failed() {
    let (outputs, _) = run(["waits", "fails", "waits"]);
    assert_says(&outputs, &[0, 1, 2], "ended Cannot go on: rank 1 of 3 failed: the disk is full");
}

#[test]
fn a_process_that_is_stuck_is_ended() {
    let (outputs, took) = run(["waits", "hangs", "dies"]);
    assert_says(&outputs, &[0, 1], "Cannot go on: rank 2 of 3 died");
    assert_eq!(outputs[1].0, Some(1), "the exit code of the one that was stuck");
    assert!(took < Duration::from_secs(30), "it took {took:?}");
}

#[test]
fn leaving_is_no_failure() {
    let (outputs, _) = run(["leaves", "leaves", "leaves"]);
    assert_says(&outputs, &[0, 1, 2], "left None");
}
