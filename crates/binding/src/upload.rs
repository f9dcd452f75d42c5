//! The class `EngineUpload`: a model whose files are brought.

use crate::args::FromJs;
use crate::boundary::caught;
use crate::class::{Call, Member, members};
use crate::handles::holds;
use crate::js::Js;
use crate::loading::{LoadedBytes, settle};
use crate::model::Placement;
use crate::results::{Own, object};
use hooklens_core::models::{Need, Upload};
use hooklens_core::{Error, Result, memory};
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

/// Nothing once its model is being made, or it is disposed.
#[derive(Clone)]
pub(crate) struct HeldUpload(Rc<RefCell<Option<Upload>>>);

holds!(HeldUpload, Upload, "upload");

/// What it needs.
struct UploadNeed {
    kind: &'static str,
    file: String,
    bytes: f64,
    ranges: Vec<f64>,
}
object!(UploadNeed: c"kind" => kind, c"file" => file, c"bytes" => bytes, c"ranges" => ranges,);

impl From<Need> for UploadNeed {
    fn from(need: Need) -> Self {
        match need {
            Need::Text { file, limit } => Self { kind: "text", file, bytes: limit as f64, ranges: Vec::new() },
            Need::Start { file, bytes } => Self { kind: "start", file, bytes: bytes as f64, ranges: Vec::new() },
            Need::Ranges { file, ranges } => {
                let ranges = ranges.into_iter().flat_map(|range| [range.start as f64, range.end as f64]).collect();
                Self { kind: "ranges", file, bytes: 0.0, ranges }
            }
        }
    }
}

/// The place of a file.
struct Location(PathBuf);

impl<J: Js> FromJs<J> for Location {
    fn from_js(js: J, value: &J::Value) -> Result<Self> {
        String::from_js(js, value).map(|text| Self(text.into()))
    }
}

impl HeldUpload {
    pub(crate) fn new<J: Js, T>(call: &Call<'_, J, T>) -> Result<Self> {
        let placement = Placement::of::<J>(&call.arg(0)?)?;
        Ok(Self(Rc::new(RefCell::new(Some(Upload::new(placement.options()?))))))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Upload) -> Result<T>) -> Result<T> {
        look(self.0.borrow_mut().as_mut().ok_or_else(disposed)?)
    }
}

fn disposed() -> Error {
    Error::Disposed { what: "upload".into() }
}

pub(crate) fn members<J: Js>() -> &'static [Member<J>] {
    members! { J, HeldUpload:
        fun Act c"need" => |call| call.value()?.with(|upload| Ok(upload.need()?.map(UploadNeed::from)));
        fun Act c"absent" => |call| {
            let Location(location) = call.arg(0)?;
            call.value()?.with(|upload| upload.absent(&location))
        };
        fun Act c"text" => |call| {
            let Location(location) = call.arg(0)?;
            let bytes = call.given(1)?;
            call.value()?.with(|upload| call.js.with_elements::<u8, _>(&bytes, |text| upload.text(&location, text)))
        };
        fun Act c"start" => |call| {
            let Location(location) = call.arg(0)?;
            let size = call.arg::<Option<u64>>(1)?;
            let bytes = call.given(2)?;
            call.value()?.with(|upload| {
                call.js.with_elements::<u8, _>(&bytes, |start| upload.start(&location, size, start))
            })
        };
        fun Act c"feed" => |call| {
            let bytes = call.given(0)?;
            call.value()?.with(|upload| call.js.with_elements::<u8, _>(&bytes, |piece| upload.feed(piece)))
        };
        fun Act c"end" => |call| {
            let size = call.arg(0)?;
            call.value()?.with(|upload| upload.end(size))
        };
        fun Look c"progress" => |call| {
            call.value()?.with(|upload| Ok(LoadedBytes::from(upload.progress().as_ref())))
        };
        fun Act c"finish" => |call| {
            let mut upload = call.value()?.0.take().ok_or_else(disposed)?;
            let work = move || memory::unowned(|| caught(|| upload.finish()));
            call.js.promise(work, |js, outcome| caught(|| settle(js, outcome))).map(Own)
        };
        fun Act c"dispose" => |call| {
            drop(call.value()?.0.take());
            Ok(())
        };
    }
}
