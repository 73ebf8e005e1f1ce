use crate::text_enum::text_enum;

text_enum! {
    /// What background work makes of an asset. The name is also that of what is made.
    JobKind {
        /// Playable: playlists and what segments are made of.
        Hls = "hls",
        /// Visible: one picture.
        Thumbnail = "thumbnail",
        /// Many small pictures and when they are shown.
        Storyboard = "storyboard",
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
