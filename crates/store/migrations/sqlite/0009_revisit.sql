-- Assets whose bytes are looked for again: a write that was given up may have been carried out since.
CREATE TABLE revisit (
    asset_id TEXT PRIMARY KEY,
    -- Milliseconds since the epoch.
    due_at   BIGINT NOT NULL
);
CREATE INDEX revisit_due ON revisit (due_at);
