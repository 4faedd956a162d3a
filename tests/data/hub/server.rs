//! A server that behaves like the hub: listings in pages, large files by a redirect to a second port, ranges, ETags,
//! and on request every fault that a network has.

pub use super::world::{COMMIT, DATASET, LARGE};

use super::world::{World, reply};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

/// What happens to a request instead of its answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This answer and these header lines.
    Answer(u16, &'static str),
    /// The connection closes before an answer.
    Close,
    /// The connection closes in the middle of the body.
    Cut,
    /// Nothing is ever answered.
    Hang,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// At the port that large files are redirected to.
    pub is_second: bool,
    pub path: String,
    pub token: Option<String>,
}

#[derive(Clone)]
pub struct Server {
    world: Arc<Mutex<World>>,
    pub endpoint: String,
}

impl Server {
    pub fn start(files: &[(&str, Vec<u8>)]) -> Self {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let [endpoint, second] = [0, 1].map(|at: usize| format!("http://{}", listeners[at].local_addr().expect("an address")));
        let world = Arc::new(Mutex::new(World::new(files, second)));
        for (listener, is_second) in listeners.into_iter().zip([false, true]) {
            let world = world.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let world = world.clone();
                    std::thread::spawn(move || while serve(&stream, &world, is_second).is_some() {});
                }
            });
        }
        Self { world, endpoint }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Bytes of content that were sent, and requests.
    pub fn traffic(&self) -> (u64, usize) {
        let world = self.world();
        (world.sent, world.seen.len())
    }

    /// Requests so far whose path contains `part`.
    pub fn count(&self, part: &str) -> usize {
        self.world().seen.iter().filter(|seen| seen.path.contains(part)).count()
    }
}

/// Answers one request of a connection; `None` when it is over.
fn serve(stream: &TcpStream, world: &Mutex<World>, is_second: bool) -> Option<()> {
    let mut lines = BufReader::new(stream).lines().map_while(|line| line.ok());
    let path = lines.next()?.split(' ').nth(1)?.to_string();
    let headers: Vec<(String, String)> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.into())))
        .collect();
    let header = |name: &str| headers.iter().find(|header| header.0 == name).map(|header| header.1.clone());
    let (fault, answer) = {
        let mut world = world.lock().unwrap();
        world.seen.push(Seen { is_second, path: path.clone(), token: header("authorization") });
        let fault = world.fault();
        let answer =
            if is_second { world.second(&path, header("range")) } else { world.first(&path, header("range"), header("authorization")) };
        (fault, answer)
    };
    let answer = match fault {
        Some(Fault::Close) => return None,
        Some(Fault::Hang) => loop {
            std::thread::park();
        },
        Some(Fault::Answer(status, head)) => reply(status, head, "fault"),
        _ => answer,
    };
    let cut = if matches!(fault, Some(Fault::Cut)) { answer.body.len() / 2 } else { answer.body.len() };
    if answer.is_content {
        world.lock().unwrap().sent += cut as u64;
    }
    let mut stream = stream;
    let head = format!("HTTP/1.1 {} Status\r\ncontent-length: {}\r\n{}\r\n", answer.status, answer.body.len(), answer.head);
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&answer.body[..cut]).ok()?;
    (cut == answer.body.len()).then_some(())
}
