//! The one reader of forms (multipart/form-data, RFC 7578): a stream in, parts out, in whatever order they come.
//!
//! Memory is constant: a part's bytes are handed on as they arrived, uncopied but for the rare chunk that ends in
//! what may be the start of a delimiter.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use memchr::memmem;

use crate::content_disposition::{self, FormPart};

/// The most parts a form may have; ours has half a dozen.
const MAX_PARTS: usize = 100;
/// The most bytes of a part's headers.
const MAX_HEADERS: usize = 16 * 1024;
/// The most bytes before the first delimiter and after the last.
const MAX_AROUND: usize = 64 * 1024;

/// Why a form cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormError {
    /// It is no form, or ends before it should.
    #[error("malformed form: {0}")]
    Malformed(&'static str),
    /// The body broke off.
    #[error("the body broke off: {0}")]
    Body(axum::BoxError),
}

/// A form being read.
pub(crate) struct Form<S> {
    body: S,
    /// Read and not yet handed on.
    buffer: Bytes,
    /// CR LF, two dashes, the boundary.
    delimiter: memmem::Finder<'static>,
    at: At,
    parts: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the first delimiter.
    Preamble,
    /// In a part's bytes.
    Part,
    /// Right behind a delimiter.
    Delimiter,
    /// Behind the last delimiter.
    End,
}

impl<S, E> Form<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<axum::BoxError>,
{
    pub(crate) fn new(body: S, boundary: &str) -> Self {
        let delimiter = format!("\r\n--{boundary}");
        Self {
            body,
            // The first delimiter may open the body; then its CR LF is not there.
            buffer: Bytes::from_static(b"\r\n"),
            delimiter: memmem::Finder::new(&delimiter).into_owned(),
            at: At::Preamble,
            parts: 0,
        }
    }

    /// The next part's head, skipping what is left of the current one; `None` after the last.
    pub(crate) async fn next_part(&mut self) -> Result<Option<FormPart>, FormError> {
        let mut preamble = 0;
        while matches!(self.at, At::Preamble | At::Part) {
            let skipped = self.chunk().await?.map_or(0, |bytes| bytes.len());
            if self.at == At::Preamble {
                preamble += skipped;
                if preamble > MAX_AROUND {
                    return Err(FormError::Malformed("no delimiter where the form should begin"));
                }
            }
        }
        if self.at == At::End || self.is_last_delimiter().await? {
            return Ok(None);
        }
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(FormError::Malformed("too many parts"));
        }
        let head = self.head().await?;
        self.at = At::Part;
        content_disposition::parse_part(&head).map(Some).ok_or(FormError::Malformed("a part without a name"))
    }

    /// The next bytes of the current part, never empty; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, FormError> {
        if !matches!(self.at, At::Preamble | At::Part) {
            return Ok(None);
        }
        loop {
            if let Some(start) = self.delimiter.find(&self.buffer) {
                if start > 0 {
                    return Ok(Some(self.buffer.split_to(start)));
                }
                let _ = self.buffer.split_to(self.delimiter.needle().len());
                self.at = At::Delimiter;
                return Ok(None);
            }
            let sure = self.buffer.len() - self.delimiter_begun();
            if sure > 0 {
                return Ok(Some(self.buffer.split_to(sure)));
            }
            self.fill("the form ends inside a part").await?;
        }
    }

    /// How many bytes at the end of the buffer may be the beginning of a delimiter.
    fn delimiter_begun(&self) -> usize {
        let needle = self.delimiter.needle();
        let longest = needle.len().min(self.buffer.len());
        let tail = &self.buffer[self.buffer.len() - longest..];
        memchr::memchr_iter(b'\r', tail)
            .map(|at| &tail[at..])
            .find(|rest| needle.starts_with(rest))
            .map_or(0, <[u8]>::len)
    }

    /// Reads what follows a delimiter up to its line's end: `--` ends the form.
    async fn is_last_delimiter(&mut self) -> Result<bool, FormError> {
        while self.buffer.len() < 2 {
            self.fill("the form ends inside a delimiter").await?;
        }
        if self.buffer.starts_with(b"--") {
            self.at = At::End;
            return Ok(true);
        }
        // Linear white space may pad the line.
        loop {
            let padding = self.buffer.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            if padding > MAX_HEADERS {
                return Err(FormError::Malformed("a delimiter's line does not end"));
            }
            match self.buffer.get(padding..padding + 2) {
                Some(b"\r\n") => {
                    let _ = self.buffer.split_to(padding + 2);
                    return Ok(false);
                }
                Some(_) => return Err(FormError::Malformed("something follows a delimiter")),
                None => self.fill("the form ends inside a delimiter").await?,
            }
        }
    }

    /// A part's headers, up to and without the empty line.
    async fn head(&mut self) -> Result<Bytes, FormError> {
        loop {
            // No headers at all: the empty line comes at once.
            if self.buffer.starts_with(b"\r\n") {
                let _ = self.buffer.split_to(2);
                return Ok(Bytes::new());
            }
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                if end > MAX_HEADERS {
                    return Err(FormError::Malformed("a part's headers are too long"));
                }
                let head = self.buffer.split_to(end);
                let _ = self.buffer.split_to(4);
                // An empty part's delimiter may begin with the line that ends its headers.
                return Ok(head);
            }
            if self.buffer.len() > MAX_HEADERS {
                return Err(FormError::Malformed("a part's headers are too long"));
            }
            self.fill("the form ends inside a part's headers").await?;
        }
    }

    /// After the last part: waits for the body's own end, so that a client that hung up is not taken for one that
    /// was done.
    pub(crate) async fn finish(mut self) -> Result<(), FormError> {
        let mut around = self.buffer.len();
        while let Some(chunk) = self.body.next().await {
            around += chunk.map_err(|error| FormError::Body(error.into()))?.len();
            if around > MAX_AROUND {
                return Err(FormError::Malformed("too much follows the form"));
            }
        }
        Ok(())
    }

    /// Adds the body's next bytes to the buffer.
    async fn fill(&mut self, at_end: &'static str) -> Result<(), FormError> {
        let chunk = match self.body.next().await {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => return Err(FormError::Body(error.into())),
            None => return Err(FormError::Malformed(at_end)),
        };
        self.buffer = if self.buffer.is_empty() {
            chunk
        } else {
            let mut joined = BytesMut::with_capacity(self.buffer.len() + chunk.len());
            joined.extend_from_slice(&self.buffer);
            joined.extend_from_slice(&chunk);
            joined.freeze()
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::{Parts, read, read_by_multer, run};

    fn encode(parts: &Parts, boundary: &str) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, filename, bytes) in parts {
            let filename = filename.as_ref().map(|name| format!("; filename=\"{name}\"")).unwrap_or_default();
            body.extend_from_slice(
                format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n")
                    .as_bytes(),
            );
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        body
    }

    /// What bounds a form lets as much through as it says, and no more.
    #[test]
    fn bounds_hold_to_the_byte() {
        assert_eq!((MAX_PARTS, MAX_HEADERS, MAX_AROUND), (100, 16_384, 65_536));
        let taken = |body: &[u8]| run(read(body, "b", &[body.len(), 1])).is_ok();
        let part = |name: &str| (name.to_owned(), None, Vec::new());
        let parts = |count| encode(&vec![part("a"); count], "b");
        assert!(taken(&parts(MAX_PARTS)) && !taken(&parts(MAX_PARTS + 1)));

        // A line's end of ours begins the body.
        let before = |count: usize| [vec![b'x'; count - 2], b"\r\n".to_vec(), parts(1)].concat();
        assert!(taken(&before(MAX_AROUND)) && !taken(&before(MAX_AROUND + 1)));

        // Two hyphens of the last delimiter and its line's end count.
        let behind = |count: usize| [parts(1), vec![b'x'; count - 4]].concat();
        let in_pieces = |body: &[u8]| run(read(body, "b", &[parts(1).len() - 2, 100])).is_ok();
        assert!(in_pieces(&behind(MAX_AROUND)) && !in_pieces(&behind(MAX_AROUND + 1)));

        let known = "Content-Disposition: form-data; name=\"a\"\r\nX: ";
        let headed = |count: usize| {
            let more = "x".repeat(count - known.len());
            format!("--b\r\n{known}{more}\r\n\r\n\r\n--b--\r\n").into_bytes()
        };
        assert!(taken(&headed(MAX_HEADERS)) && !taken(&headed(MAX_HEADERS + 1)));
        // Its end comes with the next chunk.
        assert!(run(read(&headed(MAX_HEADERS), "b", &[b"--b\r\n".len() + MAX_HEADERS, 100])).is_ok());
        let trickles = |body: &[u8]| run(read(body, "b", &[1000])).is_ok();
        assert!(!trickles(&headed(MAX_HEADERS * 2)));
        // As soon as they are too long, whether or not they end.
        let endless = run(read(&headed(MAX_HEADERS * 2)[..MAX_HEADERS + 2000], "b", &[1000]));
        assert!(matches!(endless, Err(FormError::Malformed("a part's headers are too long"))), "{endless:?}");

        let padded = |count: usize| [b"--b", " ".repeat(count).as_bytes(), &parts(1)[3..]].concat();
        assert!(taken(&padded(MAX_HEADERS)) && !taken(&padded(MAX_HEADERS + 1)));
    }

    /// Memory is constant: what cannot be a delimiter's beginning is not waited with.
    #[test]
    fn bytes_are_handed_on_as_they_came() {
        let body = encode(&vec![("a".to_owned(), None, vec![b'x'; 1000])], "b");
        let begun = stream::iter([Ok(Bytes::from(body[..500].to_vec())), Err("gone")]);
        let mut form = Form::new(begun, "b");
        run(async {
            form.next_part().await.unwrap().unwrap();
            assert!(form.chunk().await.unwrap().is_some_and(|bytes| bytes.iter().all(|byte| *byte == b'x')));
            assert!(matches!(form.chunk().await, Err(FormError::Body(_))));
        });
    }

    #[test]
    fn torn_forms_are_malformed_wherever_they_end() {
        let parts = vec![
            ("method".into(), None, b"direct".to_vec()),
            ("file".into(), Some("a".into()), vec![b'-'; 50]),
        ];
        let body = encode(&parts, "b");
        // The last CR LF is optional.
        for end in 0..body.len() - 2 {
            assert!(
                matches!(run(read(&body[..end], "b", &[7])), Err(FormError::Malformed(_))),
                "cut at {end}"
            );
        }
        for end in body.len() - 2..=body.len() {
            assert_eq!(run(read(&body[..end], "b", &[7])).unwrap(), parts);
        }
    }

    #[test]
    fn bounds_hold() {
        let many: Parts = (0..=MAX_PARTS).map(|n| (format!("f{n}"), None, Vec::new())).collect();
        assert!(matches!(
            run(read(&encode(&many, "b"), "b", &[4096])),
            Err(FormError::Malformed("too many parts"))
        ));
        let long = encode(&vec![("n".repeat(MAX_HEADERS), None, Vec::new())], "b");
        assert!(matches!(run(read(&long, "b", &[4096])), Err(FormError::Malformed(_))));
        let preamble = [vec![b'x'; MAX_AROUND + 1], encode(&Vec::new(), "b")].concat();
        assert!(matches!(run(read(&preamble, "b", &[4096])), Err(FormError::Malformed(_))));
        let epilogue = [encode(&Vec::new(), "b"), vec![b'x'; MAX_AROUND + 1]].concat();
        assert!(matches!(run(read(&epilogue, "b", &[4096])), Err(FormError::Malformed(_))));
    }

    fn part_bytes() -> impl Strategy<Value = Vec<u8>> {
        // Bytes that look like the beginning of a delimiter are where readers go wrong.
        let piece = prop_oneof![
            Just(b"\r\n--bo".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"--bou".to_vec()),
            prop::collection::vec(any::<u8>(), 0..40)
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_however_it_is_cut(
            parts in prop::collection::vec(("[a-z_]{1,12}", prop::option::of("[a-zA-Z0-9. é🎬]{1,20}"), part_bytes()), 0..5),
            sizes in prop::collection::vec(1usize..60, 1..6),
        ) {
            let body = encode(&parts, "boundary");
            let read_back = run(read(&body, "boundary", &sizes)).unwrap();
            prop_assert_eq!(&read_back, &parts);
            if let Ok(by_multer) = run(read_by_multer(&body, "boundary", &sizes)) {
                prop_assert_eq!(read_back, by_multer);
            }
        }

        #[test]
        fn no_bytes_break_the_reader(
            parts in prop::collection::vec(("[a-z]{1,4}", prop::option::of("[a-z]{1,4}"), part_bytes()), 0..4),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            sizes in prop::collection::vec(1usize..40, 1..4),
        ) {
            let mut body = encode(&parts, "b");
            for (at, byte) in changes {
                let at = at.index(body.len());
                body[at] = byte;
            }
            let ours = run(read(&body, "b", &sizes));
            // What one chunking reads, every chunking reads.
            match (ours, run(read(&body, "b", &[body.len()]))) {
                (Ok(a), Ok(b)) => prop_assert_eq!(a, b),
                (Err(_), Err(_)) => {}
                (a, b) => prop_assert!(false, "{a:?} and {b:?}"),
            }
        }
    }
}
