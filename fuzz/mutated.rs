//! What lies in a target's corpus, with a few bytes changed: the short way of the fuzzers, on stable, in seconds.

use proptest::{prelude::*, sample::Index};

#[derive(Debug, Clone)]
enum Change {
    Set(Index, u8),
    Flip(Index, u8),
    Number(Index, u32),
    Insert(Index, Vec<u8>),
    Repeat(Index, Index),
    Remove(Index, u8),
    Cut(Index),
}

impl Change {
    fn apply(self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        if len == 0 {
            return;
        }
        match self {
            Self::Set(at, byte) => bytes[at.index(len)] = byte,
            Self::Flip(at, bit) => bytes[at.index(len)] ^= 1 << (bit % 8),
            Self::Number(at, number) => {
                let at = at.index(len);
                let end = (at + 4).min(len);
                bytes[at..end].copy_from_slice(&number.to_be_bytes()[..end - at]);
            }
            Self::Insert(at, more) => drop(bytes.splice(at.index(len)..at.index(len), more)),
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(len), to.index(len));
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(to..to, part);
            }
            Self::Remove(at, count) => {
                let at = at.index(len);
                bytes.drain(at..(at + usize::from(count)).min(len));
            }
            Self::Cut(at) => bytes.truncate(at.index(len)),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let number = prop_oneof![any::<u32>(), Just(0), Just(1), Just(u32::MAX), Just(1 << 31), 0..100_000u32];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (any::<Index>(), number).prop_map(|(at, number)| Change::Number(at, number)),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(at, more)| Change::Insert(at, more)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Repeat(from, to)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, count)| Change::Remove(at, count)),
        any::<Index>().prop_map(Change::Cut),
    ]
}

/// Inputs of a target.
pub(crate) fn mutated(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let inputs: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    (prop::sample::select(inputs), prop::collection::vec(change(), 0..6)).prop_map(|(mut bytes, changes)| {
        changes.into_iter().for_each(|change| change.apply(&mut bytes));
        bytes
    })
}
