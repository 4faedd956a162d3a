//! Ranks that are threads of this process: the plainest collectives.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};

use bowline::comm::{Comm, HostCollectives, HostEngine, Place};
use bowline::cpu::Cpu;
use bowline::error::Result;

/// What all ranks see.
struct Table {
    barrier: Barrier,
    floats: Mutex<Vec<Vec<f32>>>,
    doubles: Mutex<Vec<Vec<f64>>>,
}

struct Rank {
    rank: usize,
    table: Arc<Table>,
    /// From this rank to the first.
    outgoing: Sender<Vec<f32>>,
    /// To the first rank, by sender; empty at others.
    incoming: Vec<Receiver<Vec<f32>>>,
}

impl Rank {
    /// The values of all ranks, by rank.
    fn exchange(&self, x: &[f32]) -> Vec<Vec<f32>> {
        self.table.floats.lock().unwrap()[self.rank] = x.to_vec();
        self.table.barrier.wait();
        let all = self.table.floats.lock().unwrap().clone();
        self.table.barrier.wait();
        all
    }
}

impl HostCollectives for Rank {
    fn reduce(&mut self, x: &mut [f32], owner: usize) -> Result<()> {
        let all = self.exchange(x);
        // what others have is of no use: nobody may read it
        x.fill(f32::NAN);
        if self.rank == owner {
            x.fill(0.0);
            all.iter().for_each(|part| x.iter_mut().zip(part).for_each(|(x, part)| *x += part));
        }
        Ok(())
    }
    fn broadcast(&mut self, x: &mut [f32], owner: usize) -> Result<()> {
        let all = self.exchange(x);
        x.copy_from_slice(&all[owner]);
        Ok(())
    }
    fn deliver(&mut self, x: &mut [f32], owner: usize) -> Result<()> {
        match self.rank {
            0 => x.copy_from_slice(&self.incoming[owner].recv().expect("sent")),
            _ => self.outgoing.send(x.to_vec()).expect("received"),
        }
        Ok(())
    }
    fn all_gather(&mut self, x: &[f64]) -> Result<Vec<f64>> {
        self.table.doubles.lock().unwrap()[self.rank] = x.to_vec();
        self.table.barrier.wait();
        let all = self.table.doubles.lock().unwrap().concat();
        self.table.barrier.wait();
        Ok(all)
    }
    fn leave(&mut self) -> Result<()> {
        self.table.barrier.wait();
        Ok(())
    }
}

/// Runs `body` as each of `world` ranks, and returns what they give.
pub fn ranks<R: Send>(world: usize, body: impl Fn(Comm<Cpu>) -> R + Sync) -> Vec<R> {
    let table =
        Arc::new(Table { barrier: Barrier::new(world), floats: vec![Vec::new(); world].into(), doubles: vec![Vec::new(); world].into() });
    let (senders, mut receivers): (Vec<_>, Vec<_>) = (0..world).map(|_| channel()).unzip();
    std::thread::scope(|scope| {
        let started: Vec<_> = senders
            .into_iter()
            .enumerate()
            .map(|(rank, outgoing)| {
                let incoming = if rank == 0 { std::mem::take(&mut receivers) } else { Vec::new() };
                let collectives = Rank { rank, table: table.clone(), outgoing, incoming };
                let body = &body;
                scope.spawn(move || {
                    let (engine, ()) = HostEngine::start("threads", move || Ok((collectives, ()))).expect("a thread");
                    body(Comm::new(Place { rank, world, ..Place::alone() }, Box::new(engine), None))
                })
            })
            .collect();
        started.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}
