//! How a call reports failure: a block that the caller owns, because calls run on any thread.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Result};

const MESSAGE_BYTES: usize = 1016;

/// 1024 bytes: code, message length, UTF-8 message (cut at a character when too long).
#[repr(C)]
pub struct Status {
    code: i32,
    len: u32,
    message: [u8; MESSAGE_BYTES],
}

/// Kinds of failure; `ffi/ts/status.ts` has the same list.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Ok = 0,
    Argument = 1,
    Handle = 2,
    Cancelled = 3,
    Data = 4,
    Checkpoint = 5,
    File = 6,
    NotFinite = 7,
    Internal = 8,
    Panic = 9,
    Device = 10,
}

impl From<&Error> for Code {
    fn from(error: &Error) -> Code {
        match error {
            Error::Plan { .. } | Error::Argument(_) => Code::Argument,
            Error::Handle(_) => Code::Handle,
            Error::Cancelled => Code::Cancelled,
            Error::Data { .. } => Code::Data,
            Error::Checkpoint { .. } => Code::Checkpoint,
            Error::File { .. } => Code::File,
            Error::NotFinite { .. } => Code::NotFinite,
            Error::Device(_) => Code::Device,
            Error::Internal(_) => Code::Internal,
        }
    }
}

impl Status {
    fn put(&mut self, code: Code, text: &str) {
        let mut n = text.len().min(MESSAGE_BYTES);
        while !text.is_char_boundary(n) {
            n -= 1;
        }
        self.message[..n].copy_from_slice(&text.as_bytes()[..n]);
        self.len = n as u32;
        self.code = code as i32;
    }

    /// Runs `body`; an error or a panic becomes a code and a message, and the call returns `R::default()`.
    pub fn guard<R: Default>(&mut self, body: impl FnOnce() -> Result<R>) -> R {
        match catch_unwind(AssertUnwindSafe(body)) {
            Ok(Ok(result)) => {
                self.put(Code::Ok, "");
                return result;
            }
            Ok(Err(error)) => self.put(Code::from(&error), &error.to_string()),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|s| s.to_string());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown panic".into());
                self.put(Code::Panic, &format!("Internal error: {text}"));
            }
        }
        R::default()
    }

    /// The code as the C result.
    pub fn code(&self) -> i32 {
        self.code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Status {
        Status { code: -1, len: 0, message: [0; MESSAGE_BYTES] }
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let mut status = empty();
        status.guard(|| Err::<(), _>(Error::Argument(format!("x{}", "\u{e9}".repeat(600)))));
        assert_eq!(status.code, Code::Argument as i32);
        assert_eq!(status.len, 1015, "1016 would cut the two bytes of the last character");
        assert!(std::str::from_utf8(&status.message[..status.len as usize]).is_ok());
    }

    #[test]
    fn a_panic_becomes_a_code_and_its_text() {
        let mut status = empty();
        let got: u32 = status.guard(|| panic!("boom"));
        assert_eq!((got, status.code), (0, Code::Panic as i32));
        assert_eq!(&status.message[..status.len as usize], b"Internal error: boom");
    }
}
