//! The engine for buffers in host memory: a thread makes the collectives one after the other while the caller computes.
//! Buffers are handed over to it and back, so that nobody can use one that is under way.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::{Control, Engine, Move, MoveKind};
use crate::cpu::Cpu;
use crate::error::{Error, Result};

/// How often a wait looks whether a rank is gone.
const LOOK: Duration = Duration::from_millis(20);

/// Collectives over host memory, called by one thread.
pub trait HostCollectives {
    /// `x` of `owner` becomes the sum over ranks.
    fn reduce(&mut self, x: &mut [f32], owner: usize) -> Result<()>;
    /// `x` becomes that of `owner`.
    fn broadcast(&mut self, x: &mut [f32], owner: usize) -> Result<()>;
    /// `x` of rank 0 becomes that of `owner`; called by these two.
    fn deliver(&mut self, x: &mut [f32], owner: usize) -> Result<()>;
    /// The values of every rank, by rank.
    fn all_gather(&mut self, x: &[f64]) -> Result<Vec<f64>>;
    /// The end.
    fn leave(&mut self) -> Result<()>;
}

enum Command {
    /// Buffers with their numbers, and what to move of them.
    Moves(Vec<(usize, Vec<f32>)>, Vec<Move>),
    Gather(Vec<f64>),
    Leave,
}

enum Answer {
    Moved(Vec<(usize, Vec<f32>)>),
    Gathered(Vec<f64>),
    Left,
}

/// What the thread answers.
type Reply = Result<Answer>;

/// A thread with collectives.
pub struct HostEngine {
    name: &'static str,
    commands: Sender<Command>,
    replies: Receiver<Reply>,
    control: Option<Control>,
    /// Groups of moves that were started and not finished.
    num_started: usize,
}

impl HostEngine {
    /// Starts the thread, which opens the collectives. What `open` gives beside them is returned.
    pub fn start<C: HostCollectives, R: Send + 'static>(
        name: &'static str,
        open: impl FnOnce() -> Result<(C, R)> + Send + 'static,
    ) -> Result<(Self, R)> {
        let (commands, inbox) = channel();
        let (outbox, replies) = channel();
        let (opened, opening) = channel();
        let work = move || match open() {
            Err(error) => drop(opened.send(Err(error))),
            Ok((mut collectives, rest)) => {
                if opened.send(Ok(rest)).is_ok() {
                    serve(&mut collectives, &inbox, &outbox);
                }
            }
        };
        let thread = std::thread::Builder::new().name(format!("bowline-{name}"));
        thread.spawn(work).map_err(|error| Error::Internal(format!("Cannot start a thread for {name}: {error}")))?;
        let rest = opening.recv().map_err(|_| ended(name))??;
        Ok((HostEngine { name, commands, replies, control: None, num_started: 0 }, rest))
    }

    /// Waits no longer than `control` sees all ranks alive.
    pub fn watch(&mut self, control: Control) {
        self.control = Some(control);
    }

    fn send(&self, command: Command) -> Result<()> {
        self.commands.send(command).map_err(|_| ended(self.name))
    }

    fn receive(&self) -> Result<Answer> {
        loop {
            match self.replies.recv_timeout(LOOK) {
                Ok(reply) => return reply,
                Err(RecvTimeoutError::Disconnected) => return Err(ended(self.name)),
                Err(RecvTimeoutError::Timeout) => self.control.as_ref().and_then(Control::failure).map_or(Ok(()), Err)?,
            }
        }
    }
}

fn ended(name: &str) -> Error {
    Error::Internal(format!("the thread for {name} has ended"))
}

/// Does what is asked until nobody asks any more.
fn serve(collectives: &mut impl HostCollectives, inbox: &Receiver<Command>, outbox: &Sender<Reply>) {
    while let Ok(command) = inbox.recv() {
        let reply = match command {
            Command::Gather(values) => collectives.all_gather(&values).map(Answer::Gathered),
            Command::Leave => collectives.leave().map(|()| Answer::Left),
            Command::Moves(mut buffers, moves) => {
                let done = moves.iter().try_for_each(|m| {
                    let buffer = buffers.iter_mut().find(|(number, _)| *number == m.buffer);
                    let (_, buffer) = buffer.ok_or_else(|| Error::Internal("a move of a buffer that was not given".into()))?;
                    let x = &mut buffer[m.at..m.at + m.len];
                    match m.kind {
                        MoveKind::Reduce => collectives.reduce(x, m.owner),
                        MoveKind::Broadcast => collectives.broadcast(x, m.owner),
                        MoveKind::Deliver => collectives.deliver(x, m.owner),
                    }
                });
                done.map(|()| Answer::Moved(buffers))
            }
        };
        if outbox.send(reply).is_err() {
            return;
        }
    }
}

impl Engine<Cpu> for HostEngine {
    fn name(&self) -> &'static str {
        self.name
    }

    fn start(&mut self, _: &Cpu, moves: &[Move], buffers: &mut [Vec<f32>]) -> Result<()> {
        let mut numbers: Vec<usize> = moves.iter().map(|m| m.buffer).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let given = numbers.into_iter().map(|number| (number, std::mem::take(&mut buffers[number]))).collect();
        self.send(Command::Moves(given, moves.to_vec()))?;
        self.num_started += 1;
        Ok(())
    }

    fn finish(&mut self, _: &Cpu, buffers: &mut [Vec<f32>]) -> Result<()> {
        while self.num_started > 0 {
            let Answer::Moved(given) = self.receive()? else { return Err(Error::Internal("an answer to another question".into())) };
            given.into_iter().for_each(|(number, buffer)| buffers[number] = buffer);
            self.num_started -= 1;
        }
        Ok(())
    }

    fn all_gather(&mut self, _: &Cpu, values: &[f64]) -> Result<Vec<f64>> {
        debug_assert_eq!(self.num_started, 0, "moves are under way");
        self.send(Command::Gather(values.to_vec()))?;
        match self.receive()? {
            Answer::Gathered(all) => Ok(all),
            _ => Err(Error::Internal("an answer to another question".into())),
        }
    }

    fn leave(&mut self, _: &Cpu) -> Result<()> {
        self.send(Command::Leave)?;
        self.receive().map(|_| ())
    }
}
