//! A network that fails: what is tried again, for how long, and what is said in the end.

use super::server::{Fault, Server};
use super::{at, file, files, noise, options, read, read_all};
use crate::common::{Folder, message};
use bowline::error::Error;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[test]
fn one_request_in_twenty_may_fail() {
    let folder = Folder::new();
    let contents: Vec<(String, Vec<u8>)> = (0..30).map(|at| (format!("{at:02}.parquet"), noise(150_000 + at))).collect();
    let server = Server::start(&contents.iter().map(|(path, content)| (path.as_str(), content.clone())).collect::<Vec<_>>());
    server.world().per_mille = 50;
    server.world().page_size = 2;
    let (options, waited) = options(&server, &folder.cache());
    let files = files(&options, &at("*.parquet")).unwrap();
    for (file, (path, content)) in files.iter().zip(&contents) {
        assert_eq!(read_all(&**file, 10_000).unwrap(), *content, "{path}");
    }
    let (sent, size) = (server.world().sent, contents.iter().map(|file| file.1.len() as u64).sum::<u64>());
    assert!(sent <= size + size / 10, "{sent} bytes were fetched for {size}");
    assert!(waited.take() > Duration::ZERO, "some requests failed");
}

#[test]
fn a_connection_cut_half_way_goes_on_where_it_was() {
    let folder = Folder::new();
    let content = noise(4 << 20);
    let server = Server::start(&[("a.jsonl", content.clone())]);
    let (options, _) = options(&server, &folder.cache());
    let file = file(&options, &at("a.jsonl"));
    // The first cuts the redirect, whose body nobody needs, each of the others halves what is left.
    server.world().faults.extend(vec![Fault::Cut; 10]);
    assert_eq!(read(&*file, 0, content.len()).unwrap(), content);
    assert_eq!(server.world().sent, content.len() as u64, "no byte twice");
}

#[test]
fn waits_are_as_long_as_asked_for_and_grow() {
    let folder = Folder::new();
    let server = Server::start(&[("a.jsonl", noise(100))]);
    let (options, waited) = options(&server, &folder.cache());
    let file = file(&options, &at("a.jsonl"));
    let fail = |faults: &[Fault]| server.world().faults.extend(faults.iter().cloned());
    fail(&[Fault::Answer(429, "retry-after: 7\r\n"), Fault::Answer(429, "ratelimit: \"resolvers\";r=0;t=20\r\n")]);
    read(&*file, 0, 10).unwrap();
    assert_eq!(waited.take(), Duration::from_secs(27));

    let server = Server::start(&[("a.jsonl", noise(100))]);
    let fail = |faults: &[Fault]| server.world().faults.extend(faults.iter().cloned());
    let (options, waited) = super::options(&server, &folder.cache());
    let file = super::file(&options, &at("a.jsonl"));
    fail(&[Fault::Answer(500, ""), Fault::Close, Fault::Answer(503, "retry-after: Wed, 21 Oct 2015 07:28:00 GMT\r\n"), Fault::Cut]);
    read(&*file, 0, 10).unwrap();
    let time = waited.take().as_millis();
    assert!((3750..=7500).contains(&time), "{time} ms, wanted half to all of 0.5 + 1 + 2 + 4 s");
    assert!(files(&options, &at("*")).is_ok());
}

#[test]
fn a_server_that_only_fails_is_given_up() {
    let folder = Folder::new();
    let server = Server::start(&[("a.jsonl", noise(100))]);
    let (options, waited) = options(&server, &folder.cache());
    let file = file(&options, &at("a.jsonl"));
    server.world().faults.extend(vec![Fault::Answer(503, ""); 8]);
    let says = message(read(&*file, 0, 10));
    assert!(says.contains(file.name()) && says.contains("HTTP 503 (8 attempts)") && says.contains("try again later"), "{says}");
    let time = waited.take().as_millis();
    assert!((31_750..=63_500).contains(&time), "{time} ms, wanted half to all of 0.5 + 1 + ... + 32 s");
    server.world().faults.extend(vec![Fault::Answer(429, "retry-after: 4000000000\r\n"); 8]);
    assert!(read(&*file, 0, 10).is_err());
    assert_eq!(waited.take(), Duration::from_secs(7 * 300), "nobody waits for a server for ever");
    assert!(read(&*file, 0, 10).is_ok(), "and then it works again");
}

#[test]
fn what_will_not_change_is_said_at_once() {
    let folder = Folder::new();
    let server = Server::start(&[("a.jsonl", noise(100))]);
    let (options, waited) = options(&server, &folder.cache());
    let file = file(&options, &at("a.jsonl"));
    for (status, head, wanted) in [
        (403, "x-error-code: GatedRepo\r\n", "accept its terms"),
        (401, "x-error-code: RepoNotFound\r\n", "no such dataset"),
        (404, "x-error-code: EntryNotFound\r\n", "no such file"),
        (410, "", "no such file"),
        (400, "", "HTTP 400; check HF_ENDPOINT"),
        (416, "", "name a fixed commit"),
    ] {
        server.world().faults.push_back(Fault::Answer(status, head));
        let says = message(read(&*file, 0, 10));
        assert!(says.contains(wanted) && says.contains(file.name()) && says.contains(&server.endpoint), "{says}");
        assert!(waited.take().is_zero(), "{status}");
    }
}

#[test]
fn an_unreachable_host_is_named_soon() {
    let folder = Folder::new();
    let server = Server::start(&[]);
    let (mut options, waited) = options(&server, &folder.cache());
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    options.endpoint = format!("http://{free}");
    let says = message(files(&options, "hf://datasets/org/set"));
    let wanted = [&format!("http://{free} cannot be reached"), "(3 attempts)", "HF_ENDPOINT", "hf://datasets/org/set"];
    assert!(wanted.iter().all(|wanted| says.contains(wanted)), "{says}");
    assert!(waited.take() <= Duration::from_millis(1500));
}

#[test]
fn a_host_that_never_answers_is_given_up() {
    let folder = Folder::new();
    let server = Server::start(&[]);
    let (mut options, _) = options(&server, &folder.cache());
    options.timeout = Duration::from_millis(20);
    options.attempts = 2;
    server.world().faults.extend([Fault::Hang, Fault::Hang]);
    let says = message(files(&options, "hf://datasets/org/set"));
    assert!(says.contains("timeout") && says.contains("(2 attempts)"), "{says}");
}

#[test]
fn a_read_can_be_cancelled_while_it_waits() {
    let folder = Folder::new();
    let server = Server::start(&[("a.jsonl", noise(100))]);
    let (mut options, _) = options(&server, &folder.cache());
    let slices = Arc::new(AtomicU32::new(0));
    let counter = slices.clone();
    options.sleep = Arc::new(move |time| {
        assert!(time <= Duration::from_millis(100));
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let counter = slices.clone();
    options.is_cancelled = Arc::new(move || counter.load(Ordering::Relaxed) == 21);
    let file = file(&options, &at("a.jsonl"));
    server.world().faults.push_back(Fault::Answer(429, "retry-after: 3600\r\n"));
    assert!(matches!(read(&*file, 0, 10), Err(Error::Cancelled)));
    assert_eq!(slices.load(Ordering::Relaxed), 21);
}
