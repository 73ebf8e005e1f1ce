-- The id of the upload in parts that takes an upload's chunks at the bucket.
ALTER TABLE upload_session ADD COLUMN multipart_id TEXT;
