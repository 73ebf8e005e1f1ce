-- Several nodes publish: which one began an intent, and whether it was taken back, so that the row must not come any more.
ALTER TABLE publish_intent ADD COLUMN node TEXT NOT NULL DEFAULT '';
ALTER TABLE publish_intent ADD COLUMN taken_back BIGINT NOT NULL DEFAULT 0;
