/// How far a copy is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyProgress {
    /// What is being done.
    pub stage: Stage,
    /// Rows that were written.
    pub rows: u64,
    /// Assets whose bytes are in the new home, of `of_assets`.
    pub assets: u64,
    /// Assets that have bytes.
    pub of_assets: u64,
    /// Bytes of originals that are in the new home, of `of_bytes`.
    pub bytes: u64,
    /// Bytes of all originals.
    pub of_bytes: u64,
    /// Bytes that were written by this process, of originals and of what was made of them.
    pub written: u64,
    /// What was found by this process not to be as its row says.
    pub damaged: u64,
}

/// What a copy is at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// It looks at both homes.
    #[default]
    Beginning,
    /// It waits for leases of workers to end, who may be dead.
    Waiting,
    /// Rows of this table are copied.
    Rows(&'static str),
    /// Rows of this table are compared.
    Comparing(&'static str),
    /// Bytes are copied.
    Bytes,
}
