//! A model whose files are brought piece by piece, from wherever there is no folder to read: a network, files that were
//! dropped on a page.
//!
//! An [`Upload`] says what it needs next and takes it; which file comes after which, what may be absent, and which bytes of
//! the weights are needed at all is decided here. Weights are cast while their bytes come and become the model's own
//! storage, so that a load takes little more memory than the weights.
//!
//! ```no_run
//! use hooklens_core::models::{LoadOptions, Need, Upload};
//! use std::{fs, path::Path};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = Path::new("gpt2");
//! let mut upload = Upload::new(LoadOptions::default());
//! while let Some(need) = upload.need()? {
//!     let path = folder.join(need.file());
//!     match (fs::read(&path), need) {
//!         (Err(_), _) => upload.absent(&path)?,
//!         (Ok(bytes), Need::Text { .. }) => upload.text(&path, &bytes)?,
//!         (Ok(bytes), Need::Start { .. }) => upload.start(&path, Some(bytes.len() as u64), &bytes)?,
//!         (Ok(bytes), Need::Ranges { ranges, .. }) => {
//!             for range in ranges {
//!                 upload.feed(&bytes[range.start as usize..range.end as usize])?;
//!             }
//!         }
//!     }
//! }
//! let model = upload.finish()?;
//! # Ok(())
//! # }
//! ```

use super::{LoadOptions, Model};
use crate::error::{Error, Result};
use crate::families::{CONFIG_FILE, Checkpoint, MAX_CONFIG_BYTES, NATIVE_CONFIG_FILE};
use crate::load::fed::{Delivery, FIRST_BYTES, FedFile, FedFiles, Start};
use crate::load::index::{MAX_INDEX_BYTES, parse_index};
use crate::load::{INDEX_FILE, LoadProgress, SINGLE_FILE, parse_json};
use indexmap::IndexMap;
use std::collections::VecDeque;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What an [`Upload`] needs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// All of a small file: [`Upload::text`], or [`Upload::absent`].
    Text {
        /// Its path in the model's folder, with `/` between names.
        file: String,
        /// It is refused if it has more bytes.
        limit: u64,
    },
    /// The first bytes of a file: [`Upload::start`], or [`Upload::absent`].
    Start {
        /// Its path in the model's folder.
        file: String,
        /// How many at least, unless the file has fewer. More may come.
        bytes: u64,
    },
    /// Parts of a file: [`Upload::feed`].
    Ranges {
        /// Its path in the model's folder.
        file: String,
        /// Positions in the file, in ascending order, none empty and none touching the next.
        ranges: Vec<Range<u64>>,
    },
}

impl Need {
    /// The path of the file in the model's folder.
    pub fn file(&self) -> &str {
        match self {
            Self::Text { file, .. } | Self::Start { file, .. } | Self::Ranges { file, .. } => file,
        }
    }
}

/// A model on its way.
pub struct Upload {
    options: LoadOptions,
    stage: Stage,
}

enum Stage {
    NativeConfig,
    Config,
    /// The header of the one file, of which so many bytes are needed.
    Single(Checkpoint, u64),
    Index(Checkpoint),
    Shards(Shards),
    Weights {
        checkpoint: Checkpoint,
        files: FedFiles,
        /// The first is the one that was asked for.
        deliveries: VecDeque<Delivery>,
    },
    /// Nothing can come of it any more.
    Failed,
}

/// The headers of shards, one after the other.
struct Shards {
    checkpoint: Checkpoint,
    index: PathBuf,
    names: IndexMap<String, Vec<String>>,
    files: Vec<FedFile>,
    /// How many bytes are needed of the next.
    needs: u64,
}

impl Upload {
    /// An upload of which nothing has come.
    pub fn new(options: LoadOptions) -> Self {
        Self { options, stage: Stage::NativeConfig }
    }

    /// What it needs next, or `None` if all is there: [`Self::finish`]. What is missing of something that has come in
    /// part is asked for again.
    ///
    /// # Errors
    /// `cancelled`; `invalid_argument` after an upload that has failed.
    pub fn need(&mut self) -> Result<Option<Need>> {
        self.options.progress.check().inspect_err(|_| self.stage = Stage::Failed)?;
        Ok(Some(match &mut self.stage {
            Stage::NativeConfig => Need::Text { file: NATIVE_CONFIG_FILE.into(), limit: MAX_CONFIG_BYTES },
            Stage::Config => Need::Text { file: CONFIG_FILE.into(), limit: MAX_CONFIG_BYTES },
            Stage::Single(_, bytes) => Need::Start { file: SINGLE_FILE.into(), bytes: *bytes },
            Stage::Index(_) => Need::Text { file: INDEX_FILE.into(), limit: MAX_INDEX_BYTES },
            Stage::Shards(shards) => Need::Start { file: shards.next_name()?.to_owned(), bytes: shards.needs },
            Stage::Weights { files, deliveries, .. } => {
                while deliveries.front().is_some_and(Delivery::is_complete) {
                    deliveries.pop_front();
                }
                let Some(delivery) = deliveries.front() else {
                    return Ok(None);
                };
                Need::Ranges { file: files.file(delivery)?.name().to_owned(), ranges: delivery.ranges() }
            }
            Stage::Failed => return Err(failed()),
        }))
    }

    /// The file that it needs is not there. `location` says where it was looked for.
    ///
    /// # Errors
    /// `missing_file` if there is no model without it.
    pub fn absent(&mut self, location: &Path) -> Result<()> {
        let missing = |detail: &str| Error::MissingFile { path: location.into(), detail: detail.into() };
        self.advance(|stage, _| match stage {
            Stage::NativeConfig => Ok(Stage::Config),
            Stage::Config => Err(missing("there is no such file, nor a tl_config.json beside it")),
            Stage::Single(checkpoint, _) => Ok(Stage::Index(checkpoint)),
            Stage::Index(_) => Err(missing(
                "there is no such file, nor a model.safetensors beside it (pickled weights, such as \
                 pytorch_model.bin, are not read: they can run code)",
            )),
            Stage::Shards(Shards { index, .. }) => Err(missing(&format!(
                "{:?} names this file, which is not there",
                index.file_name().unwrap_or_default()
            ))),
            Stage::Weights { .. } => Err(missing("the file was there, and is gone")),
            Stage::Failed => Err(failed()),
        })
    }

    /// The content of a [`Need::Text`] file; `location` says where it comes from.
    ///
    /// # Errors
    /// `invalid_file`; `unsupported_architecture`; `unsupported_config` naming a key; `invalid_argument` for options that
    /// do not fit the model, or if no text is needed.
    pub fn text(&mut self, location: &Path, text: &[u8]) -> Result<()> {
        self.advance(|stage, options| match stage {
            Stage::NativeConfig => {
                let json = parse_json(text, location, MAX_CONFIG_BYTES)?;
                Ok(Stage::Single(Checkpoint::native(&json, options)?, FIRST_BYTES))
            }
            Stage::Config => {
                let json = parse_json(text, location, MAX_CONFIG_BYTES)?;
                Ok(Stage::Single(Checkpoint::hugging_face(json, options)?, FIRST_BYTES))
            }
            Stage::Index(checkpoint) => {
                let names = parse_index(&parse_json(text, location, MAX_INDEX_BYTES)?, location)?;
                let index = location.to_owned();
                Shards { checkpoint, index, names, files: Vec::new(), needs: FIRST_BYTES }.or_weights(options)
            }
            other => Err(other.unasked("a text")),
        })
    }

    /// The first bytes of a [`Need::Start`] file, all that there are if it has fewer than asked for. `size` is that of the
    /// whole file, if it is known.
    ///
    /// # Errors
    /// `invalid_file`, with the numbers, if the header and the size disagree; `weight_mismatch` naming every tensor that is
    /// missing, superfluous or of another shape; `wrong_dtype` for weights that are no floats; `memory_limit` if they
    /// would go over the limit; `invalid_argument` if no start of a file is needed.
    pub fn start(&mut self, location: &Path, size: Option<u64>, bytes: &[u8]) -> Result<()> {
        // Fewer than asked for are all that there are.
        let whole = |needed: u64| size.or_else(|| Some(bytes.len() as u64).filter(|come| *come < needed));
        self.advance(|stage, options| match stage {
            Stage::Single(checkpoint, needed) => match FedFile::start(SINGLE_FILE, location, whole(needed), bytes)? {
                Start::Needs(more) => Ok(Stage::Single(checkpoint, more)),
                Start::Complete(file) => Stage::weights(checkpoint, FedFiles::single(file), options),
            },
            Stage::Shards(mut shards) => {
                match FedFile::start(shards.next_name()?, location, whole(shards.needs), bytes)? {
                    Start::Needs(more) => shards.needs = more,
                    Start::Complete(file) => {
                        shards.files.push(file);
                        shards.needs = FIRST_BYTES;
                    }
                }
                shards.or_weights(options)
            }
            other => Err(other.unasked("the start of a file")),
        })
    }

    /// The next bytes of the ranges that are needed, in order, as many or few at a time as there are. One range may follow
    /// another in the same piece.
    ///
    /// # Errors
    /// `invalid_argument` for more bytes than are needed of this file; `memory_limit`; `cancelled`.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        let Stage::Weights { files, deliveries, .. } = &mut self.stage else {
            return Err(self.fail(|stage| stage.unasked("a part of a file")));
        };
        let fed = deliveries
            .front_mut()
            .map_or(Ok(0), |delivery| delivery.feed(files, self.options.dtype, bytes, &self.options.progress));
        match fed {
            Ok(taken) if taken == bytes.len() => Ok(()),
            Ok(taken) => {
                let detail = format!("{} bytes more came than were asked for", bytes.len() - taken);
                Err(self.fail(|_| Error::InvalidArgument { op: "fromPretrained", detail }))
            }
            Err(error) => Err(self.fail(|_| error)),
        }
    }

    /// The file whose ranges are being fed turned out to have so many bytes.
    ///
    /// # Errors
    /// `invalid_file`, with the numbers, if its header says otherwise; `invalid_argument` if no ranges are needed.
    pub fn end(&mut self, size: u64) -> Result<()> {
        let Stage::Weights { files, deliveries, .. } = &mut self.stage else {
            return Err(self.fail(|stage| stage.unasked("the end of a file")));
        };
        let checked = deliveries.front().map_or(Ok(()), |delivery| files.file(delivery)?.check_size(size));
        checked.map_err(|error| self.fail(|_| error))
    }

    /// The model, once nothing more is needed. The upload is then of no more use.
    ///
    /// # Errors
    /// `invalid_argument` if something is needed; what processing fails with.
    pub fn finish(&mut self) -> Result<Model> {
        if let Some(need) = self.need()? {
            let detail = format!("'{}' has not come whole", need.file());
            return Err(self.fail(|_| Error::InvalidArgument { op: "fromPretrained", detail }));
        }
        match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Weights { checkpoint, files, .. } => {
                Model::from_checkpoint(checkpoint.read(&files, &self.options)?, &self.options)
            }
            other => Err(other.unasked("an end")),
        }
    }

    /// How far it has come, and the way to cancel it.
    pub fn progress(&self) -> &Arc<LoadProgress> {
        &self.options.progress
    }

    /// Replaces the stage; whatever fails frees everything that has come.
    fn advance(&mut self, to: impl FnOnce(Stage, &LoadOptions) -> Result<Stage>) -> Result<()> {
        self.options.progress.check().inspect_err(|_| self.stage = Stage::Failed)?;
        self.stage = to(std::mem::replace(&mut self.stage, Stage::Failed), &self.options)?;
        Ok(())
    }

    fn fail(&mut self, error: impl FnOnce(Stage) -> Error) -> Error {
        error(std::mem::replace(&mut self.stage, Stage::Failed))
    }
}

impl Stage {
    /// What must come of these files, all of whose headers have come.
    fn weights(checkpoint: Checkpoint, files: FedFiles, options: &LoadOptions) -> Result<Self> {
        let wanted = checkpoint.wanted(&files)?;
        let deliveries = files.deliveries(&wanted)?;
        options.begin(wanted.values().map(Vec::as_slice))?;
        Ok(Self::Weights { checkpoint, files, deliveries })
    }

    /// Something came that was not asked for.
    fn unasked(&self, what: &str) -> Error {
        let needed = match self {
            Self::NativeConfig => format!("the text of {NATIVE_CONFIG_FILE}"),
            Self::Config => format!("the text of {CONFIG_FILE}"),
            Self::Single(..) => format!("the start of {SINGLE_FILE}"),
            Self::Index(_) => format!("the text of {INDEX_FILE}"),
            Self::Shards(_) => "the start of a shard".into(),
            Self::Weights { .. } => "parts of files".into(),
            Self::Failed => return failed(),
        };
        Error::InvalidArgument { op: "fromPretrained", detail: format!("needs {needed}, but {what} came") }
    }
}

impl Shards {
    fn next_name(&self) -> Result<&str> {
        let gone = || Error::Internal { detail: "there is no shard left to ask for".into() };
        self.names.get_index(self.files.len()).map(|(name, _)| name.as_str()).ok_or_else(gone)
    }

    /// The next stage: the same while headers are missing.
    fn or_weights(self, options: &LoadOptions) -> Result<Stage> {
        if self.files.len() < self.names.len() {
            return Ok(Stage::Shards(self));
        }
        let Self { checkpoint, index, names, files, .. } = self;
        Stage::weights(checkpoint, FedFiles::sharded(index, names, files)?, options)
    }
}

fn failed() -> Error {
    let detail = "this upload has failed, or its model was taken: start another".into();
    Error::InvalidArgument { op: "fromPretrained", detail }
}
