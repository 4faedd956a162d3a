//! The engine for buffers in host memory: a thread makes the collectives one after the other while the caller computes.
//! Buffers are handed over to it and back, so that nobody can use one that is under way.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::{Control, Engine, Move, MoveKind};
use crate::backend::Backend;
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

enum Command<F> {
    /// Buffers with their numbers, and what to move of them.
    Moves(Vec<(usize, F)>, Vec<Move>),
    Gather(Vec<f64>),
    Leave,
}

enum Answer<F> {
    Moved(Vec<(usize, F)>),
    Gathered(Vec<f64>),
    Left,
}

/// What the thread answers.
type Reply<F> = Result<Answer<F>>;

/// A thread with collectives.
pub struct HostEngine<B: Backend> {
    name: &'static str,
    commands: Sender<Command<B::F>>,
    replies: Receiver<Reply<B::F>>,
    control: Option<Control>,
    /// Groups of moves that were started and not finished.
    num_started: usize,
}

impl<B: Backend> HostEngine<B> {
    /// Starts the thread, which opens the collectives. What `open` gives beside them is returned.
    pub fn start<C: HostCollectives, R: Send + 'static>(
        name: &'static str,
        host_mut: fn(&mut B::F) -> Option<&mut [f32]>,
        open: impl FnOnce() -> Result<(C, R)> + Send + 'static,
    ) -> Result<(Self, R)> {
        let (commands, inbox) = channel();
        let (outbox, replies) = channel();
        let (opened, opening) = channel();
        let work = move || match open() {
            Err(error) => drop(opened.send(Err(error))),
            Ok((mut collectives, rest)) => {
                if opened.send(Ok(rest)).is_ok() {
                    serve(&mut collectives, host_mut, &inbox, &outbox);
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

    fn send(&self, command: Command<B::F>) -> Result<()> {
        self.commands.send(command).map_err(|_| ended(self.name))
    }

    fn receive(&self) -> Result<Answer<B::F>> {
        loop {
            match self.replies.recv_timeout(LOOK) {
                Ok(reply) => return reply,
                Err(RecvTimeoutError::Disconnected) => return Err(ended(self.name)),
                Err(RecvTimeoutError::Timeout) => match self.control.as_ref().and_then(Control::failure) {
                    Some(error) => return Err(error),
                    None => {}
                },
            }
        }
    }
}

fn ended(name: &str) -> Error {
    Error::Internal(format!("the thread for {name} has ended"))
}

/// Does what is asked until nobody asks any more.
fn serve<F>(
    collectives: &mut impl HostCollectives,
    host_mut: fn(&mut F) -> Option<&mut [f32]>,
    inbox: &Receiver<Command<F>>,
    outbox: &Sender<Reply<F>>,
) {
    while let Ok(command) = inbox.recv() {
        let reply = match command {
            Command::Gather(values) => collectives.all_gather(&values).map(Answer::Gathered),
            Command::Leave => collectives.leave().map(|()| Answer::Left),
            Command::Moves(mut buffers, moves) => {
                let done = moves.iter().try_for_each(|m| {
                    let buffer = buffers.iter_mut().find(|(number, _)| *number == m.buffer).and_then(|(_, x)| host_mut(x));
                    let x = &mut buffer.ok_or_else(|| Error::Internal("a buffer is not in host memory".into()))?[m.at..m.at + m.len];
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

impl<B: Backend> Engine<B> for HostEngine<B> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn start(&mut self, b: &B, moves: &[Move], buffers: &mut [B::F]) -> Result<()> {
        let mut numbers: Vec<usize> = moves.iter().map(|m| m.buffer).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let given = numbers.into_iter().map(|number| Ok((number, std::mem::replace(&mut buffers[number], b.zeros(0)?))));
        let given = given.collect::<Result<Vec<_>>>()?;
        self.send(Command::Moves(given, moves.to_vec()))?;
        self.num_started += 1;
        Ok(())
    }

    fn finish(&mut self, _: &B, buffers: &mut [B::F]) -> Result<()> {
        while self.num_started > 0 {
            let Answer::Moved(given) = self.receive()? else { return Err(Error::Internal("an answer to another question".into())) };
            given.into_iter().for_each(|(number, buffer)| buffers[number] = buffer);
            self.num_started -= 1;
        }
        Ok(())
    }

    fn all_gather(&mut self, _: &B, values: &[f64]) -> Result<Vec<f64>> {
        debug_assert_eq!(self.num_started, 0, "moves are under way");
        self.send(Command::Gather(values.to_vec()))?;
        match self.receive()? {
            Answer::Gathered(all) => Ok(all),
            _ => Err(Error::Internal("an answer to another question".into())),
        }
    }

    fn leave(&mut self, _: &B) -> Result<()> {
        self.send(Command::Leave)?;
        self.receive().map(|_| ())
    }
}
