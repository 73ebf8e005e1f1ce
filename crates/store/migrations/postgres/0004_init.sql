-- What SQLite's migrations 0001 to 0004 made, in Postgres. From then on each version is a pair of files of one number.
--
-- Times are milliseconds since the epoch. Ids are TEXT made in Rust. JSON is TEXT. What is sorted or compared by more than
-- equality is so by its bytes.

CREATE TABLE account (
    name         TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    created_at   BIGINT NOT NULL,
    -- Kept in the transactions that change assets, so that neither totals nor quotas scan.
    asset_count  BIGINT NOT NULL DEFAULT 0,
    asset_bytes  BIGINT NOT NULL DEFAULT 0,
    -- The most it may hold; NULL for no bound.
    quota_assets BIGINT,
    quota_bytes  BIGINT
);

CREATE TABLE api_key (
    id         TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    account    TEXT COLLATE "C" NOT NULL REFERENCES account (name),
    -- SHA-256 of the key, hex. The key itself is nowhere.
    hash       TEXT COLLATE "C" NOT NULL UNIQUE,
    -- 'configured' (REELHOUSE_API_KEY), 'generated' (first start) or 'created' (keys create).
    origin     TEXT NOT NULL,
    read_only  BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);

-- No foreign key to account, here or below: its check locks the account's row, which every create changes.
CREATE TABLE asset (
    -- The first eight bytes of the id. Two nodes may make the same in one millisecond: the order of creation is the id's.
    seq                BIGINT NOT NULL,
    id                 TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    account            TEXT COLLATE "C" NOT NULL,
    method             TEXT NOT NULL,
    status             TEXT NOT NULL,
    kind               TEXT,
    filename           TEXT COLLATE "C" NOT NULL,
    -- As it is searched: normalised and folded (store::fold).
    filename_folded    TEXT COLLATE "C" NOT NULL,
    file_type          TEXT,
    size               BIGINT,
    duration           DOUBLE PRECISION,
    -- Of the original, hex.
    blake3             TEXT,
    created_at         BIGINT NOT NULL,
    hls_status         TEXT,
    thumbnail_status   TEXT,
    technical_metadata TEXT,
    -- A tombstone: gone for every caller, its bytes not yet removed.
    deleted_at         BIGINT,
    error_code         TEXT,
    error_message      TEXT,
    -- What the user wants kept with it, JSON; NULL for nothing.
    user_metadata      TEXT
);

-- Lists walk it, newest first; it carries what they filter by, so that a walk reads no rows.
-- (Partial: IS NULL is no equality to Postgres, and what is behind such a column in an index has no order.)
CREATE INDEX asset_by_account ON asset (account, id, kind) WHERE deleted_at IS NULL;
CREATE INDEX asset_deleted ON asset (deleted_at) WHERE deleted_at IS NOT NULL;

-- "I am about to move a blob into place": what a crash between the move and the asset's row leaves behind.
CREATE TABLE publish_intent (
    asset_id   TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    created_at BIGINT NOT NULL
);

-- Durable background work: pushed in the transaction that needs it, gone in the transaction that ends it.
CREATE TABLE job (
    id              TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    asset_id        TEXT COLLATE "C" NOT NULL,
    -- 'hls', 'thumbnail', 'storyboard', 'import', 'examine', 'index'
    kind            TEXT COLLATE "C" NOT NULL,
    -- 'queued', 'running', 'dead' (given up), 'canceled'
    state           TEXT COLLATE "C" NOT NULL,
    created_at      BIGINT NOT NULL,
    -- Not before.
    run_at          BIGINT NOT NULL,
    -- Who runs it, until when it is theirs, and which claim this is: a worker that lost its lease has an old token.
    worker          TEXT COLLATE "C",
    lease_until     BIGINT,
    token           BIGINT NOT NULL DEFAULT 0,
    failed_attempts BIGINT NOT NULL DEFAULT 0,
    lost_leases     BIGINT NOT NULL DEFAULT 0,
    -- 0 to 1
    progress        DOUBLE PRECISION,
    last_error      TEXT
);

-- Imports wait for others, not for cores: their own lane.
CREATE INDEX job_by_lane ON job (state, (kind = 'import'), run_at, id);
CREATE UNIQUE INDEX job_by_asset ON job (asset_id, kind);

-- What was made of an asset.
CREATE TABLE derivative (
    asset_id   TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    -- The folder of its files; each attempt has its own.
    folder     TEXT NOT NULL,
    bytes      BIGINT NOT NULL,
    -- How it was made, and why so: JSON.
    details    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (asset_id, kind)
);

CREATE TABLE secret (
    name  TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);

-- How far a job that imports is.
CREATE TABLE import (
    asset_id  TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    url       TEXT NOT NULL,
    -- What If-Range is sent with; NULL where the origin gives nothing that proves sameness.
    validator TEXT,
    -- Bytes of the whole; NULL where the origin does not say.
    total     BIGINT,
    -- Bytes that are here, flushed.
    received  BIGINT NOT NULL,
    -- Bytes a second, lately.
    rate      BIGINT
);

CREATE TABLE upload_session (
    id         TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    asset_id   TEXT COLLATE "C" NOT NULL UNIQUE,
    account    TEXT COLLATE "C" NOT NULL,
    -- What the client says it is: 'video', 'audio', 'image'.
    type       TEXT NOT NULL,
    total_size BIGINT NOT NULL,
    -- Bytes of every chunk but the last.
    chunk_size BIGINT NOT NULL,
    -- 'active', 'completed', 'failed', 'expired'
    status     TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX upload_session_by_account ON upload_session (account, status, created_at, id);
CREATE INDEX upload_session_by_end ON upload_session (status, expires_at);

-- Chunks whose bytes are here, flushed. The others have no row.
CREATE TABLE upload_chunk (
    upload_id    TEXT COLLATE "C" NOT NULL,
    -- From 1.
    chunk_index  BIGINT NOT NULL,
    etag         TEXT NOT NULL,
    received_at  BIGINT NOT NULL,
    -- When the client reported it; NULL before that.
    completed_at BIGINT,
    PRIMARY KEY (upload_id, chunk_index)
);

-- Answers to requests with an Idempotency-Key.
CREATE TABLE idempotency (
    account     TEXT COLLATE "C" NOT NULL,
    key         TEXT COLLATE "C" NOT NULL,
    -- Of the request, hex: the same key with another request is refused.
    fingerprint TEXT NOT NULL,
    -- The body of the answer, JSON.
    answer      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (account, key)
);

CREATE INDEX idempotency_by_age ON idempotency (created_at);

-- Indexes and what is in them. (`index` is a reserved word.)

CREATE TABLE media_index (
    -- As in asset.
    seq               BIGINT NOT NULL,
    id                TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    account           TEXT COLLATE "C" NOT NULL,
    index_name        TEXT COLLATE "C" NOT NULL,
    -- Models with their options, and add-ons: JSON.
    models            TEXT NOT NULL,
    addons            TEXT NOT NULL,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    -- Kept in the transactions that change what is in it.
    video_count       BIGINT NOT NULL DEFAULT 0,
    total_duration_ms BIGINT NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX media_index_by_name ON media_index (account, index_name);
CREATE INDEX media_index_by_account ON media_index (account, id);
CREATE INDEX media_index_by_update ON media_index (account, updated_at, id);

-- An asset's place in an index: keeps the asset from being deleted, and outlives one that is deleted by force.
CREATE TABLE indexed_asset (
    -- As in asset.
    seq                 BIGINT NOT NULL,
    id                  TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    index_id            TEXT COLLATE "C" NOT NULL,
    asset_id            TEXT COLLATE "C" NOT NULL,
    -- 'pending', 'queued', 'indexing', 'ready', 'failed'
    status              TEXT NOT NULL,
    enable_video_stream BOOLEAN NOT NULL,
    created_at          BIGINT NOT NULL,
    updated_at          BIGINT NOT NULL,
    indexed_at          BIGINT,
    -- Since when the asset is gone.
    asset_deleted_at    BIGINT,
    -- Why it failed.
    error_code          TEXT,
    error_message       TEXT,
    -- Of the asset, as of adding.
    filename            TEXT COLLATE "C" NOT NULL,
    duration            DOUBLE PRECISION,
    fps                 DOUBLE PRECISION,
    width               BIGINT,
    height              BIGINT,
    size                BIGINT,
    -- What the user wants kept with it, JSON; NULL for nothing.
    user_metadata       TEXT
);

CREATE UNIQUE INDEX indexed_asset_once ON indexed_asset (index_id, asset_id);
CREATE INDEX indexed_asset_by_index ON indexed_asset (index_id, id);
CREATE INDEX indexed_asset_by_update ON indexed_asset (index_id, updated_at, id);
CREATE INDEX indexed_asset_by_name ON indexed_asset (index_id, filename, id);
CREATE INDEX indexed_asset_by_asset ON indexed_asset (asset_id, id);
