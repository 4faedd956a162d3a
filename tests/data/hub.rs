//! Datasets on a hub: a server in this process behaves like one, with every fault that a network has.

mod address;
mod cache;
mod cancel;
mod faults;
mod listing;
mod parquet;
mod reading;
mod server;
mod world;

use crate::common::watched;
use bowline::data::hub::{Hub, HubOptions};
use bowline::data::source::{ReadAt, json_rows};
use bowline::error::Result;
use server::Server;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Time that was waited, and nothing slept.
#[derive(Clone, Default)]
struct Waited(Arc<Mutex<Duration>>);

impl Waited {
    fn take(&self) -> Duration {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

fn options(server: &Server, cache: &Path) -> (HubOptions, Waited) {
    let waited = Waited::default();
    let mut options = HubOptions::from_environment(cache, |_| None).unwrap();
    let clock = waited.clone();
    options.endpoint = server.endpoint.clone();
    options.seed = 7;
    options.sleep = Arc::new(move |time| *clock.0.lock().unwrap() += time);
    (options, waited)
}

fn files(options: &HubOptions, address: &str) -> Result<Vec<Arc<dyn ReadAt>>> {
    watched(|watch| Hub::open(options)?.files(address, watch))
}

/// The only file of an address.
fn file(options: &HubOptions, address: &str) -> Arc<dyn ReadAt> {
    let mut files = files(options, address).unwrap();
    assert_eq!(files.len(), 1);
    files.remove(0)
}

/// The address of a file of the server's dataset.
fn at(path: &str) -> String {
    format!("hf://datasets/{}/{path}", server::DATASET)
}

fn read(file: &dyn ReadAt, offset: u64, count: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    file.read_at(offset, &mut bytes)?;
    Ok(bytes)
}

/// The whole file in reads of `count` bytes.
fn read_all(file: &dyn ReadAt, count: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; file.len() as usize];
    for (number, part) in bytes.chunks_mut(count).enumerate() {
        file.read_at((number * count) as u64, part)?;
    }
    Ok(bytes)
}

/// The rows at a place of a dataset with these files; the requests for content that they took, and those of a second reading.
pub fn rows_of_hub(content: &[(&str, Vec<u8>)], path: &str, cache: &Path) -> (Vec<String>, usize, usize) {
    let server = Server::start(content);
    let (options, _) = options(&server, cache);
    let address = format!("hf://datasets/{}@refs/convert/parquet/{path}", server::DATASET);
    let read = || {
        let before = server.count("/resolve/");
        let rows: Vec<String> = files(&options, &address).unwrap().iter().flat_map(|file| json_rows(file).unwrap()).collect();
        (rows, server.count("/resolve/") - before)
    };
    let (rows, requests) = read();
    (rows, requests, read().1)
}

/// Bytes without a pattern, other ones each time.
fn noise(count: usize) -> Vec<u8> {
    static SEED: AtomicU64 = AtomicU64::new(1);
    let mut state = SEED.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..count).map(|_| next()).collect()
}
