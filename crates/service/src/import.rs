//! By URL: what comes quickly is an asset in the answer, what is large or slow goes on as a job.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reelhouse_api::{Asset, Fault, Method};
use reelhouse_fetch::{Fetched, Fetcher, PublicUrl, Resume, Validator, playlist};
use reelhouse_store::{ImportRecord, StagingFile};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    Caller, IdempotencyKey, NewAsset, Service, Upload, as_created,
    error::{Error, Result},
    filename,
    idempotency::Claim,
    judge::not_media,
    metrics::waited,
};

/// How often a transfer that broke off is taken up again before a request gives up.
const RESUMES: u32 = 2;
/// The most bytes of a playlist that are read to see whether it is live.
const MAX_PLAYLIST: usize = 1 << 20;
/// Longest time without a byte of a playlist that another one names.
const PLAYLIST_TIME: Duration = Duration::from_secs(5);
const PLAYLIST_MIME: &str = "application/vnd.apple.mpegurl";

/// How imports behave.
#[derive(Debug, Clone)]
pub struct ImportSettings {
    /// What may be dialled, and how patiently.
    pub fetch: reelhouse_fetch::Config,
    /// The most imports at once, in requests and as jobs each; at least 1.
    pub imports: u32,
    /// The most of them for one account; at least 1.
    pub imports_per_account: u32,
    /// Bytes up to which a request waits for its import.
    pub request_bytes: u64,
    /// How long a request waits for its import.
    pub request_time: Duration,
    /// How long an import may take in all.
    pub timeout: Duration,
}

impl Default for ImportSettings {
    fn default() -> Self {
        Self {
            fetch: reelhouse_fetch::Config::default(),
            imports: 16,
            imports_per_account: 4,
            request_bytes: 200 << 20,
            request_time: Duration::from_secs(120),
            timeout: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// What imports share.
#[derive(Debug)]
pub(crate) struct Imports {
    pub(crate) fetcher: Fetcher,
    pub(crate) settings: ImportSettings,
    slots: Arc<Semaphore>,
    of_account: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A turn, given back when dropped.
#[derive(Debug)]
struct Slot {
    _account: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Imports {
    pub(crate) fn new(settings: ImportSettings) -> Result<Self> {
        let fetcher = Fetcher::new(settings.fetch.clone())?;
        let slots = Arc::new(Semaphore::new(settings.imports.max(1) as usize));
        Ok(Self { fetcher, settings, slots, of_account: Mutex::default() })
    }

    /// Waits for a turn: the account's first, so that one account's crowd does not hold what others could use.
    async fn slot(&self, account: &str) -> Result<Slot> {
        let of_account = {
            let mut of_account = self.of_account.lock().unwrap_or_else(PoisonError::into_inner);
            let most = self.settings.imports_per_account.max(1) as usize;
            let semaphore = of_account.entry(account.to_owned());
            Arc::clone(semaphore.or_insert_with(|| Arc::new(Semaphore::new(most))))
        };
        let begun = Instant::now();
        let account = of_account.acquire_owned().await.map_err(|_| Error::ShuttingDown)?;
        let all = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| Error::ShuttingDown)?;
        waited("import", begun);
        Ok(Slot { _account: account, _all: all })
    }
}

/// What a transfer in a request came to.
enum Transfer {
    Whole(Upload),
    /// Too much or too slow for a request; where it stands.
    GoesOn(Upload, Option<Validator>, Option<u64>),
}

impl Service {
    /// Makes an asset of what a URL leads to. What is large or slow is processing in the answer, and goes on as a job.
    /// To be called inside [`Service::run_to_end`].
    ///
    /// # Errors
    /// The [`Fault`] of the URL or of what it leads to; nothing is left behind.
    pub async fn import(
        &self,
        caller: &Caller,
        mut new: NewAsset,
        url: &str,
        key: Option<&IdempotencyKey>,
    ) -> Result<Asset> {
        let until = Instant::now() + self.imports.settings.request_time;
        let parsed = PublicUrl::parse(url)
            .map_err(|why| Fault::ParameterInvalid { parameter: "url", reason: why.to_string() })?;
        // Before anything is fetched for it.
        filename::choose(new.filename.as_deref(), None)?;
        let NewAsset { filename, part_filename: _, enable_hls, enable_thumbnail, user_metadata } = &new;
        let claim = Claim::of(key, &("url", url, filename, enable_hls, enable_thumbnail, user_metadata));
        if let Some(answer) = self.replay(caller, claim.as_ref()).await? {
            return Ok(answer);
        }
        let begun = async {
            let slot = self.imports.slot(&caller.account).await?;
            let fetched = self.imports.fetcher.get(&parsed, None).await;
            Ok::<_, Error>((slot, fetched.map_err(|error| fault_of(&error, url))?))
        };
        let transfer = match timeout_at(until, begun).await {
            Ok(begun) => {
                let (_slot, fetched) = begun?;
                self.check_quota(caller, fetched.total.unwrap_or(0)).await?;
                new.part_filename = fetched.filename.clone();
                self.transfer(caller, &parsed, url, fetched, until).await?
            }
            // It waited for its turn, or for the origin.
            Err(_) => {
                new.part_filename = parsed.filename();
                Transfer::GoesOn(self.begin_import(caller, Some(0)).await?, None, None)
            }
        };
        match transfer {
            Transfer::Whole(upload) => {
                let filename = filename::choose(new.filename.as_deref(), new.part_filename.as_deref())?;
                self.publish_upload(caller, filename, &new, upload.finish().await?, claim).await
            }
            Transfer::GoesOn(upload, validator, total) => {
                let import = ImportRecord {
                    url: url.to_owned(),
                    validator: validator.map(|validator| validator.to_string()),
                    total,
                    received: 0,
                    rate: None,
                };
                self.go_on_later(caller, &new, upload.into_staged()?, import, claim).await
            }
        }
    }

    /// Reads what a URL leads to, as far as a request waits for it.
    async fn transfer(
        &self,
        caller: &Caller,
        url: &PublicUrl,
        given: &str,
        mut fetched: Fetched,
        until: Instant,
    ) -> Result<Transfer> {
        let mut upload = self.begin_import(caller, fetched.total).await?;
        let mut head = Head::default();
        let mut resumes = 0;
        loop {
            if fetched.from != upload.size() {
                // Its room first: nobody waits for room who holds some.
                drop(upload);
                upload = self.begin_import(caller, fetched.total).await?;
                head = Head::default();
            }
            let broke_off = loop {
                if let Some(fault) = upload.fault_of_declared(fetched.total) {
                    return Err(fault.into());
                }
                if self.goes_on_later(&upload, fetched.total) {
                    return Ok(Transfer::GoesOn(upload, fetched.validator, fetched.total));
                }
                match timeout_at(until, fetched.chunk()).await {
                    Ok(Ok(Some(bytes))) => {
                        head.look_at(&bytes);
                        upload.push(bytes).await;
                    }
                    Ok(Ok(None)) => {
                        if head.is_playlist() {
                            return Err(self.playlist_fault(&head, &fetched.url).await.into());
                        }
                        return Ok(Transfer::Whole(upload));
                    }
                    Ok(Err(error)) => break error,
                    Err(_) if head.is_playlist() => {
                        return Err(self.playlist_fault(&head, &fetched.url).await.into());
                    }
                    Err(_) if upload.is_refused() => return Err(upload.into_fault().into()),
                    Err(_) => return Ok(Transfer::GoesOn(upload, fetched.validator, fetched.total)),
                }
                // A playlist is read to its end, to see whether it has one.
                if upload.is_refused() && !head.is_playlist() {
                    return Err(upload.into_fault().into());
                }
            };
            log(&broke_off, "an import broke off");
            resumes += 1;
            if resumes > RESUMES {
                return Err(fault_of(&broke_off, given).into());
            }
            let resume = resume(upload.size(), fetched.validator.as_ref(), fetched.total);
            let (validator, total) = (fetched.validator.take(), fetched.total);
            fetched = match timeout_at(until, self.imports.fetcher.get(url, resume.as_ref())).await {
                Ok(again) => again.map_err(|error| fault_of(&error, given))?,
                Err(_) => return Ok(Transfer::GoesOn(upload, validator, total)),
            };
        }
    }

    fn goes_on_later(&self, upload: &Upload, total: Option<u64>) -> bool {
        let most = self.imports.settings.request_bytes;
        // What it is, is told at once; what is refused is not taken further.
        upload.is_sniffed() && !upload.is_refused() && upload.size().max(total.unwrap_or(0)) > most
    }

    /// Why a playlist is not taken.
    async fn playlist_fault(&self, head: &Head, url: &PublicUrl) -> Fault {
        let live = match playlist::judge(&head.text()) {
            playlist::Playlist::Live => true,
            playlist::Playlist::Vod => false,
            playlist::Playlist::Master { first } => self.is_live(url, &first).await,
        };
        if live { Fault::VideoFileLive } else { not_media(Method::Url, PLAYLIST_MIME.to_owned()) }
    }

    /// Whether a playlist that another one names is live; false when it cannot be had.
    async fn is_live(&self, base: &PublicUrl, reference: &str) -> bool {
        let Ok(url) = base.join(reference) else { return false };
        let Ok(mut fetched) = self.imports.fetcher.get(&url, None).await else { return false };
        let mut text = Vec::new();
        while let Ok(Ok(Some(bytes))) = timeout(PLAYLIST_TIME, fetched.chunk()).await {
            text.extend_from_slice(&bytes);
            if text.len() > MAX_PLAYLIST {
                break;
            }
        }
        playlist::judge(&String::from_utf8_lossy(&text)) == playlist::Playlist::Live
    }

    /// Makes the row of an asset whose rest comes as a job.
    async fn go_on_later(
        &self,
        caller: &Caller,
        new: &NewAsset,
        staged: StagingFile,
        import: ImportRecord,
        claim: Option<Claim<'_>>,
    ) -> Result<Asset> {
        let filename = filename::choose(new.filename.as_deref(), new.part_filename.as_deref())?;
        let asset = self.new_asset(self.next_id()?, caller, Method::Url, filename, new);
        let answer = as_created(&asset);
        let receipt = claim.as_ref().map(|claim| claim.receipt(&answer));
        match self.store.begin_import(staged, &asset, import, receipt.as_ref()).await {
            Ok(()) => {
                self.jobs_pushed();
                Ok(answer)
            }
            Err(error) => self.not_made(caller, error, 0, claim).await,
        }
    }
}

/// What a transfer that broke off can be taken up by.
pub(crate) fn resume(from: u64, validator: Option<&Validator>, total: Option<u64>) -> Option<Resume> {
    let validator = validator.filter(|_| from > 0)?.clone();
    Some(Resume { from, validator, total })
}

/// What the caller is told; the log was told the cause.
pub(crate) fn fault_of(error: &reelhouse_fetch::Error, url: &str) -> Fault {
    log(error, "an import failed");
    match error {
        reelhouse_fetch::Error::NotAccessible { .. } => Fault::MediaUrlNotAccessible { url: url.to_owned() },
        reelhouse_fetch::Error::Interrupted { .. } => Fault::MediaUrlFileBroken,
    }
}

pub(crate) fn log(error: &reelhouse_fetch::Error, what: &str) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::info!(%error, cause, "{what}");
}

/// The beginning of what arrives, as long as it may be a playlist.
#[derive(Debug, Default)]
struct Head {
    text: Vec<u8>,
    over: bool,
}

impl Head {
    fn look_at(&mut self, bytes: &[u8]) {
        if self.over {
            return;
        }
        self.text.extend_from_slice(bytes);
        if self.text.len() > MAX_PLAYLIST || !self.begins_like_one() {
            self.over = true;
            self.text = Vec::new();
        }
    }

    fn begins_like_one(&self) -> bool {
        let start = self.text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&self.text).trim_ascii_start();
        let len = start.len().min(7);
        start[..len].eq_ignore_ascii_case(&b"#EXTM3U"[..len])
    }

    fn is_playlist(&self) -> bool {
        !self.over && !self.text.is_empty()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}
