-- Times are milliseconds since the epoch. Ids are TEXT made in Rust. JSON is TEXT.

CREATE TABLE account (
    name         TEXT PRIMARY KEY NOT NULL,
    created_at   BIGINT NOT NULL,
    -- Kept in the transactions that change assets, so that neither totals nor quotas scan.
    asset_count  BIGINT NOT NULL DEFAULT 0,
    asset_bytes  BIGINT NOT NULL DEFAULT 0,
    -- The most it may hold; NULL for no bound.
    quota_assets BIGINT,
    quota_bytes  BIGINT
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
    -- As it is searched: normalised and folded (store::fold).
    filename_folded    TEXT NOT NULL,
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

-- Lists walk it, newest first; it carries what they filter by, so that a walk reads no rows.
CREATE INDEX asset_by_account ON asset (account, deleted_at, seq, kind);
CREATE INDEX asset_deleted ON asset (deleted_at) WHERE deleted_at IS NOT NULL;

-- "I am about to move a blob into place": what a crash between the move and the asset's row leaves behind.
CREATE TABLE publish_intent (
    asset_id   TEXT PRIMARY KEY NOT NULL,
    created_at BIGINT NOT NULL
);

-- Substrings of filenames. The account's shard (three characters, so one trigram) keeps one account's search from
-- walking through another's names; which account it really is, the row says.
CREATE VIRTUAL TABLE asset_search USING fts5 (
    account_shard, filename_folded,
    content = '', contentless_delete = 1, tokenize = 'trigram case_sensitive 1'
);

-- What refers to an asset and so keeps it from being deleted. It outlives an asset that is deleted by force.
CREATE TABLE indexed_asset (
    id         TEXT PRIMARY KEY NOT NULL,
    index_id   TEXT NOT NULL,
    asset_id   TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE INDEX indexed_asset_by_asset ON indexed_asset (asset_id);
