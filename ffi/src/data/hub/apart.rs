//! Waits for a host that can be left: a blocked read of a socket cannot be woken, so it stands on a thread of its own. Who
//! wants to stop leaves it there, where its timeout ends it.

use super::client::{Failure, SLICE, Stop};
use crate::error::Error;
use std::io::Read;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use ureq::Body;

/// Up to `limit` bytes of a body, and what went wrong before its end.
pub(super) fn content(body: Body, limit: u64, stop: &Stop) -> std::result::Result<(Vec<u8>, Option<std::io::Error>), Failure> {
    let read = move || {
        let mut bytes = Vec::new();
        let failure = body.into_reader().take(limit).read_to_end(&mut bytes).err();
        (bytes, failure)
    };
    apart(read, stop)
}

/// Does what may wait for a host on a thread of its own. Fails when `stop` does.
pub(super) fn apart<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static, stop: &Stop) -> std::result::Result<T, Failure> {
    let (sender, result) = sync_channel(1);
    let thread = std::thread::Builder::new().name("bowline-hub".into()).spawn(move || sender.send(wait()));
    thread.map_err(|e| Failure::Final(Error::Internal(format!("starting a thread that waits for the hub: {e}"))))?;
    loop {
        match result.recv_timeout(SLICE) {
            Ok(value) => return Ok(value),
            Err(RecvTimeoutError::Timeout) => stop().map_err(Failure::Final)?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::Final(Error::Internal("the thread that waits for the hub ended".into())));
            }
        }
    }
}
