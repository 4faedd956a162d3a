//! Token ids in memory and on disk: two bytes each where every id fits, else four; little endian.

/// A long list of token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenIds {
    U16(Vec<u16>),
    U32(Vec<u32>),
}

impl TokenIds {
    /// An empty list for ids below `vocab`.
    pub fn for_vocab(vocab: usize) -> Self {
        if vocab <= 1 << 16 { TokenIds::U16(Vec::new()) } else { TokenIds::U32(Vec::new()) }
    }

    /// Appends ids, all below the vocabulary of `for_vocab`.
    pub fn extend(&mut self, ids: &[u32]) {
        match self {
            TokenIds::U16(list) => list.extend(ids.iter().map(|&id| {
                debug_assert!(id <= u32::from(u16::MAX));
                id as u16
            })),
            TokenIds::U32(list) => list.extend_from_slice(ids),
        }
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        match self {
            TokenIds::U16(list) => list.len(),
            TokenIds::U32(list) => list.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id at `at`.
    pub fn get(&self, at: usize) -> u32 {
        match self {
            TokenIds::U16(list) => u32::from(list[at]),
            TokenIds::U32(list) => list[at],
        }
    }

    /// Copies the ids from `start` on into `out`.
    pub fn copy_to(&self, start: usize, out: &mut [i32]) {
        let end = start + out.len();
        match self {
            TokenIds::U16(list) => out.iter_mut().zip(&list[start..end]).for_each(|(to, &from)| *to = i32::from(from)),
            TokenIds::U32(list) => out.iter_mut().zip(&list[start..end]).for_each(|(to, &from)| *to = from as i32),
        }
    }

    /// Bytes of one id on disk.
    pub fn width(&self) -> usize {
        match self {
            TokenIds::U16(_) => 2,
            TokenIds::U32(_) => 4,
        }
    }

    /// The list as it stands on disk; like checkpoints, it needs a little-endian machine.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            TokenIds::U16(list) => bytemuck::cast_slice(list),
            TokenIds::U32(list) => bytemuck::cast_slice(list),
        }
    }

    /// Reads a list back; `None` when the bytes are not a whole number of ids or an id is not below `vocab`.
    pub fn from_bytes(bytes: &[u8], vocab: usize) -> Option<Self> {
        let mut ids = Self::for_vocab(vocab);
        if !bytes.len().is_multiple_of(ids.width()) {
            return None;
        }
        match &mut ids {
            TokenIds::U16(list) => list.extend(bytes.as_chunks().0.iter().map(|&id| u16::from_le_bytes(id))),
            TokenIds::U32(list) => list.extend(bytes.as_chunks().0.iter().map(|&id| u32::from_le_bytes(id))),
        }
        (0..ids.len()).all(|at| (ids.get(at) as usize) < vocab).then_some(ids)
    }
}
