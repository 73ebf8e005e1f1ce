-- Assets whose bytes are still arriving: a row first, `processing`; a job ends it `ready` or `failed`.

ALTER TABLE asset ADD COLUMN error_code TEXT;
ALTER TABLE asset ADD COLUMN error_message TEXT;
-- What the user wants kept with it, JSON; NULL for nothing.
ALTER TABLE asset ADD COLUMN user_metadata TEXT;

-- How far a job that imports is.
CREATE TABLE import (
    asset_id  TEXT PRIMARY KEY NOT NULL,
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
    id         TEXT PRIMARY KEY NOT NULL,
    asset_id   TEXT NOT NULL UNIQUE,
    account    TEXT NOT NULL,
    -- What the client says it is: 'video', 'audio', 'image'.
    type       TEXT NOT NULL,
    total_size BIGINT NOT NULL,
    -- Bytes of every chunk but the last.
    chunk_size BIGINT NOT NULL,
    -- 'active', 'completed', 'failed', 'expired'
    status     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX upload_session_by_account ON upload_session (account, status, created_at, id);
CREATE INDEX upload_session_by_end ON upload_session (status, expires_at);

-- Chunks whose bytes are here, flushed. The others have no row.
CREATE TABLE upload_chunk (
    upload_id    TEXT NOT NULL,
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
    account     TEXT NOT NULL,
    key         TEXT NOT NULL,
    -- Of the request, hex: the same key with another request is refused.
    fingerprint TEXT NOT NULL,
    -- The body of the answer, JSON.
    answer      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (account, key)
);

CREATE INDEX idempotency_by_age ON idempotency (created_at);

-- Imports wait for others, not for cores: their own lane.
DROP INDEX job_by_state;
CREATE INDEX job_by_lane ON job (state, (kind = 'import'), run_at, id);
