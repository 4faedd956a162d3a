//! A file as a stream of decoded bytes from any place on. Compressed streams are decoded from their start, at about
//! 1 GB/s, and what stands before the place is thrown away.

use super::ReadAt;
use super::fault::Fault;
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use zstd::stream::read::Decoder as ZstdDecoder;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// Bytes that are asked for at once: few requests to a host, and not much to hold.
const READ_BYTES: usize = 1 << 20;

/// Largest window of a zstd frame, as a power of two; `zstd --long=31` writes it.
const WINDOW_LOG_MAX: u32 = 31;

/// Reads a `ReadAt` from a place on.
struct Stream {
    file: Arc<dyn ReadAt>,
    at: u64,
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.file.len().saturating_sub(self.at);
        let count = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if count > 0 {
            self.file.read_at(self.at, &mut buf[..count]).map_err(io::Error::other)?;
            self.at += count as u64;
        }
        Ok(count)
    }
}

/// The bytes of `file` behind `compression`, from decoded byte `from` on.
pub(super) fn decoded(file: &Arc<dyn ReadAt>, compression: Compression, from: u64) -> Result<Box<dyn BufRead + Send>, Fault> {
    if compression == Compression::None {
        return Ok(Box::new(BufReader::with_capacity(READ_BYTES, Stream { file: Arc::clone(file), at: from })));
    }
    if file.is_empty() {
        return Err(Fault::bad("it has no bytes, not even the header of compressed data"));
    }
    let stream = BufReader::with_capacity(READ_BYTES, Stream { file: Arc::clone(file), at: 0 });
    let broken = |e: &io::Error| format!("the compressed data cannot be decoded ({e})");
    let mut reader: Box<dyn BufRead + Send> = match compression {
        Compression::Gzip => Box::new(BufReader::with_capacity(READ_BYTES, MultiGzDecoder::new(stream))),
        _ => {
            let mut decoder = ZstdDecoder::with_buffer(stream).map_err(|e| Fault::from_io(e, broken))?;
            decoder.window_log_max(WINDOW_LOG_MAX).map_err(|e| Fault::from_io(e, broken))?;
            Box::new(BufReader::with_capacity(READ_BYTES, decoder))
        }
    };
    let skipped = io::copy(&mut reader.by_ref().take(from), &mut io::sink()).map_err(|e| Fault::from_io(e, broken))?;
    if skipped < from {
        return Err(Fault::bad(format!("it decodes to {skipped} bytes, and byte {from} was to be read next")));
    }
    Ok(reader)
}
