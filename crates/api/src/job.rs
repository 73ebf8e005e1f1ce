use crate::text_enum::text_enum;

text_enum! {
    /// What background work does for an asset. Where it makes something, the name is also that of what is made.
    JobKind {
        /// The rest of its bytes, from a public link; then what `examine` does.
        Import = "import",
        /// All bytes are here: is it what it should be?
        Examine = "examine",
        /// Playable: playlists and what segments are made of.
        Hls = "hls",
        /// Visible: one picture.
        Thumbnail = "thumbnail",
        /// Many small pictures and when they are shown.
        Storyboard = "storyboard",
        /// Its places in indexes: are they what the indexes' models take?
        Index = "index",
    }
}

impl JobKind {
    /// Whether it decides if the asset becomes ready: its end is the asset's, and the asset says how it went.
    pub fn decides(self) -> bool {
        match self {
            Self::Import | Self::Examine => true,
            Self::Hls | Self::Thumbnail | Self::Storyboard | Self::Index => false,
        }
    }
}

text_enum! {
    /// Where a job stands. One that succeeded is gone.
    JobState {
        /// Waits for its time and a worker.
        Queued = "queued",
        /// A worker has it.
        Running = "running",
        /// Given up; `last_error` says why.
        Dead = "dead",
        /// Ended by the operator.
        Canceled = "canceled",
    }
}
