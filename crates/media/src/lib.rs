//! A file in, facts out; and how MP4 is served as HLS as it lies. Knows no asset, no database, no HTTP.
//!
//! Bytes are strangers'. They meet C code only in a jailed child: one that the media process forks for each file, or an
//! ffmpeg command. Images are decoded by safe Rust with bounds on pixels and memory. What comes back is read by pure
//! functions.

mod boxes;
mod child;
mod facts;
mod ffmpeg;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
pub mod hls;
mod jpeg;
mod picture;
mod plan;
mod prepare;
mod probe;
#[doc(hidden)]
pub mod process;
mod reader;
mod served;
mod shape;
mod sniff;
mod source;
mod still;
mod storyboard;
mod thumbnail;
mod timing;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use reelhouse_api::{MediaKind, Resolution, TechnicalMetadata};
use reelhouse_metrics::metrics;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

pub use ffmpeg::Failure;
pub use plan::{How, Need, Plan, Track, because};
pub use process::Jail;
pub use sniff::{SNIFF_LEN, Sniffed, sniff};
pub use source::Source;
pub use storyboard::Storyboard;

/// How files are looked at.
#[derive(Debug, Clone)]
pub struct Config {
    /// The media process: a program of ours that reads video and audio.
    pub reader: PathBuf,
    /// The program that transcodes.
    pub ffmpeg: PathBuf,
    /// How children are kept.
    pub jail: Jail,
    /// The most files looked at at once; further ones wait their turn. At least 1.
    pub probes: usize,
    /// The longest one file may take.
    pub probe_timeout: Duration,
    /// The most bytes of address space a child of the media process may take.
    pub reader_memory: u64,
    /// The most pixels of an image that is decoded.
    pub max_image_pixels: u64,
    /// The most bytes that all decoders of images together may take; further ones wait.
    pub max_image_memory: u64,
    /// The longest a picture may take to make.
    pub picture_timeout: Duration,
    /// The longest a run of ffmpeg may take in all.
    pub ffmpeg_timeout: Duration,
    /// The longest it may stand still.
    pub ffmpeg_stall: Duration,
    /// The most bytes of address space it may take.
    pub ffmpeg_memory: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            reader: reader::beside(),
            ffmpeg: "ffmpeg".into(),
            jail: Jail::default(),
            probes: 2,
            probe_timeout: Duration::from_secs(30),
            reader_memory: 4 << 30,
            max_image_pixels: 100_000_000,
            max_image_memory: 512 << 20,
            picture_timeout: Duration::from_secs(120),
            ffmpeg_timeout: Duration::from_secs(24 * 3600),
            ffmpeg_stall: Duration::from_secs(60),
            ffmpeg_memory: 8 << 30,
        }
    }
}

/// What a file is.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// What it is, once decoded: cover art makes no video.
    pub kind: MediaKind,
    /// MIME type from the bytes.
    pub mime: String,
    /// Seconds; `None` for images and for streams that do not say.
    pub duration: Option<f64>,
    /// As it is shown: after rotation, or EXIF orientation. `None` for audio.
    pub upright: Option<Resolution>,
    /// Name of the format for people: `MP3`, `FLAC`, `JPEG`.
    pub format: String,
    /// All that is known.
    pub technical: TechnicalMetadata,
}

/// Why a file cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not decode, or what its index points at is not there.
    #[error("broken {}: {reason}", kind.as_str())]
    Broken {
        /// What it would have been.
        kind: MediaKind,
        /// For the log.
        reason: String,
    },
    /// It holds no media.
    #[error("not media: {mime}")]
    NotMedia {
        /// What it is instead.
        mime: String,
    },
    /// The program is not there or does not run. No file's fault.
    #[error("{} cannot be run: {reason}; it is installed beside reelhouse, ffmpeg as a package", program.display())]
    NotInstalled {
        /// The program.
        program: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A run of ffmpeg did not give what it should.
    #[error("ffmpeg: {0}")]
    Ffmpeg(#[from] Failure),
    /// The jail was required, and something of it is missing. No file's fault.
    #[error(
        "the whole jail of media files is required (REELHOUSE_JAIL=require) and this system gives only: {0}; use a kernel that \
         has Landlock and seccomp, or REELHOUSE_JAIL=prefer"
    )]
    NoJail(String),
    /// A child could not be started or awaited. No file's fault.
    #[error("a media child failed: {0}")]
    Child(#[from] std::io::Error),
}

/// The media tools. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Media {
    config: Arc<Config>,
    spawner: child::Spawner,
    reader: reader::Reader,
    turns: Arc<Semaphore>,
    image_memory: picture::Memory,
    abilities: ffmpeg::Abilities,
    ffmpeg_version: Arc<str>,
    trial: process::Trial,
}

impl Media {
    /// Makes the tools ready and sees that they run, and how children are kept.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] when they do not, [`Error::NoJail`] when they are not kept as required.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let config = Config { ffmpeg: ffmpeg::find(&config.ffmpeg), ..config };
        let spawner = child::Spawner::start()?;
        let reader = reader::Reader::start(spawner.clone(), &config.reader, config.jail);
        let trial = reader.try_out(&config);
        let (trial, (abilities, ffmpeg_version)) =
            tokio::try_join!(trial, ffmpeg::check_installed(&spawner, &config))?;
        trial.suffices(config.jail).map_err(Error::NoJail)?;
        let turns = Arc::new(Semaphore::new(config.probes.max(1)));
        let image_memory = picture::Memory::new(config.max_image_memory);
        Ok(Self {
            config: Arc::new(config),
            spawner,
            reader,
            turns,
            image_memory,
            abilities,
            ffmpeg_version,
            trial,
        })
    }

    /// How children are kept: what the kernel gives, and what a child could do when it tried.
    pub fn jail(&self) -> &process::Trial {
        &self.trial
    }

    /// The program that transcodes, and its version.
    pub fn ffmpeg(&self) -> (&Path, &str) {
        (&self.config.ffmpeg, &self.ffmpeg_version)
    }

    /// How many files are looked at at once.
    pub fn probes(&self) -> usize {
        self.config.probes.max(1)
    }

    /// Looks at a whole file, given what its first bytes said. Waits its turn.
    ///
    /// # Errors
    /// [`Error::Broken`] and [`Error::NotMedia`] are the file's fault; a child that dies, hangs or lies is
    /// [`Error::Broken`], too.
    pub async fn examine(&self, source: impl Into<Source>, sniffed: Sniffed) -> Result<Facts, Error> {
        let source = source.into();
        let _turn = self.turn().await?;
        let begun = Instant::now();
        let examined = self.examine_now(source, sniffed).await;
        let outcome = match &examined {
            Ok(_) => "taken",
            Err(Error::Broken { .. } | Error::NotMedia { .. }) => "refused",
            Err(_) => "failed",
        };
        metrics().probe_duration.with([outcome.into()]).observe(begun.elapsed().as_secs_f64());
        examined
    }

    /// Waits for a turn to look at a file.
    async fn turn(&self) -> std::io::Result<SemaphorePermit<'_>> {
        let begun = Instant::now();
        let turn = self.turns.acquire().await.map_err(std::io::Error::other)?;
        metrics().wait_duration.with(["probe".into()]).observe(begun.elapsed().as_secs_f64());
        Ok(turn)
    }

    async fn examine_now(&self, source: Source, sniffed: Sniffed) -> Result<Facts, Error> {
        match sniffed {
            Sniffed::Other { mime } => Err(Error::NotMedia { mime }),
            Sniffed::Media { kind: MediaKind::Image, mime } => {
                match picture::examine(&source, mime, &self.config, &self.image_memory).await? {
                    Some(facts) => Ok(facts),
                    None => probe::examine_image(&self.reader, &self.config, &source, mime).await,
                }
            }
            sniffed => probe::examine(&self.reader, &self.config, &source, &sniffed).await,
        }
    }
}
