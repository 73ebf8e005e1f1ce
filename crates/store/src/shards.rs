//! The shards of the trees of blobs that are looked at together, so that their names are never all in memory.

use reelhouse_api::AssetId;

/// How many there are: two hex digits.
const ALL: u16 = 256;

/// Neighbouring shards. The parts of a tree hold each name below it once, strangers', too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shards {
    from: u16,
    to: u16,
}

impl Shards {
    /// In how many parts so many blobs are looked at, `at_once` of them together where that can be.
    pub(crate) fn parts(blobs: u64, at_once: u64) -> u16 {
        u16::try_from(blobs.div_ceil(at_once.max(1)).clamp(1, u64::from(ALL))).unwrap_or(ALL)
    }

    /// One of so many parts, from 0.
    pub(crate) fn part(part: u16, of: u16) -> Self {
        let bound = |part: u16| {
            let bound = u32::from(ALL) * u32::from(part) / u32::from(of.max(1));
            u16::try_from(bound).unwrap_or(ALL).min(ALL)
        };
        Self { from: bound(part), to: bound(part + 1) }
    }

    /// One after the other.
    pub(crate) fn each() -> impl Iterator<Item = Self> {
        (0..ALL).map(|shard| Self::part(shard, ALL))
    }

    /// The first and the last two digits, both included.
    pub(crate) fn digits(self) -> (String, String) {
        (format!("{:02x}", self.from), format!("{:02x}", self.to.saturating_sub(1)))
    }

    /// Behind which name they begin; `None` for the first of all.
    pub(crate) fn behind(self) -> Option<String> {
        (self.from > 0).then(|| format!("{:02x}", self.from))
    }

    /// A path before all of theirs, and behind nearly all of those before; `None` before the first. It is not the name of a folder:
    /// there are stores that take what lies in such a one for listed (SeaweedFS 4.48).
    pub(crate) fn after(self) -> Option<String> {
        Some(format!("{:02x}~", self.from.checked_sub(1)?))
    }

    /// Whether a path below the tree is behind the last of them.
    pub(crate) fn end_before(self, path: &str) -> bool {
        self.to < ALL && path > format!("{:02x}", self.to).as_str()
    }

    /// Whether a path below the tree is among them.
    pub(crate) fn hold(self, path: &str) -> bool {
        self.behind().is_none_or(|behind| path > behind.as_str()) && !self.end_before(path)
    }
}

/// What lies in some shards of a tree.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// By asset and folder.
    pub(crate) named: Vec<Named>,
    /// Paths below the tree's parent that are the name of nothing of ours.
    pub(crate) strange: Vec<String>,
}

/// Something of an asset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Named {
    pub(crate) asset: AssetId,
    /// Of a derivative; empty for an original.
    pub(crate) folder: String,
    /// Where the list says it.
    pub(crate) bytes: Option<u64>,
}

impl Walk {
    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.strange.is_empty()
    }

    /// Takes what the names say, in order.
    pub(crate) fn sorted(mut self) -> Self {
        self.named.sort_unstable();
        self
    }

    /// Bytes of something as the list says them.
    pub(crate) fn bytes(&self, asset: AssetId, folder: &str) -> Option<u64> {
        let place = (asset, folder);
        let found = self.named.binary_search_by(|named| (named.asset, named.folder.as_str()).cmp(&place));
        found.ok().and_then(|at| self.named.get(at)?.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_in_one_part() {
        for of in [1, 2, 3, 7, 255, 256] {
            for name in ["00/a", "00", ".DS_Store", "3f/x", "40/x", "7f/67", "80", "ff/a", "lost", "ÿ"] {
                let parts = (0..of).filter(|part| Shards::part(*part, of).hold(name)).count();
                assert_eq!(parts, 1, "{name} in {of}");
            }
            assert_eq!(Shards::part(of - 1, of).digits().1, "ff");
        }
        assert_eq!([0, 1, 2, 1000].map(|blobs| Shards::parts(blobs, 1)), [1, 1, 2, 256]);
    }
}
