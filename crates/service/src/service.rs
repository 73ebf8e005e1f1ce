use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};
use reelhouse_api::{AssetId, Fault, IdMaker, JobKind, NewId, UploadId};
use reelhouse_media::{Media, hls};
use reelhouse_store::{DerivativeRecord, Store};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::task::TaskTracker;

use crate::{
    Clock, Limits,
    disk::{Disk, MinFree},
    error::Result,
    import::{ImportSettings, Imports},
    jobs::HlsSettings,
    media_urls::MediaUrls,
    rate::UploadRates,
    room::Room,
    signer::Signer,
    turns::Turns,
    webhooks::{WebhookSettings, Webhooks},
    worker::Lanes,
};

/// What the verbs may use.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is taken.
    pub limits: Limits,
    /// The most bytes all uploads together may hold in staging; further uploads wait their turn.
    pub max_staged_bytes: u64,
    /// How much of the disk stays free.
    pub min_free: MinFree,
    /// The most uploads an account may begin in a minute; 0 for no bound.
    pub rate_upload_rpm: u32,
    /// The most uploads an account may begin in a day; 0 for no bound.
    pub rate_upload_rpd: u32,
    /// Seconds that a media URL lives, at least; 0 for no end.
    pub media_url_ttl: u64,
    /// By URL.
    pub imports: ImportSettings,
    /// What HLS is made beside the one variant that plays everywhere.
    pub hls: HlsSettings,
    /// How webhooks are told.
    pub webhooks: WebhookSettings,
    /// Base of every URL handed out, without a `/` at its end; the request's own when absent.
    pub public_url: Option<Arc<str>>,
}

/// The verbs. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub(crate) store: Arc<Store>,
    pub(crate) media: Media,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) disk: Arc<Disk>,
    /// Bytes in staging.
    pub(crate) staging_room: Room,
    /// Files that are looked at while their request waits.
    pub(crate) look_turns: Room,
    pub(crate) upload_rates: Arc<UploadRates>,
    pub(crate) imports: Arc<Imports>,
    pub(crate) media_urls: MediaUrls,
    pub(crate) signer: Signer,
    /// A chunk that is sent twice at once is written once after the other.
    pub(crate) chunk_turns: Turns<(UploadId, u64)>,
    pub(crate) hls: Arc<HlsSettings>,
    /// Reading the tables of long files takes memory.
    pub(crate) index_turns: Arc<Semaphore>,
    pub(crate) made: Arc<Cache<(AssetId, JobKind), SeenMade>>,
    pub(crate) hls_indices: Arc<Cache<String, Arc<CachedIndex>, IndexSize>>,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) webhooks: Arc<Webhooks>,
    pub(crate) public_url: Option<Arc<str>>,
    ids: Arc<IdMaker>,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("store", &self.store)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Files whose tables are read at once, for HLS.
const INDEX_READERS: usize = 4;

/// Bytes of HLS indices kept in memory.
const INDEX_BYTES: u64 = 64 << 20;

/// How much room an index takes in memory.
#[derive(Debug, Clone)]
pub(crate) struct IndexSize;

impl Weighter<String, Arc<CachedIndex>> for IndexSize {
    fn weight(&self, _: &String, cached: &Arc<CachedIndex>) -> u64 {
        cached.size
    }
}

/// What was made, and when it was seen to be there.
#[derive(Debug, Clone)]
pub(crate) struct SeenMade {
    pub(crate) at: Instant,
    pub(crate) record: Arc<DerivativeRecord>,
}

/// An index, and the bytes of its file.
#[derive(Debug)]
pub(crate) struct CachedIndex {
    pub(crate) index: hls::Index,
    pub(crate) size: u64,
}

/// Of all room in staging, what one account may take: somebody else can always begin.
const STAGING_SHARE: (u64, u64) = (3, 4);

impl Service {
    /// The verbs over a store and the media tools.
    ///
    /// # Errors
    /// When the store fails, or TLS cannot be set up.
    pub async fn start(
        store: Store,
        media: Media,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Self> {
        let signer = Signer::new(&store.secret("media_urls").await?);
        let looks = media.probes() as u64;
        let store = Arc::new(store);
        Ok(Self {
            disk: Arc::new(Disk::new(Arc::clone(&store), settings.min_free)),
            store,
            media,
            clock,
            limits: Arc::new(settings.limits),
            staging_room: Room::new(
                settings.max_staged_bytes,
                settings.max_staged_bytes / STAGING_SHARE.1 * STAGING_SHARE.0,
            ),
            look_turns: Room::new(looks, looks),
            upload_rates: Arc::new(UploadRates::new(settings.rate_upload_rpm, settings.rate_upload_rpd)),
            imports: Arc::new(Imports::new(settings.imports)?),
            media_urls: MediaUrls::new(signer.clone(), settings.media_url_ttl),
            signer,
            chunk_turns: Turns::default(),
            hls: Arc::new(settings.hls),
            index_turns: Arc::new(Semaphore::new(INDEX_READERS)),
            made: Arc::new(Cache::new(1024)),
            hls_indices: Arc::new(Cache::with_weighter(1024, INDEX_BYTES, IndexSize)),
            lanes: Arc::default(),
            webhooks: Arc::new(Webhooks::new(settings.webhooks)?),
            public_url: settings.public_url,
            ids: Arc::default(),
            tasks: TaskTracker::new(),
        })
    }

    /// Runs to its end whatever becomes of the caller: a client that hangs up does not cut it short.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the work panics.
    pub async fn run_to_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        use tracing::Instrument;
        Ok(self.tasks.spawn(work.in_current_span()).await?)
    }

    /// Waits until everything that runs to its end has ended.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Whether uploads can be taken: the database answers, the bucket does, and the disk has room.
    ///
    /// # Errors
    /// [`Fault::NotReady`] names what does not.
    pub async fn ready(&self) -> Result<()> {
        let (rows, blobs) = tokio::join!(self.store.ping(), self.store.ping_blobs());
        for (answered, what) in [(rows, "database"), (blobs, "bucket")] {
            if let Err(error) = answered {
                tracing::error!(%error, "not ready");
                return Err(Fault::NotReady { what }.into());
            }
        }
        if self.disk.is_low() {
            return Err(Fault::NotReady { what: "disk" }.into());
        }
        Ok(())
    }

    /// Base of every URL handed out, if it is configured.
    pub fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    /// Seconds since the epoch.
    pub fn now_seconds(&self) -> i64 {
        self.clock.now_ms().div_euclid(1000)
    }

    pub(crate) fn next_id<Id: From<NewId>>(&self) -> Result<Id> {
        let mut entropy = [0; 4];
        getrandom::fill(&mut entropy).map_err(|source| reelhouse_store::Error::Io {
            what: "making an id",
            source: std::io::Error::other(source),
        })?;
        Ok(self.ids.next(self.clock.now_ms(), entropy))
    }
}
