//! Brings the files of a folder to an upload, as a server would: whole or in ranges, in pieces of any size.

use hooklens_core::Error;
use hooklens_core::models::{LoadOptions, Model, Need, Upload};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How files are brought.
#[derive(Clone, Copy)]
pub(crate) struct Delivery {
    /// Bytes at a time.
    pub(crate) piece: usize,
    /// Whether the sizes of files are told.
    pub(crate) sizes: bool,
}

/// A model brought to memory, and what was asked for: the file and how many bytes of its ranges.
pub(crate) fn deliver(
    folder: &Path,
    options: LoadOptions,
    delivery: Delivery,
) -> (Result<Model, Error>, Vec<(String, u64)>) {
    let mut asked = Vec::new();
    let mut upload = Upload::new(options);
    let mut piece = vec![0; delivery.piece];
    let mut bring = || -> Result<Model, Error> {
        while let Some(need) = upload.need()? {
            let path = folder.join(need.file());
            let Ok(mut file) = File::open(&path) else {
                upload.absent(&path)?;
                continue;
            };
            let size = file.metadata().unwrap().len();
            match need {
                Need::Text { limit, .. } => {
                    let mut text = Vec::new();
                    file.take(limit + 1).read_to_end(&mut text).unwrap();
                    upload.text(&path, &text)?;
                }
                Need::Start { bytes, .. } => {
                    let mut start = Vec::new();
                    file.take(bytes).read_to_end(&mut start).unwrap();
                    upload.start(&path, delivery.sizes.then_some(size), &start)?;
                }
                Need::Ranges { file: name, ranges } => {
                    asked.push((name, ranges.iter().map(|range| range.end - range.start).sum()));
                    for range in ranges {
                        file.seek(SeekFrom::Start(range.start)).unwrap();
                        let mut rest = (range.end - range.start) as usize;
                        while rest > 0 {
                            let next = rest.min(piece.len());
                            let piece = &mut piece[..next];
                            if file.read_exact(piece).is_err() {
                                upload.end(size)?;
                            }
                            upload.feed(piece)?;
                            rest -= next;
                        }
                    }
                    upload.end(size)?;
                }
            }
        }
        upload.finish()
    };
    (bring(), asked)
}
