//! What a token file says about itself: NumPy's header, that of llm.c, or nothing.

use super::fault::Fault;
use super::{ReadAt, TokenType};
use crate::error::Error;

/// Where the ids of a file stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Byte of the first id.
    pub start: u64,
    pub dtype: TokenType,
    /// Number of ids.
    pub count: u64,
}

const NUMPY_MAGIC: &[u8] = b"\x93NUMPY";

/// Longest header of NumPy that is read; real ones have 128 bytes.
const NUMPY_HEADER_BYTES: u64 = 1 << 16;

/// Headers that llm.c writes: 256 i32, of which the first three are magic number, version and number of tokens.
const LLM_C: &[(u32, u32, TokenType)] = &[(20_240_520, 1, TokenType::U16), (20_240_801, 7, TokenType::U32)];
const LLM_C_HEADER_BYTES: u64 = 1024;

/// The layout of `file`. `dtype` is what the source says, which a header must not contradict.
pub(super) fn layout(file: &dyn ReadAt, dtype: Option<TokenType>) -> Result<Layout, Fault> {
    let mut head = vec![0; file.len().min(NUMPY_HEADER_BYTES) as usize];
    file.read_at(0, &mut head)?;
    let found = match numpy(&head, file.len())? {
        Some(layout) => Some(layout),
        None => llm_c(&head, file.len())?,
    };
    match (found, dtype) {
        (Some(layout), Some(dtype)) if layout.dtype != dtype => {
            let reason = format!("its header says {:?}, and the source says {dtype:?}; leave data type of the source out", layout.dtype);
            Err(Error::data(file.name(), reason).into())
        }
        (Some(layout), _) => Ok(layout),
        (None, None) => {
            let reason = "it has no header that says the type of its ids; set the data type of the source, \"u16\" or \"u32\"";
            Err(Error::data(file.name(), reason).into())
        }
        (None, Some(dtype)) => match file.len() % dtype.width() as u64 {
            0 => Ok(Layout { start: 0, dtype, count: file.len() / dtype.width() as u64 }),
            _ => Err(Fault::bad(format!("its {} bytes are no whole number of ids of {} bytes", file.len(), dtype.width()))),
        },
    }
}

/// Reads `{'descr': '<u2', 'fortran_order': False, 'shape': (5,), }`.
fn numpy(head: &[u8], len: u64) -> Result<Option<Layout>, Fault> {
    if !head.starts_with(NUMPY_MAGIC) {
        return Ok(None);
    }
    let wrong = |what: &str| Fault::bad(format!("its NumPy header {what}"));
    let (text, start) = match head[NUMPY_MAGIC.len()..] {
        [1, _, a, b, ref rest @ ..] => (rest.get(..usize::from(u16::from_le_bytes([a, b]))), 10),
        [2 | 3, _, a, b, c, d, ref rest @ ..] => (rest.get(..u32::from_le_bytes([a, b, c, d]) as usize), 12),
        _ => return Err(wrong("has an unknown version")),
    };
    let text = text.and_then(|text| std::str::from_utf8(text).ok()).ok_or_else(|| wrong("ends early"))?;
    let field = |name: &str| text.split_once(&format!("'{name}':")).map(|(_, rest)| rest.trim_start());
    let descr = field("descr").and_then(|rest| rest.strip_prefix('\'')).and_then(|rest| rest.split('\'').next());
    let dtype = match descr {
        Some("|u1") => TokenType::U8,
        Some("<u2") => TokenType::U16,
        Some("<u4") => TokenType::U32,
        Some("<i4") => TokenType::I32,
        Some("<i8") => TokenType::I64,
        other => return Err(wrong(&format!("has the type {}; wanted u1, u2, u4, i4 or i8, little endian", other.unwrap_or("nothing")))),
    };
    let shape = field("shape").and_then(|rest| rest.strip_prefix('(')).and_then(|rest| rest.split(')').next());
    let count = shape.and_then(|shape| shape.trim_end().trim_end_matches(',').trim().parse::<u64>().ok());
    let count = count.ok_or_else(|| wrong("does not have one dimension"))?;
    whole(Layout { start: start + text.len() as u64, dtype, count }, len).map(Some)
}

fn llm_c(head: &[u8], len: u64) -> Result<Option<Layout>, Fault> {
    let (words, _) = head.as_chunks::<4>();
    let Some(&[magic, version, count]) = words.first_chunk::<3>() else { return Ok(None) };
    let (magic, version) = (u32::from_le_bytes(magic), u32::from_le_bytes(version));
    let Some(&(_, _, dtype)) = LLM_C.iter().find(|known| (known.0, known.1) == (magic, version)) else { return Ok(None) };
    whole(Layout { start: LLM_C_HEADER_BYTES, dtype, count: u64::from(u32::from_le_bytes(count)) }, len).map(Some)
}

/// Refuses a header that stands before another number of ids than it says.
fn whole(layout: Layout, len: u64) -> Result<Layout, Fault> {
    let bytes = layout.count.checked_mul(layout.dtype.width() as u64);
    match bytes.and_then(|bytes| bytes.checked_add(layout.start)) {
        Some(end) if end == len => Ok(layout),
        _ => {
            let (count, has) = (layout.count, len.saturating_sub(layout.start));
            Err(Fault::bad(format!("its header says {count} ids of {} bytes, and {has} bytes follow it", layout.dtype.width())))
        }
    }
}

/// Ids from `bytes`, which are whole ones, appended to `ids`; an id that is negative or too large is an error with its
/// number among them.
pub(super) fn decode(bytes: &[u8], dtype: TokenType, ids: &mut Vec<u32>) -> Result<(), String> {
    match dtype {
        TokenType::U8 => ids.extend(bytes.iter().map(|&id| u32::from(id))),
        TokenType::U16 => ids.extend(bytes.as_chunks().0.iter().map(|&id| u32::from(u16::from_le_bytes(id)))),
        TokenType::U32 => ids.extend(bytes.as_chunks().0.iter().map(|&id| u32::from_le_bytes(id))),
        TokenType::I32 => return signed(bytes.as_chunks().0.iter().map(|&id| i64::from(i32::from_le_bytes(id))), ids),
        TokenType::I64 => return signed(bytes.as_chunks().0.iter().map(|&id| i64::from_le_bytes(id)), ids),
    }
    Ok(())
}

fn signed(wide: impl Iterator<Item = i64>, ids: &mut Vec<u32>) -> Result<(), String> {
    for id in wide {
        ids.push(u32::try_from(id).map_err(|_| format!("{id} is no token id"))?);
    }
    Ok(())
}
