//! Calls that wait for a hub end soon after they are cancelled, and what they waited for is not lost.

use super::server::{Fault, Server};
use super::{at, file, files, noise, options, read};
use crate::common::{Folder, words};
use crate::memory::{next, settings};
use crate::source_common::spec;
use bowline::data::hub::HubOptions;
use bowline::data::{AtEnd, HeldOut, MixtureSource, MixtureSpec, Open, Source, Stream, StreamSettings, Watch};
use bowline::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Far below every pause and timeout that is cut short here, far above what a busy machine needs.
const SOON: Duration = Duration::from_secs(5);

const LATER: Duration = Duration::from_millis(150);

/// Sets a flag a little later.
fn set_later(flag: &Arc<AtomicBool>) {
    let flag = flag.clone();
    std::thread::spawn(move || {
        std::thread::sleep(LATER);
        flag.store(true, Ordering::Relaxed);
    });
}

/// Sets a flag again and again until `done`.
fn set_often(flag: &Arc<AtomicBool>, done: &Arc<AtomicBool>) {
    let (flag, done) = (flag.clone(), done.clone());
    std::thread::spawn(move || {
        while !done.load(Ordering::Relaxed) {
            std::thread::sleep(LATER);
            flag.store(true, Ordering::Relaxed);
        }
    });
}

/// Options that really wait, and give up when one of the flags is set.
fn waiting(server: &Server, folder: &Folder, flags: [&Arc<AtomicBool>; 2]) -> HubOptions {
    let (mut options, _) = options(server, &folder.cache());
    options.sleep = Arc::new(std::thread::sleep);
    let flags = flags.map(Arc::clone);
    options.is_cancelled = Arc::new(move || flags.iter().any(|flag| flag.load(Ordering::Relaxed)));
    options
}

#[test]
fn a_request_without_an_answer_is_left() {
    let folder = Folder::new();
    let content = noise(100);
    let faults = [("a.jsonl", Fault::Hang), ("b.jsonl", Fault::Answer(429, "retry-after: 300\r\n")), ("c.jsonl", Fault::Answer(503, ""))];
    let server = Server::start(&faults.clone().map(|(path, _)| (path, content.clone())));
    let cancel = Arc::default();
    let options = waiting(&server, &folder, [&cancel; 2]);
    for (path, fault) in faults {
        let file = file(&options, &at(path));
        server.world().faults.extend(vec![fault; 8]);
        set_later(&cancel);
        let start = Instant::now();
        assert!(matches!(read(&*file, 0, 100), Err(Error::Cancelled)), "{path}");
        assert!(start.elapsed() < SOON, "{path}: {:?}", start.elapsed());
        cancel.store(false, Ordering::Relaxed);
        server.world().faults.clear();
        assert_eq!(read(&*file, 0, 100).unwrap(), content, "and then it is read");
    }
}

/// A stream of one source on a hub.
fn stream(options: &HubOptions, stop: &Arc<AtomicBool>) -> Stream {
    let files = files(options, &at("*.jsonl")).unwrap();
    let open: Open = Arc::new(move || Ok(Box::new(Source::open(files.clone(), spec())?)));
    let sources = vec![MixtureSource { name: "remote".into(), weight: 1.0, open }];
    let held_out = HeldOut::Documents { every: 5, index: 2 };
    let mixture = MixtureSpec { sources, seed: 3, shuffle_buffer: 4, at_end: AtEnd::Repeat, held_out };
    Stream::new(StreamSettings { stop: stop.clone(), ..settings(mixture, 2, 0, 1) }).unwrap()
}

/// Two files: the first one is fetched when the stream is opened, the second one when it is needed.
fn two_files() -> Server {
    let lines = |from: u64| (from..from + 12).map(|at| format!("{{\"text\": {:?}}}\n", words(at, 60))).collect::<String>();
    Server::start(&[("a.jsonl", lines(0).into_bytes()), ("b.jsonl", lines(20).into_bytes())])
}

#[test]
fn a_step_that_waits_for_data_is_cancelled_and_goes_on_later() {
    let server = two_files();
    let folders = [Folder::new(), Folder::new()];
    let never = Arc::default();
    let mut straight = stream(&waiting(&server, &folders[0], [&never; 2]), &never);
    let want: Vec<_> = (0..400).map(|_| next(&mut straight, 2).unwrap()).collect();
    assert!(straight.epochs() >= 1.0, "both files were read");

    let (cancel, stop) = (Arc::default(), Arc::default());
    let mut stream = stream(&waiting(&server, &folders[1], [&cancel, &stop]), &stop);
    server.world().faults.extend([Fault::Hang, Fault::Answer(429, "retry-after: 300\r\n")]);
    let done = Arc::default();
    set_often(&cancel, &done);
    let (start, mut num_cancelled) = (Instant::now(), 0);
    for (step, want) in want.iter().enumerate() {
        let mut out = vec![0; 2 * 17];
        while let Err(e) = stream.peek(0, &mut out, &Watch::new(&|_| (), &cancel)) {
            assert!(matches!(e, Error::Cancelled), "{e}");
            num_cancelled += 1;
            // The thread that reads ahead looks at the flag ten times a second; one that misses it waits for the next one.
            std::thread::sleep(LATER);
            // As a call leaves it.
            cancel.store(false, Ordering::Relaxed);
        }
        stream.advance(1);
        assert_eq!(out, want.concat(), "step {step}");
    }
    done.store(true, Ordering::Relaxed);
    assert!(num_cancelled >= 2 && start.elapsed() < 4 * SOON, "{num_cancelled} times, {:?}", start.elapsed());
}

#[test]
fn a_stream_that_waits_can_be_dropped() {
    let (server, folder) = (two_files(), Folder::new());
    let (never, stop) = (Arc::default(), Arc::default());
    let mut stream = stream(&waiting(&server, &folder, [&never, &stop]), &stop);
    server.world().faults.extend(vec![Fault::Hang; 8]);
    // This call is cancelled by a flag that the hub does not know: the thread that reads ahead goes on waiting.
    let cancel = Arc::new(AtomicBool::new(true));
    assert!(matches!(stream.peek(0, &mut [0; 34], &Watch::new(&|_| (), &cancel)), Err(Error::Cancelled)));
    while server.world().faults.len() == 8 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let start = Instant::now();
    drop(stream);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert!(!stop.load(Ordering::Relaxed), "the next one may read");
}
