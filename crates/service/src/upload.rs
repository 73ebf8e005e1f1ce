//! A file on its way in: staged as it arrives, judged as soon as its bytes allow.

use bytes::Bytes;
use reelhouse_api::{Fault, MediaKind, Method};
use reelhouse_media::{SNIFF_LEN, Sniffed, sniff};
use reelhouse_metrics::metrics;
use reelhouse_store::{Sealed, StagingFile};
use tokio::time::Instant;

use crate::{
    Caller, Limits, Service,
    disk::{NoRoom, Promise},
    error::Result,
    judge::not_media,
    metrics::waited,
    room::Share,
};

/// Bytes above the largest file that an upload reserves: a form's other parts and delimiters.
const FORM_OVERHEAD: u64 = 1 << 20;

/// One file arriving. Memory is constant; dropped before [`Service::create`], it leaves nothing.
///
/// A fault found on the way is held until the form's end, so that it comes in its turn after the faults of the
/// fields; from then on bytes are counted and thrown away.
#[derive(Debug)]
pub struct Upload {
    method: Method,
    state: State,
    limits: std::sync::Arc<Limits>,
    head: Vec<u8>,
    sniffed: Option<Sniffed>,
    size: u64,
    _counted: InFlight,
}

/// Counts an upload as long as it arrives.
#[derive(Debug)]
struct InFlight;

impl InFlight {
    fn begin() -> Self {
        metrics().uploads_in_flight.inc();
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics().uploads_in_flight.dec();
    }
}

#[derive(Debug)]
enum State {
    Arriving {
        file: StagingFile,
        held: Held,
    },
    /// Over its cap: the fault is named once the size is known.
    TooLarge(MediaKind),
    Refused(Fault),
}

/// A file that has arrived and whose first bytes say media.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) method: Method,
    pub(crate) bytes: Sealed,
    pub(crate) sniffed: Sniffed,
    pub(crate) _held: Held,
}

/// Room that an upload has as long as it takes any.
#[derive(Debug)]
pub(crate) struct Held {
    _share: Share,
    room: Promise,
}

impl Service {
    /// Begins an upload, waiting for the account's turn to have room in staging. `declared` is the request's length in bytes, if it says one.
    ///
    /// # Errors
    /// [`Fault::TooManyRequests`] when too many of the account wait already.
    pub async fn begin_upload(&self, caller: &Caller, declared: Option<u64>) -> Result<Upload> {
        let most = self.limits.max_local_size() + FORM_OVERHEAD;
        self.stage(caller, Method::Direct, declared, most).await
    }

    /// Begins to take what a URL leads to, as far as a request waits for it. `total` is in bytes, where the origin says it.
    pub(crate) async fn begin_import(&self, caller: &Caller, total: Option<u64>) -> Result<Upload> {
        let most = self.imports.settings.request_bytes + FORM_OVERHEAD;
        let upload = self.stage(caller, Method::Url, total, most).await?;
        // What does not fit into the request must fit, too.
        match total.is_none_or(|total| total <= most || self.disk.has_room(total - most)) {
            true => Ok(upload),
            false => Ok(Upload { state: State::Refused(Fault::FileUnprocessable), ..upload }),
        }
    }

    async fn stage(
        &self,
        caller: &Caller,
        method: Method,
        declared: Option<u64>,
        most: u64,
    ) -> Result<Upload> {
        let declared = declared.map(|bytes| bytes.min(most));
        let begun = Instant::now();
        let share = self.staging_room.share(&caller.account, declared.unwrap_or(most)).await?;
        waited("room", begun);
        let state = match self.disk.promise(declared.unwrap_or(0)) {
            Ok(room) => State::Arriving {
                file: self.store.blobs().stage(self.next_id()?, declared),
                held: Held { _share: share, room },
            },
            Err(NoRoom) => State::Refused(Fault::FileUnprocessable),
        };
        let limits = self.limits.clone();
        Ok(Upload {
            method,
            state,
            limits,
            head: Vec::new(),
            sniffed: None,
            size: 0,
            _counted: InFlight::begin(),
        })
    }
}

/// Contract, section 3: a storage failure is the file parameter's fault, not a 5xx, which the SDKs cannot read.
fn refused_by_store(error: &reelhouse_store::Error) -> State {
    tracing::error!(%error, "an upload could not be stored");
    State::Refused(Fault::FileUnprocessable)
}

impl Upload {
    /// Takes the next bytes of the file.
    pub async fn push(&mut self, bytes: Bytes) {
        self.size += bytes.len() as u64;
        self.look_at(&bytes);
        let State::Arriving { file, held } = &mut self.state else { return };
        if let Err(NoRoom) = held.room.reach(self.size) {
            self.state = State::Refused(Fault::FileUnprocessable);
            return;
        }
        match file.push(&bytes).await {
            Ok(()) => held.room.keep(file.on_disk()),
            Err(error) => self.state = refused_by_store(&error),
        }
    }

    /// Whether the file is already refused, so that what still comes is of no use.
    pub fn is_refused(&self) -> bool {
        !matches!(self.state, State::Arriving { .. })
    }

    /// Bytes that have come.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether its first bytes have said what it is.
    pub(crate) fn is_sniffed(&self) -> bool {
        self.sniffed.is_some()
    }

    /// The fault of a file that says it will have so many bytes, as soon as it is known what it is.
    pub(crate) fn fault_of_declared(&self, total: Option<u64>) -> Option<Fault> {
        let kind = match self.is_refused() {
            true => None,
            false => self.kind(),
        };
        self.limits.check_size(kind?, self.method, total?).err()
    }

    /// What has come so far, to be gone on with.
    pub(crate) fn into_staged(self) -> Result<StagingFile, Fault> {
        match self.state {
            State::Arriving { file, .. } => Ok(file),
            State::TooLarge(_) | State::Refused(_) => Err(self.into_fault()),
        }
    }

    fn look_at(&mut self, bytes: &Bytes) {
        if self.sniffed.is_none() {
            let wanted = SNIFF_LEN - self.head.len();
            self.head.extend_from_slice(&bytes[..wanted.min(bytes.len())]);
            if self.head.len() >= SNIFF_LEN {
                self.decide_kind();
            }
        }
        if let (State::Arriving { .. }, Some(kind)) = (&self.state, self.kind())
            && self.size > self.limits.max_size(kind, self.method)
        {
            self.state = State::TooLarge(kind);
        }
    }

    fn decide_kind(&mut self) {
        let sniffed = sniff(&std::mem::take(&mut self.head));
        if let (State::Arriving { .. }, Sniffed::Other { mime }) = (&self.state, &sniffed) {
            self.state = State::Refused(not_media(self.method, mime.clone()));
        }
        self.sniffed = Some(sniffed);
    }

    /// What caps the file. Bytes that only the prober may know are capped like a video.
    fn kind(&self) -> Option<MediaKind> {
        match self.sniffed.as_ref()? {
            Sniffed::Media { kind, .. } => Some(*kind),
            Sniffed::Unknown | Sniffed::Other { .. } => Some(MediaKind::Video),
        }
    }

    /// What the caller is told of a file that is refused before its form has ended.
    pub fn into_fault(self) -> Fault {
        match self.state {
            State::Refused(fault) => fault,
            State::TooLarge(kind) => {
                self.limits.check_size(kind, self.method, self.size).err().unwrap_or(Fault::FileUnprocessable)
            }
            State::Arriving { .. } => Fault::FileUnprocessable,
        }
    }

    /// The whole file is here: its bytes, or the fault found on the way.
    pub(crate) async fn finish(mut self) -> Result<Arrived, Fault> {
        if self.size == 0 {
            return Err(match self.method {
                Method::Url => Fault::MediaUrlFileBroken,
                Method::Direct | Method::Multipart => Fault::FileUnprocessable,
            });
        }
        if self.sniffed.is_none() {
            self.decide_kind();
            self.look_at(&Bytes::new());
        }
        let State::Arriving { file, held } = self.state else { return Err(self.into_fault()) };
        match file.seal().await {
            Ok(bytes) => {
                let sniffed = self.sniffed.unwrap_or(Sniffed::Unknown);
                Ok(Arrived { method: self.method, bytes, sniffed, _held: held })
            }
            Err(error) => {
                tracing::error!(%error, "an upload could not be stored");
                Err(Fault::FileUnprocessable)
            }
        }
    }
}
