use std::sync::{Arc, Mutex, PoisonError};

/// How far doctor is, for whoever watches. Cheap to clone: all see the same.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<Step>>);

/// What is being looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// A word for it.
    pub what: &'static str,
    /// Looked at so far.
    pub done: u64,
    /// In all, as far as is known; 0 where it is not counted.
    pub total: u64,
    /// Bytes read so far, of all that was looked at.
    pub bytes: u64,
}

impl Progress {
    /// How far it is now.
    pub fn step(&self) -> Step {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Step)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn begin(&self, what: &'static str, total: u64) {
        self.change(|step| *step = Step { what, total, done: 0, bytes: step.bytes });
    }

    pub(super) fn passed(&self, more: u64) {
        self.change(|step| step.done += more);
    }

    pub(super) fn read(&self, bytes: u64) {
        self.change(|step| step.bytes += bytes);
    }
}
