-- Indexes and what is in them. (`index` is a reserved word.)

CREATE TABLE media_index (
    -- Creation order; the first eight bytes of the id.
    seq               INTEGER PRIMARY KEY NOT NULL,
    id                TEXT NOT NULL UNIQUE,
    account           TEXT NOT NULL REFERENCES account (name),
    index_name        TEXT NOT NULL,
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
CREATE INDEX media_index_by_account ON media_index (account, seq);
CREATE INDEX media_index_by_update ON media_index (account, updated_at, seq);

-- Nothing could write it before.
DROP TABLE indexed_asset;

-- An asset's place in an index: keeps the asset from being deleted, and outlives one that is deleted by force.
CREATE TABLE indexed_asset (
    seq                 INTEGER PRIMARY KEY NOT NULL,
    id                  TEXT NOT NULL UNIQUE,
    index_id            TEXT NOT NULL,
    asset_id            TEXT NOT NULL,
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
    filename            TEXT NOT NULL,
    duration            DOUBLE PRECISION,
    fps                 DOUBLE PRECISION,
    width               BIGINT,
    height              BIGINT,
    size                BIGINT,
    -- What the user wants kept with it, JSON; NULL for nothing.
    user_metadata       TEXT
);

CREATE UNIQUE INDEX indexed_asset_once ON indexed_asset (index_id, asset_id);
CREATE INDEX indexed_asset_by_index ON indexed_asset (index_id, seq);
CREATE INDEX indexed_asset_by_update ON indexed_asset (index_id, updated_at, seq);
CREATE INDEX indexed_asset_by_name ON indexed_asset (index_id, filename, seq);
CREATE INDEX indexed_asset_by_asset ON indexed_asset (asset_id, seq);
