//! The line between rank 0 and every other rank that tells who is gone: a TCP connection that stays open for the whole
//! run. A rank that fails says why; one that dies closes its connection without a word; one that hangs is silent. Rank 0
//! tells all others, so that every rank knows the same name. What a call waits for then ends with that error, and a
//! process that is stuck in a library is ended after a grace time.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How long ranks look for each other.
const MEETING: Duration = Duration::from_secs(120);
/// How often a rank says that it lives, and how long it may be silent.
const BEAT: Duration = Duration::from_secs(2);
const SILENCE: Duration = Duration::from_secs(15);
/// How long a process has to end by itself after a rank has gone, and then to run what it does at its exit.
const GRACE: Duration = Duration::from_secs(5);

/// First words of the lines that ranks send.
const HELLO: &str = "hello";
const FAILED: &str = "failed ";
const LEFT: &str = "left";
const WORD: &str = "word ";

/// The lines to the other ranks.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
    /// Set when a rank is gone: stops what this process computes.
    gone: Arc<AtomicBool>,
}

struct Shared {
    rank: usize,
    world: usize,
    /// To all others at rank 0; to rank 0 elsewhere.
    peers: Vec<Mutex<TcpStream>>,
    failure: Mutex<Option<String>>,
    is_leaving: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn refused(what: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Device(format!("Cannot meet the other ranks: {what}: {error}"))
}

impl Control {
    /// Rank 0: waits for all others on `listener`, and gives each of them `word`.
    pub fn host(listener: TcpListener, world: usize, word: &str) -> Result<Self> {
        let deadline = Instant::now() + MEETING;
        listener.set_nonblocking(true).map_err(|e| refused("waiting for them", &e))?;
        let mut peers: Vec<(usize, TcpStream, BufReader<TcpStream>)> = Vec::new();
        while peers.len() + 1 < world {
            match listener.accept() {
                Ok((stream, _)) => {
                    // A stranger is sent away.
                    let Some((rank, reader)) = greeted(&stream, world) else { continue };
                    if peers.iter().any(|(known, ..)| *known == rank) {
                        return Err(refused("counting them", &format!("two say that they are rank {rank}")));
                    }
                    peers.push((rank, stream, reader));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if Instant::now() > deadline {
                        let missing: Vec<_> =
                            (1..world).filter(|rank| peers.iter().all(|(known, ..)| known != rank)).map(|rank| rank.to_string()).collect();
                        let who = if missing.len() == 1 { "rank" } else { "ranks" };
                        return Err(refused("waiting for them", &format!("{who} {} did not come", missing.join(", "))));
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => return Err(refused("waiting for them", &error)),
            }
        }
        peers.sort_by_key(|(rank, ..)| *rank);
        let mut readers = Vec::new();
        let mut kept = Vec::new();
        for (rank, mut stream, reader) in peers {
            stream.write_all(format!("{WORD}{word}\n").as_bytes()).map_err(|e| refused(&format!("greeting rank {rank}"), &e))?;
            readers.push((rank, reader));
            kept.push(stream.into());
        }
        Self::start(0, world, kept, readers)
    }

    /// Another rank: finds rank 0 at one of `addresses`; also returns its word.
    pub fn guest(addresses: &[(String, u16)], rank: usize, world: usize) -> Result<(Self, String)> {
        let deadline = Instant::now() + MEETING;
        let mut stream = loop {
            let found = addresses.iter().filter_map(|address| address.to_socket_addrs().ok()).flatten();
            // While nobody listens, a port that the system chose for this end may be the very one it looks for.
            let is_other = |stream: &TcpStream| stream.local_addr().ok() != stream.peer_addr().ok();
            let stream = found.filter_map(|at| TcpStream::connect_timeout(&at, BEAT).ok()).find(is_other);
            match stream {
                Some(stream) => break stream,
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
                None => {
                    let places: Vec<_> = addresses.iter().map(|(host, port)| format!("{host}:{port}")).collect();
                    return Err(refused("looking for rank 0", &format!("nobody answers at {}", places.join(" or "))));
                }
            }
        };
        let reading = |e: std::io::Error| refused("greeting rank 0", &e);
        stream.set_read_timeout(Some(MEETING)).map_err(reading)?;
        stream.write_all(format!("{HELLO} {rank} {world}\n").as_bytes()).map_err(reading)?;
        let mut reader = BufReader::new(stream.try_clone().map_err(reading)?);
        let mut line = String::new();
        reader.read_line(&mut line).map_err(reading)?;
        let Some(word) = line.trim_end_matches('\n').strip_prefix(WORD) else {
            return Err(refused("greeting rank 0", &"it sent this rank away; is another run using the port? (MASTER_PORT)"));
        };
        let control = Self::start(rank, world, vec![stream.into()], vec![(0, reader)])?;
        Ok((control, word.to_string()))
    }

    fn start(rank: usize, world: usize, peers: Vec<Mutex<TcpStream>>, readers: Vec<(usize, BufReader<TcpStream>)>) -> Result<Self> {
        for peer in &peers {
            let stream = lock(peer);
            let set = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(SILENCE)));
            set.and_then(|()| stream.set_write_timeout(Some(BEAT))).map_err(|e| refused("setting up the line", &e))?;
        }
        let shared = Arc::new(Shared { rank, world, peers, failure: Mutex::new(None), is_leaving: AtomicBool::new(false) });
        let control = Control { shared, gone: Arc::default() };
        for (peer, reader) in readers {
            let control = control.clone();
            spawn(move || control.listen(peer, reader))?;
        }
        let beating = control.clone();
        spawn(move || beating.beat())?;
        Ok(control)
    }

    /// What ended the run, if something did.
    pub fn failure(&self) -> Option<Error> {
        lock(&self.shared.failure).as_ref().map(|text| Error::Device(text.clone()))
    }

    /// Set when a rank is gone.
    pub fn gone(&self) -> &Arc<AtomicBool> {
        &self.gone
    }

    /// This rank cannot go on. Returns what there is to say here: this error, or what another rank said before. After
    /// `leave` that concerns nobody else.
    pub fn fail(&self, error: Error) -> Error {
        if self.shared.is_leaving.load(Ordering::Relaxed) {
            return error;
        }
        let text = format!("Cannot go on: rank {} of {} failed: {error}", self.shared.rank, self.shared.world);
        if self.end(&text) { error } else { self.failure().unwrap_or(error) }
    }

    /// This rank is done, and so are all others.
    pub fn leave(&self) {
        self.shared.is_leaving.store(true, Ordering::Relaxed);
        self.tell(&format!("{LEFT}\n"));
    }

    /// Notes why the run ends, and tells the others, unless it was known.
    fn end(&self, text: &str) -> bool {
        {
            let mut failure = lock(&self.shared.failure);
            if failure.is_some() {
                return false;
            }
            *failure = Some(text.to_string());
        }
        self.gone.store(true, Ordering::Relaxed);
        self.tell(&format!("{FAILED}{}\n", text.replace('\n', " ")));
        let text = text.to_string();
        // Whatever this process is stuck in, it ends.
        let _ = spawn(move || {
            std::thread::sleep(GRACE);
            eprintln!("error: {text}");
            let _ = spawn(|| {
                std::thread::sleep(GRACE);
                std::process::abort();
            });
            std::process::exit(1);
        });
        true
    }

    fn tell(&self, line: &str) {
        // Who cannot be told is gone, which whoever listens to it notices.
        self.shared.peers.iter().for_each(|peer| drop(lock(peer).write_all(line.as_bytes())));
    }

    /// Says now and then that this process lives.
    fn beat(&self) {
        while !self.gone.load(Ordering::Relaxed) && !self.shared.is_leaving.load(Ordering::Relaxed) {
            self.tell("\n");
            std::thread::sleep(BEAT);
        }
    }

    /// Listens to a peer until it leaves, fails or is gone.
    fn listen(&self, peer: usize, mut reader: BufReader<TcpStream>) {
        let died = |how: &str| format!("Cannot go on: rank {peer} of {} died: {how}", self.shared.world);
        let mut line = String::new();
        loop {
            line.clear();
            let text = match reader.read_line(&mut line) {
                Ok(0) => died("its connection ended"),
                Ok(_) if line.trim_end() == LEFT => return,
                Ok(_) => match line.trim_end().strip_prefix(FAILED) {
                    Some(text) => text.to_string(),
                    None => continue,
                },
                // what this rank had sent was not read any more
                Err(error) if error.kind() == ErrorKind::ConnectionReset => died("its connection ended"),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    died(&format!("nothing was heard of it for {} seconds", SILENCE.as_secs()))
                }
                Err(error) => died(&error.to_string()),
            };
            if !self.shared.is_leaving.load(Ordering::Relaxed) {
                self.end(&text);
            }
            return;
        }
    }
}

/// The rank that a newcomer says it is, if it is one of ours.
fn greeted(stream: &TcpStream, world: usize) -> Option<(usize, BufReader<TcpStream>)> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(BEAT)).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let is_ours = words.next() == Some(HELLO);
    let rank = words.next()?.parse().ok()?;
    let same_world = words.next()?.parse() == Ok(world);
    (is_ours && same_world && (1..world).contains(&rank)).then_some((rank, reader))
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name("bowline-control".into()).spawn(work);
    thread.map(drop).map_err(|error| Error::Internal(format!("Cannot start a thread: {error}")))
}
