//! Every setting, once: its name, environment variable, default and help.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Args;
use figment::{
    Figment,
    providers::{Format, Serialized, Toml},
};
use reelhouse_fetch::Allow;
use reelhouse_media::{Jail, hls::CopyCodec};
use reelhouse_server::Delivery;
use reelhouse_service::{
    ApiKey, HlsSettings, ImportSettings, Limits, LimitsProfile, MinFree, WebhookSettings,
};
use reelhouse_store::{BlobStore, Database, Homes};
use serde::{Deserialize, Serialize};

/// Read when it is there and no `--config` names another.
const DEFAULT_FILE: &str = "reelhouse.toml";
/// A key anyone could guess is no key.
const MIN_KEY_CHARS: usize = 16;

macro_rules! settings {
    ($($help:literal $name:ident: $type:ty = $default:expr, [$env:literal, $value:literal, default: $shown:literal];)*) => {
        /// The settings as flags and environment give them: absent ones stay absent.
        #[derive(Args, Serialize, Default)]
        pub(crate) struct SettingsArgs {
            /// The settings file, TOML; ./reelhouse.toml when it exists
            #[arg(long, env = "REELHOUSE_CONFIG", value_name = "FILE")]
            #[serde(skip)]
            config: Option<PathBuf>,
            $(
                #[doc = $help]
                #[arg(long, env = $env, value_name = $value, hide_env_values = true,
                      help = concat!($help, "\n[default: ", $shown, "]"))]
                #[serde(skip_serializing_if = "Option::is_none")]
                $name: Option<$type>,
            )*
        }

        /// The settings in force.
        #[derive(Serialize, Deserialize)]
        pub(crate) struct Settings {
            $(#[doc = $help] pub $name: $type,)*
            /// Bounds on media: the profile's numbers, and what the file changes of them.
            #[serde(flatten)]
            pub bounds: Limits,
        }

        impl Settings {
            fn defaults(bounds: Limits) -> Self {
                Self { $($name: $default,)* bounds }
            }

            const NAMES: &[&str] = &[$(stringify!($name),)* "video", "audio", "image"];
        }
    };
}

settings! {
    "Address (or name) and port to listen on; port 0 takes a free one"
    listen: String = "127.0.0.1:8080".to_owned(),
    ["REELHOUSE_LISTEN", "HOST:PORT", default: "127.0.0.1:8080"];

    "The folder that holds everything: database, originals, staging. Made with mode 0700; one server at a time"
    data_dir: PathBuf = "./reelhouse-data".into(),
    ["REELHOUSE_DATA_DIR", "FOLDER", default: "./reelhouse-data"];

    "Where rows are kept: postgres://USER:PASSWORD@HOST/NAME (15 or newer), or nothing for SQLite in the data folder"
    database_url: String = String::new(),
    ["REELHOUSE_DATABASE_URL", "URL", default: "SQLite in the data folder"];

    "Where originals and what is made of them are kept: s3://BUCKET/PREFIX, with the usual AWS_* variables, or nothing for the data folder"
    blob_url: String = String::new(),
    ["REELHOUSE_BLOB_URL", "URL", default: "the data folder"];

    "The most bytes of originals in a bucket that are kept in the data folder, too, for the jobs that read them"
    cache_bytes: u64 = 10 << 30,
    ["REELHOUSE_CACHE_BYTES", "BYTES", default: "10737418240, 10 GiB"];

    "How files in a bucket are handed out: `proxy` (through us) or `redirect` (by URLs of the bucket, where a whole file is asked for)"
    delivery: Delivery = Delivery::default(),
    ["REELHOUSE_DELIVERY", "HOW", default: "proxy"];

    "Address and port of a listener of its own for /metrics, without a key; of `worker`, too"
    metrics_listen: String = String::new(),
    ["REELHOUSE_METRICS_LISTEN", "HOST:PORT", default: "none; the main listener has /metrics, for keys of `default`"];

    "A key for the account `default`: any string of 16 or more characters"
    api_key: String = String::new(),
    ["REELHOUSE_API_KEY", "KEY", default: "the first start makes one and prints it once"];

    "Base of every URL handed out, for instance https://media.example.org"
    public_url: String = String::new(),
    ["REELHOUSE_PUBLIC_URL", "URL", default: "the request's own scheme and Host"];

    "What is logged: a tracing filter such as `info` or `reelhouse_store=debug`. Text on a terminal, JSON otherwise"
    log: String = "info".to_owned(),
    ["REELHOUSE_LOG", "FILTER", default: "info"];

    "Base of the OTLP endpoint (HTTP) that traces go to, for instance http://127.0.0.1:4318"
    otlp_endpoint: String = String::new(),
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "URL", default: "none"];

    "What is taken: `twelvelabs` (the original's numbers) or `permissive`. The file's tables [video], [audio] and \
     [image] change single numbers; 0 takes a bound away, but for max_size"
    limits: LimitsProfile = LimitsProfile::default(),
    ["REELHOUSE_LIMITS", "PROFILE", default: "twelvelabs"];

    "The most uploads an account may begin in a minute; 0 for no bound. Who is ahead of it waits up to 10 s, then is refused"
    rate_upload_rpm: u32 = 600,
    ["REELHOUSE_RATE_UPLOAD_RPM", "N", default: "600"];

    "The most uploads an account may begin in a day; 0 for no bound"
    rate_upload_rpd: u32 = 100_000,
    ["REELHOUSE_RATE_UPLOAD_RPD", "N", default: "100000"];

    "The most bytes all running uploads together may take in staging; further uploads wait their turn"
    max_staged_bytes: u64 = 16 << 30,
    ["REELHOUSE_MAX_STAGED_BYTES", "BYTES", default: "17179869184, 16 GiB"];

    "Bytes of the data folder's disk that stay free: below it uploads are refused and jobs wait; 0 for no bound"
    min_free: MinFree = MinFree::Auto,
    ["REELHOUSE_MIN_FREE", "BYTES", default: "the smaller of 1 GiB and 2 % of the disk"];

    "Bytes a second, over a minute, below which the body of a request or an answer is cut; 0 for no floor"
    client_min_rate: u64 = 4000,
    ["REELHOUSE_CLIENT_MIN_RATE", "BYTES", default: "4000"];

    "The most connections of one address (of IPv6, of 64 bits); 0 for as many as are free beside. Behind a proxy, all come from its"
    connections_per_address: u32 = 0,
    ["REELHOUSE_CONNECTIONS_PER_ADDRESS", "N", default: "0, half of all where nobody else is"];

    "What imports may reach although it is not public: CIDR blocks and host names, comma-separated"
    import_allow: String = String::new(),
    ["REELHOUSE_IMPORT_ALLOW", "LIST", default: "none"];

    "The proxy that imports go through, for instance http://proxy.example.org:3128. It then decides what names resolve to"
    import_proxy: String = String::new(),
    ["REELHOUSE_IMPORT_PROXY", "URL", default: "none; the usual proxy variables are ignored"];

    "The most imports at once, in requests and as jobs each; further ones wait their turn"
    imports: u32 = 16,
    ["REELHOUSE_IMPORTS", "N", default: "16"];

    "The most of them for one account"
    imports_per_account: u32 = 4,
    ["REELHOUSE_IMPORTS_PER_ACCOUNT", "N", default: "4"];

    "Bytes up to which a request waits for its import; larger ones are answered `processing` and go on as jobs"
    import_request_bytes: u64 = 200 << 20,
    ["REELHOUSE_IMPORT_REQUEST_BYTES", "BYTES", default: "209715200, 200 MB"];

    "Seconds that a request waits for its import; slower ones are answered `processing` and go on as jobs"
    import_request_time: u64 = 120,
    ["REELHOUSE_IMPORT_REQUEST_TIME", "SECONDS", default: "120"];

    "Seconds without a byte after which an import breaks off; it goes on if it can"
    import_idle_timeout: u64 = 30,
    ["REELHOUSE_IMPORT_IDLE_TIMEOUT", "SECONDS", default: "30"];

    "Bytes a second, over a minute, below which an import breaks off; 0 for no floor"
    import_min_rate: u64 = 10_000,
    ["REELHOUSE_IMPORT_MIN_RATE", "BYTES", default: "10000"];

    "Seconds that an import may take in all"
    import_timeout: u64 = 24 * 60 * 60,
    ["REELHOUSE_IMPORT_TIMEOUT", "SECONDS", default: "86400"];

    "What webhooks may reach although it is not public: CIDR blocks and host names, comma-separated"
    webhook_allow: String = String::new(),
    ["REELHOUSE_WEBHOOK_ALLOW", "LIST", default: "none"];

    "The proxy that webhooks go through. It then decides what names resolve to"
    webhook_proxy: String = String::new(),
    ["REELHOUSE_WEBHOOK_PROXY", "URL", default: "none; the usual proxy variables are ignored"];

    "Seconds that a webhook's receiver may take to answer"
    webhook_timeout: u64 = 15,
    ["REELHOUSE_WEBHOOK_TIMEOUT", "SECONDS", default: "15"];

    "Seconds before each further attempt to tell a webhook, comma-separated; behind the last one a delivery is given up"
    webhook_retries: String = "5,300,1800,7200,18000,36000,50400,72000,86400".to_owned(),
    ["REELHOUSE_WEBHOOK_RETRIES", "LIST", default: "5,300,1800,7200,18000,36000,50400,72000,86400, three days"];

    "The most jobs (HLS, thumbnails) that run at once; 0 leaves them to `reelhouse worker` processes"
    workers: usize = std::thread::available_parallelism().map_or(2, usize::from),
    ["REELHOUSE_WORKERS", "N", default: "the number of cores"];

    "Codecs (hevc, av1) of originals that are offered as they lie beside the HLS variant that plays everywhere, \
     comma-separated"
    hls_copy: String = String::new(),
    ["REELHOUSE_HLS_COPY", "CODECS", default: "none"];

    "Heights of further, smaller HLS variants in pixels, comma-separated, for instance 1080,720,480"
    hls_ladder: String = String::new(),
    ["REELHOUSE_HLS_LADDER", "HEIGHTS", default: "none"];

    "Seconds that media URLs (manifest_url and the like) live, at least; 0 for no end"
    media_url_ttl: u64 = 0,
    ["REELHOUSE_MEDIA_URL_TTL", "SECONDS", default: "0"];

    "The most files looked at at once; further ones wait their turn"
    probes: usize = std::thread::available_parallelism().map_or(2, usize::from),
    ["REELHOUSE_PROBES", "N", default: "the number of cores"];

    "How programs that read media files are jailed: `prefer` (with every layer this kernel has), `require` (with all of \
     them, or not at all) or `off` (limits only)"
    jail: Jail = Jail::default(),
    ["REELHOUSE_JAIL", "HOW", default: "prefer"];

    "The program that makes HLS where our own code does not"
    ffmpeg: PathBuf = "ffmpeg".into(),
    ["REELHOUSE_FFMPEG", "PROGRAM", default: "ffmpeg"];
}

/// What a command beside the server needs to know: where the data are.
#[derive(Args)]
pub(crate) struct FolderArgs {
    /// The settings file, TOML; ./reelhouse.toml when it exists
    #[arg(long, env = "REELHOUSE_CONFIG", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The server's data folder
    #[arg(long, env = "REELHOUSE_DATA_DIR", value_name = "FOLDER", global = true)]
    data_dir: Option<PathBuf>,
    /// The server's database, if it is not SQLite in the data folder
    #[arg(long, env = "REELHOUSE_DATABASE_URL", value_name = "URL", hide_env_values = true, global = true)]
    database_url: Option<String>,
    /// The server's bucket, if its blobs are not in the data folder
    #[arg(long, env = "REELHOUSE_BLOB_URL", value_name = "URL", hide_env_values = true, global = true)]
    blob_url: Option<String>,
}

impl FolderArgs {
    pub(crate) fn load(self) -> anyhow::Result<Settings> {
        let Self { config, data_dir, database_url, blob_url } = self;
        SettingsArgs { config, data_dir, database_url, blob_url, ..SettingsArgs::default() }.load()
    }
}

impl SettingsArgs {
    /// Defaults, then the file, then environment and flags.
    pub(crate) fn load(self) -> anyhow::Result<Settings> {
        let file = match &self.config {
            Some(path) => {
                ensure!(path.is_file(), "--config {}: there is no such file", path.display());
                Some(path.clone())
            }
            None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.is_file()),
        };
        let file = file.map_or_else(Figment::new, |path| Figment::from(Toml::file_exact(path)));
        refuse_unknown(&file)?;
        let given = file.merge(Serialized::globals(&self));
        // The profile first: it decides the defaults of the bounds.
        let profile = match given.find_value("limits") {
            Ok(value) => value.deserialize().context("limits")?,
            Err(_) => LimitsProfile::default(),
        };
        let settings: Settings = Figment::from(Serialized::defaults(Settings::defaults(Limits::of(profile))))
            .merge(given)
            .extract()?;
        let key_chars = settings.api_key.chars().count();
        ensure!(
            key_chars == 0 || key_chars >= MIN_KEY_CHARS,
            "REELHOUSE_API_KEY has {key_chars} characters, at least {MIN_KEY_CHARS} are needed"
        );
        let url = &settings.public_url;
        ensure!(
            url.is_empty() || url.starts_with("http://") || url.starts_with("https://"),
            "REELHOUSE_PUBLIC_URL: \"{url}\" does not begin with http:// or https://"
        );
        settings.database()?;
        settings.hls()?;
        settings.imports()?;
        Ok(settings)
    }
}

/// A misspelled setting that silently does nothing is a trap.
fn refuse_unknown(file: &Figment) -> anyhow::Result<()> {
    let given: figment::value::Dict = file.extract()?;
    match given.keys().find(|name| !Settings::NAMES.contains(&name.as_str())) {
        Some(name) => anyhow::bail!(
            "the settings file has an unknown setting `{name}`; known are: {}",
            Settings::NAMES.join(", ")
        ),
        None => Ok(()),
    }
}

impl Settings {
    /// What a file says, and nothing else.
    pub(crate) fn of_file(path: &Path) -> anyhow::Result<Self> {
        SettingsArgs { config: Some(path.to_owned()), ..SettingsArgs::default() }.load()
    }

    /// The configured key, if there is one.
    pub(crate) fn configured_key(&self) -> Option<ApiKey> {
        Some(&self.api_key).filter(|key| !key.is_empty()).map(ApiKey::new)
    }

    /// Where rows and blobs are kept.
    pub(crate) fn homes(&self) -> anyhow::Result<Homes> {
        let blobs = BlobStore::parse(&self.blob_url, self.cache_bytes)?;
        Ok(Homes { database: self.database()?, blobs })
    }

    /// Where rows are kept.
    pub(crate) fn database(&self) -> anyhow::Result<Database> {
        Ok(Database::parse(&self.database_url)?)
    }

    /// What HLS is made beside the one variant that plays everywhere.
    pub(crate) fn hls(&self) -> anyhow::Result<HlsSettings> {
        let words = |list: &str| -> Vec<String> {
            list.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
        };
        let codec = |word: String| {
            CopyCodec::parse(&word)
                .with_context(|| format!("REELHOUSE_HLS_COPY: \"{word}\" is neither hevc nor av1"))
        };
        let height = |word: String| {
            let height = word.parse().ok().filter(|height| (64..=8192).contains(height));
            height.with_context(|| format!("REELHOUSE_HLS_LADDER: \"{word}\" is no height from 64 to 8192"))
        };
        Ok(HlsSettings {
            copy: words(&self.hls_copy).into_iter().map(codec).collect::<Result<_, _>>()?,
            ladder: words(&self.hls_ladder).into_iter().map(height).collect::<Result<_, _>>()?,
        })
    }

    /// How imports behave.
    pub(crate) fn imports(&self) -> anyhow::Result<ImportSettings> {
        let idle = Duration::from_secs(self.import_idle_timeout.max(1));
        let proxy = Some(self.import_proxy.as_str()).filter(|url| !url.is_empty());
        let fetch = reelhouse_fetch::Config {
            allow: Allow::parse_list(&self.import_allow).context("REELHOUSE_IMPORT_ALLOW")?,
            proxy: proxy.map(str::parse).transpose().context("REELHOUSE_IMPORT_PROXY")?,
            first_byte_timeout: idle,
            idle_timeout: idle,
            min_rate: self.import_min_rate,
            ..Default::default()
        };
        Ok(ImportSettings {
            fetch,
            imports: self.imports,
            imports_per_account: self.imports_per_account,
            request_bytes: self.import_request_bytes,
            request_time: Duration::from_secs(self.import_request_time),
            timeout: Duration::from_secs(self.import_timeout),
        })
    }

    /// How webhooks are told.
    pub(crate) fn webhooks(&self) -> anyhow::Result<WebhookSettings> {
        let proxy = Some(self.webhook_proxy.as_str()).filter(|url| !url.is_empty());
        let pause = |seconds: &str| {
            let seconds = seconds.trim();
            let pause = seconds.parse().map(Duration::from_secs);
            pause.with_context(|| format!("REELHOUSE_WEBHOOK_RETRIES: \"{seconds}\" is no number of seconds"))
        };
        let list = self.webhook_retries.split(',').filter(|seconds| !seconds.trim().is_empty());
        Ok(WebhookSettings {
            fetch: reelhouse_fetch::Config {
                allow: Allow::parse_list(&self.webhook_allow).context("REELHOUSE_WEBHOOK_ALLOW")?,
                allow_setting: "REELHOUSE_WEBHOOK_ALLOW",
                proxy: proxy.map(str::parse).transpose().context("REELHOUSE_WEBHOOK_PROXY")?,
                ..Default::default()
            },
            timeout: Duration::from_secs(self.webhook_timeout.max(1)),
            retries: list.map(pause).collect::<Result<_, _>>()?,
        })
    }

    /// The configured base of URLs, if there is one.
    pub(crate) fn configured_url(&self) -> Option<Arc<str>> {
        Some(self.public_url.trim_end_matches('/')).filter(|url| !url.is_empty()).map(Arc::from)
    }
}
