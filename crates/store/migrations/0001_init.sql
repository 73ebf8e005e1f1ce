-- Times are milliseconds since the epoch. Ids are TEXT made in Rust. JSON is TEXT.

CREATE TABLE account (
    name        TEXT PRIMARY KEY NOT NULL,
    created_at  BIGINT NOT NULL,
    -- Kept in the transactions that change assets, so that neither totals nor quotas scan.
    asset_count BIGINT NOT NULL DEFAULT 0,
    asset_bytes BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE api_key (
    id         TEXT PRIMARY KEY NOT NULL,
    account    TEXT NOT NULL REFERENCES account (name),
    -- SHA-256 of the key, hex. The key itself is nowhere.
    hash       TEXT NOT NULL UNIQUE,
    -- 'configured' (REELHOUSE_API_KEY), 'generated' (first start) or 'created' (keys create).
    origin     TEXT NOT NULL,
    read_only  BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE asset (
    -- Creation order; the first eight bytes of the id.
    seq                INTEGER PRIMARY KEY NOT NULL,
    id                 TEXT NOT NULL UNIQUE,
    account            TEXT NOT NULL REFERENCES account (name),
    method             TEXT NOT NULL,
    status             TEXT NOT NULL,
    kind               TEXT,
    filename           TEXT NOT NULL,
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
    deleted_at         BIGINT
);

CREATE INDEX asset_by_account ON asset (account, seq) WHERE deleted_at IS NULL;
CREATE INDEX asset_deleted ON asset (deleted_at) WHERE deleted_at IS NOT NULL;

-- "I am about to move a blob into place": what a crash between the move and the asset's row leaves behind.
CREATE TABLE publish_intent (
    asset_id   TEXT PRIMARY KEY NOT NULL,
    created_at BIGINT NOT NULL
);
