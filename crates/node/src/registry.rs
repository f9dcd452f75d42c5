//! The class `EngineRegistry`: hook points and the hooks attached to them.

use crate::args::{Flag, Int, List, Text, Whole};
use crate::boundary::{boundary, boundary_making, thrown};
use crate::cache::EngineCache;
use crate::callbacks::JsTrampoline;
use crate::class::{self, Call, Class, members};
use crate::fields::Fields;
use crate::handles::{Held, Table};
use crate::persistent::Persistent;
use crate::tensor::{Passing, Tensors};
use hooklens_core::hooks::{
    self, AddOptions, BodyKind, CallbackId, CaptureOptions, Direction, HandleId, HandleInfo, HookBody, HookFilter,
    HookPointId, HookRegistry, Intervention, PointInfo, PosSlice,
};
use hooklens_core::{DType, Error, Result};
use napi::bindgen_prelude::{ClassInstance, Object, ToNapiValue};
use napi::{Env, sys};
use napi_derive::napi;
use std::cell::RefCell;
use std::ffi::CStr;
use std::sync::Arc;
use std::thread::LocalKey;

thread_local! {
    static REGISTRIES: RefCell<Table<HookRegistry>> = RefCell::default();
    static CLASS: Persistent = const { Persistent::new() };
}

impl Held for HookRegistry {
    const WHAT: &'static str = "hook registry";
    const MARK: u64 = 0x7e46_0000_0000_0000;
    fn table() -> &'static LocalKey<RefCell<Table<Self>>> {
        &REGISTRIES
    }
}

impl Class for HookRegistry {
    const NAME: &'static CStr = c"EngineRegistry";
    fn constructor() -> &'static LocalKey<Persistent> {
        &CLASS
    }
}

/// A registry on its way to JavaScript.
pub struct EngineRegistry(HookRegistry);

impl EngineRegistry {
    /// Shares a registry with JavaScript, whose functions it may call from now on.
    pub(crate) fn of(inner: HookRegistry) -> Self {
        inner.set_trampoline(Arc::new(JsTrampoline));
        Self(inner)
    }
}

impl ToNapiValue for EngineRegistry {
    unsafe fn to_napi_value(env: sys::napi_env, Self(registry): Self) -> napi::Result<sys::napi_value> {
        // SAFETY: the caller's promise.
        unsafe { class::instance(env, registry) }
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

fn add_options(fields: &Fields) -> napi::Result<AddOptions> {
    Ok(AddOptions {
        permanent: flag(fields, c"permanent")?,
        level: level(fields)?,
        prepend: flag(fields, c"prepend")?,
        aliases: fields.optional(c"aliases")?.map_or_else(Vec::new, texts),
        allow_shape_change: flag(fields, c"allowShapeChange")?,
    })
}

fn capture_options(fields: &Fields) -> napi::Result<CaptureOptions> {
    let dtype = fields.optional::<Text>(c"dtype")?;
    Ok(CaptureOptions {
        key: fields.optional::<Text>(c"key")?.map(|key| key.0),
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

fn name(call: &Call<HookRegistry>, at: usize) -> napi::Result<Option<String>> {
    Ok(call.arg::<Option<Text>>(at)?.map(|Text(name)| name))
}

fn numbers(handles: Vec<HandleId>) -> Vec<f64> {
    handles.into_iter().map(|handle| handle.0 as f64).collect()
}

fn attached(info: HandleInfo) -> Attached {
    Attached {
        handle: info.handle.0 as f64,
        point: info.point.0,
        dir: info.direction.name(),
        permanent: info.permanent,
        level: info.level,
        callback: match info.body {
            BodyKind::Callback(id) => Some(id.0 as f64),
            BodyKind::Intervention | BodyKind::Capture => None,
        },
    }
}

/// Defines the class and exports it.
pub(crate) fn register(exports: &mut Object<'_>, env: &Env) -> napi::Result<()> {
    let members = members! { HookRegistry:
        method c"points" => |call| {
            let point = |p: &PointInfo| Point { name: p.name.clone(), axes: p.axes.clone(), default: p.default };
            boundary(&call.env, || Ok(call.value()?.points().map(point).collect::<Vec<_>>()))
        };
        method c"add" => |call| {
            let (point, direction) = (call.arg(0)?, direction(call.arg(1)?)?);
            let (body, options) = (body(&call.arg(2)?)?, add_options(&call.arg(3)?)?);
            boundary(&call.env, || Ok(call.value()?.add(point_id(point)?, direction, body, options)?.0 as f64))
        };
        method c"capture" => |call| {
            let (List(points), direction) = (call.arg::<List<Whole>>(0)?, direction(call.arg(1)?)?);
            let cache = call.arg::<ClassInstance<'_, EngineCache>>(2)?.inner.clone();
            let (capture, options) = (capture_options(&call.arg(3)?)?, add_options(&call.arg(4)?)?);
            boundary(&call.env, || {
                let points = points.into_iter().map(point_id).collect::<Result<Vec<_>>>()?;
                let body = HookBody::Capture { cache, options: capture };
                call.value()?.add_to_all(&points, direction, &body, &options).map(numbers)
            })
        };
        method c"remove" => |call| {
            let Whole(handle) = call.arg(0)?;
            boundary(&call.env, || Ok(call.value()?.remove(HandleId(handle as u64))))
        };
        method c"removeAll" => |call| {
            let List(handles) = call.arg::<List<Whole>>(0)?;
            boundary(&call.env, || {
                let registry = call.value()?;
                for Whole(handle) in handles {
                    registry.remove(HandleId(handle as u64));
                }
                Ok(())
            })
        };
        method c"removeWhere" => |call| {
            let filter: Fields = call.arg(0)?;
            let filter = HookFilter {
                point: filter.optional(c"point")?.map(point_id).transpose().map_err(thrown)?,
                direction: filter.optional(c"dir")?.map(direction).transpose()?,
                including_permanent: flag(&filter, c"includingPermanent")?,
                level: level(&filter)?,
            };
            boundary(&call.env, || Ok(numbers(call.value()?.remove_where(filter))))
        };
        method c"list" => |call| {
            let point: Option<Whole> = call.arg(0)?;
            boundary(&call.env, || {
                let point = point.map(point_id).transpose()?;
                Ok(call.value()?.list(point).into_iter().map(attached).collect::<Vec<_>>())
            })
        };
        method c"select" => |call| {
            let names = texts(call.arg(0)?);
            boundary(&call.env, || {
                Ok(call.value()?.select(&names)?.into_iter().map(|point| point.0).collect::<Vec<_>>())
            })
        };
        method c"fire" => |call| {
            let (point, x, name) = (call.arg(0)?, call.arg::<Passing>(1)?, name(call, 2)?);
            boundary_making(&call.env, || {
                let (registry, point, tensor) = (call.value()?, point_id(point)?, x.tensor.clone());
                let passed = match &name {
                    None => registry.fire(point, tensor)?,
                    Some(name) => registry.fire_as(point, name, tensor)?,
                };
                Ok(x.replaced_by(passed))
            })
        };
        method c"fireGradient" => |call| {
            let (point, gradient, name) = (call.arg(0)?, call.arg::<Passing>(1)?, name(call, 2)?);
            boundary(&call.env, || {
                let (registry, point) = (call.value()?, point_id(point)?);
                let passed = registry.fire_gradient(point, name.as_deref(), gradient.tensor.clone())?;
                Ok(gradient.replaced_by(passed))
            })
        };
        method c"recorded" => |call| {
            boundary(&call.env, || Ok(u32::try_from(call.value()?.recorded()).unwrap_or(u32::MAX)))
        };
        method c"drainReleased" => |call| {
            boundary(&call.env, || {
                Ok(call.value()?.drain_released().into_iter().map(|id| id.0 as f64).collect::<Vec<_>>())
            })
        };
    };
    class::define::<HookRegistry>(exports, env, &members)
}
