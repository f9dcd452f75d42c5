//! The class `EngineRegistry`: hook points and the hooks attached to them.

use crate::args::{Flag, Int, List, Text, Whole};
use crate::boundary::{boundary, boundary_making, thrown};
use crate::cache::EngineCache;
use crate::callbacks::JsTrampoline;
use crate::fields::Fields;
use crate::tensor::{Passed, Passing, Tensors};
use hooklens_core::hooks::{
    self, AddOptions, BodyKind, CallbackId, CaptureOptions, Direction, HandleId, HookBody, HookFilter, HookPointId,
    HookRegistry, Intervention, PointInfo, PosSlice,
};
use hooklens_core::{DType, Error, Result};
use napi::Env;
use napi::bindgen_prelude::ClassInstance;
use napi_derive::napi;
use std::sync::Arc;

#[napi]
pub struct EngineRegistry {
    inner: HookRegistry,
}

impl EngineRegistry {
    /// Shares a registry with JavaScript, whose functions it may call from now on.
    pub(crate) fn of(inner: HookRegistry) -> Self {
        inner.set_trampoline(Arc::new(JsTrampoline));
        Self { inner }
    }
}

#[napi(object, object_from_js = false)]
pub struct Point {
    pub name: String,
    pub axes: Vec<String>,
    pub default: bool,
}

#[napi(object, object_from_js = false, use_nullable = true)]
pub struct Attached {
    pub handle: f64,
    pub point: u32,
    pub dir: &'static str,
    pub permanent: bool,
    pub level: Option<u32>,
    pub callback: Option<f64>,
}

#[napi]
pub fn create_registry(env: Env, points: List<Fields>) -> napi::Result<EngineRegistry> {
    let points = points.0.iter().map(point_info).collect::<napi::Result<Vec<_>>>()?;
    boundary(&env, || HookRegistry::new(points).map(EngineRegistry::of))
}

fn point_info(fields: &Fields) -> napi::Result<PointInfo> {
    Ok(PointInfo {
        name: fields.required::<Text>(c"name")?.0,
        axes: texts(fields.required(c"axes")?),
        default: fields.required::<Flag>(c"default")?.0,
    })
}

fn texts(list: List<Text>) -> Vec<String> {
    list.0.into_iter().map(|text| text.0).collect()
}

fn point_id(Whole(number): Whole) -> Result<HookPointId> {
    u32::try_from(number).map(HookPointId).map_err(|_| Error::IndexOutOfRange {
        op: "hookPoint",
        index: number as i64,
        size: u32::MAX as usize,
    })
}

fn direction(dir: Text) -> napi::Result<Direction> {
    Direction::from_name(&dir.0).map_err(thrown)
}

fn level(fields: &Fields) -> napi::Result<Option<u32>> {
    let level = fields.optional::<Whole>(c"level")?;
    Ok(level.map(|Whole(level)| u32::try_from(level).unwrap_or(u32::MAX)))
}

fn flag(fields: &Fields, name: &std::ffi::CStr) -> napi::Result<bool> {
    Ok(fields.optional::<Flag>(name)?.is_some_and(|flag| flag.0))
}

fn body(fields: &Fields) -> napi::Result<HookBody> {
    let Text(kind) = fields.required(c"kind")?;
    match kind.as_str() {
        "callback" => Ok(HookBody::Callback(CallbackId(fields.required::<Whole>(c"callback")?.0 as u64))),
        "intervention" => {
            let Text(json) = fields.required(c"json")?;
            let Tensors(tensors) = fields.required(c"tensors")?;
            Ok(HookBody::Intervention { intervention: Intervention::from_json(&json, "").map_err(thrown)?, tensors })
        }
        "capture" => Ok(HookBody::Capture {
            cache: fields.required::<ClassInstance<'_, EngineCache>>(c"cache")?.inner.clone(),
            options: capture_options(&fields.required(c"options")?)?,
        }),
        _ => Err(thrown(Error::InvalidArgument { op: "addHook", detail: format!("unknown kind of hook '{kind}'") })),
    }
}

fn capture_options(fields: &Fields) -> napi::Result<CaptureOptions> {
    let dtype = fields.optional::<Text>(c"dtype")?;
    Ok(CaptureOptions {
        key: None,
        remove_batch_dim: flag(fields, c"removeBatchDim")?,
        pos_slice: fields.optional(c"posSlice")?.as_ref().map(pos_slice).transpose()?,
        dtype: dtype.map(|Text(name)| DType::from_name(&name)).transpose().map_err(thrown)?,
        device: fields.optional::<Text>(c"device")?.map(|device| device.0),
    })
}

fn pos_slice(fields: &Fields) -> napi::Result<PosSlice> {
    if let Some(List(indices)) = fields.optional::<List<Int>>(c"indices")? {
        return Ok(PosSlice::Indices(indices.into_iter().map(|Int(i)| i).collect()));
    }
    let int = |name| Ok::<_, napi::Error>(fields.optional::<Int>(name)?.map(|Int(i)| i));
    Ok(PosSlice::Range { start: int(c"start")?, stop: int(c"stop")?, step: int(c"step")? })
}

#[napi]
pub fn act_name(env: Env, short: Fields) -> napi::Result<String> {
    let Text(name) = short.required(c"name")?;
    let layer = short.optional::<Whole>(c"layer")?.map(|Whole(layer)| layer as u64);
    let part = short.optional::<Text>(c"part")?.map(|Text(part)| part);
    boundary(&env, || Ok(hooks::act_name(&name, layer, part.as_deref())))
}

#[napi]
impl EngineRegistry {
    #[napi]
    pub fn points(&self, env: Env) -> napi::Result<Vec<Point>> {
        let point = |p: &PointInfo| Point { name: p.name.clone(), axes: p.axes.clone(), default: p.default };
        boundary(&env, || Ok(self.inner.points().map(point).collect()))
    }

    #[napi]
    pub fn add(&self, env: Env, point: Whole, dir: Text, body_of: Fields, options: Fields) -> napi::Result<f64> {
        let (dir, body) = (direction(dir)?, body(&body_of)?);
        let options = AddOptions {
            permanent: flag(&options, c"permanent")?,
            level: level(&options)?,
            prepend: flag(&options, c"prepend")?,
            aliases: options.optional(c"aliases")?.map_or_else(Vec::new, texts),
        };
        boundary(&env, || Ok(self.inner.add(point_id(point)?, dir, body, options)?.0 as f64))
    }

    #[napi]
    pub fn remove(&self, env: Env, handle: Whole) -> napi::Result<bool> {
        boundary(&env, || Ok(self.inner.remove(HandleId(handle.0 as u64))))
    }

    #[napi]
    pub fn remove_where(&self, env: Env, filter: Fields) -> napi::Result<Vec<f64>> {
        let filter = HookFilter {
            point: filter.optional(c"point")?.map(point_id).transpose().map_err(thrown)?,
            direction: filter.optional(c"dir")?.map(direction).transpose()?,
            including_permanent: flag(&filter, c"includingPermanent")?,
            level: level(&filter)?,
        };
        boundary(&env, || Ok(self.inner.remove_where(filter).into_iter().map(|handle| handle.0 as f64).collect()))
    }

    #[napi]
    pub fn list(&self, env: Env, point: Option<Whole>) -> napi::Result<Vec<Attached>> {
        boundary(&env, || {
            let attached = self.inner.list(point.map(point_id).transpose()?).into_iter().map(|info| Attached {
                handle: info.handle.0 as f64,
                point: info.point.0,
                dir: info.direction.name(),
                permanent: info.permanent,
                level: info.level,
                callback: match info.body {
                    BodyKind::Callback(id) => Some(id.0 as f64),
                    BodyKind::Intervention | BodyKind::Capture => None,
                },
            });
            Ok(attached.collect())
        })
    }

    #[napi]
    pub fn select(&self, env: Env, names: List<Text>) -> napi::Result<Vec<u32>> {
        let names = texts(names);
        boundary(&env, || Ok(self.inner.select(&names)?.into_iter().map(|point| point.0).collect()))
    }

    #[napi]
    pub fn fire(&self, env: Env, point: Whole, x: Passing, name: Option<Text>) -> napi::Result<Passed> {
        boundary_making(&env, || {
            let (point, tensor) = (point_id(point)?, x.tensor.clone());
            let passed = match name {
                None => self.inner.fire(point, tensor)?,
                Some(Text(name)) => self.inner.fire_as(point, &name, tensor)?,
            };
            Ok(x.replaced_by(passed))
        })
    }

    #[napi]
    pub fn fire_gradient(&self, env: Env, point: Whole, gradient: Passing, name: Option<Text>) -> napi::Result<Passed> {
        boundary(&env, || {
            let name = name.as_ref().map(|Text(name)| name.as_str());
            let passed = self.inner.fire_gradient(point_id(point)?, name, gradient.tensor.clone())?;
            Ok(gradient.replaced_by(passed))
        })
    }

    #[napi]
    pub fn recorded(&self, env: Env) -> napi::Result<u32> {
        boundary(&env, || Ok(u32::try_from(self.inner.recorded()).unwrap_or(u32::MAX)))
    }

    #[napi]
    pub fn drain_released(&self, env: Env) -> napi::Result<Vec<f64>> {
        boundary(&env, || Ok(self.inner.drain_released().into_iter().map(|id| id.0 as f64).collect()))
    }
}
