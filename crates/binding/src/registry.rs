//! The class `EngineRegistry`: hook points and the hooks attached to them.

use crate::boundary::invalid;
use crate::callbacks::shared;
use crate::class::{Call, Member, members};
use crate::fields::Fields;
use crate::handles::holds;
use crate::js::Js;
use crate::results::object;
use crate::tensor::Passing;
use hooklens_core::hooks::{
    self, AddOptions, BodyKind, CallbackId, CaptureOptions, Direction, HandleId, HandleInfo, HookBody, HookFilter,
    HookPointId, HookRegistry, Intervention, PointInfo, PosSlice,
};
use hooklens_core::{DType, Error, Result};

holds!(HookRegistry, Registry, "hook registry");

struct Point {
    name: String,
    axes: Vec<String>,
    default: bool,
}
object!(Point: c"name" => name, c"axes" => axes, c"default" => default,);

struct Attached {
    handle: f64,
    point: u32,
    dir: &'static str,
    permanent: bool,
    level: Option<u32>,
    callback: Option<f64>,
}
object!(Attached:
    c"handle" => handle, c"point" => point, c"dir" => dir, c"permanent" => permanent, c"level" => level,
    c"callback" => callback,
);

pub(crate) fn create<J: Js, T>(call: &Call<'_, J, T>) -> Result<HookRegistry> {
    let points: Vec<Fields<J>> = call.arg(0)?;
    HookRegistry::new(points.iter().map(point_info).collect::<Result<_>>()?).map(shared::<J>)
}

fn point_info<J: Js>(fields: &Fields<J>) -> Result<PointInfo> {
    Ok(PointInfo {
        name: fields.required(c"name")?,
        axes: fields.required(c"axes")?,
        default: fields.required(c"default")?,
    })
}

fn point_id(number: u64) -> Result<HookPointId> {
    u32::try_from(number).map(HookPointId).map_err(|_| Error::IndexOutOfRange {
        op: "hookPoint",
        index: number.cast_signed(),
        size: u32::MAX as usize,
    })
}

fn level<J: Js>(fields: &Fields<J>) -> Result<Option<u32>> {
    let level = fields.optional::<u64>(c"level")?;
    let too_deep = |level: u64| Error::InvalidArgument {
        op: "hook",
        detail: format!("level {level} is beyond {}, which is the highest", u32::MAX),
    };
    level.map(|level| u32::try_from(level).map_err(|_| too_deep(level))).transpose()
}

fn body<J: Js>(fields: &Fields<J>) -> Result<HookBody> {
    let kind: String = fields.required(c"kind")?;
    match kind.as_str() {
        "callback" => Ok(HookBody::Callback(CallbackId(fields.required(c"callback")?))),
        "intervention" => Ok(HookBody::Intervention {
            intervention: Intervention::from_json(&fields.required::<String>(c"json")?, "")?,
            tensors: fields.required(c"tensors")?,
        }),
        "capture" => Ok(HookBody::Capture {
            cache: fields.required(c"cache")?,
            options: capture_options(&fields.required(c"options")?)?,
        }),
        _ => Err(invalid("addHook", format!("unknown kind of hook '{kind}'"))),
    }
}

fn add_options<J: Js>(fields: &Fields<J>) -> Result<AddOptions> {
    Ok(AddOptions {
        permanent: fields.flag(c"permanent")?,
        level: level(fields)?,
        prepend: fields.flag(c"prepend")?,
        aliases: fields.optional(c"aliases")?.unwrap_or_default(),
        allow_shape_change: fields.flag(c"allowShapeChange")?,
    })
}

fn capture_options<J: Js>(fields: &Fields<J>) -> Result<CaptureOptions> {
    let dtype = fields.optional::<String>(c"dtype")?;
    Ok(CaptureOptions {
        key: fields.optional(c"key")?,
        remove_batch_dim: fields.flag(c"removeBatchDim")?,
        pos_slice: fields.optional(c"posSlice")?.as_ref().map(pos_slice).transpose()?,
        dtype: dtype.map(|name| DType::from_name(&name)).transpose()?,
        device: fields.optional(c"device")?,
    })
}

fn pos_slice<J: Js>(fields: &Fields<J>) -> Result<PosSlice> {
    if let Some(indices) = fields.optional(c"indices")? {
        return Ok(PosSlice::Indices(indices));
    }
    Ok(PosSlice::Range {
        start: fields.optional(c"start")?,
        stop: fields.optional(c"stop")?,
        step: fields.optional(c"step")?,
    })
}

pub(crate) fn act_name<J: Js>(short: &Fields<J>) -> Result<String> {
    let (name, part): (String, Option<String>) = (short.required(c"name")?, short.optional(c"part")?);
    Ok(hooks::act_name(&name, short.optional(c"layer")?, part.as_deref()))
}

fn direction(name: &str) -> Result<Direction> {
    Direction::from_name(name)
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

pub(crate) fn members<J: Js>() -> &'static [Member<J>] {
    members! { J, HookRegistry:
        fun Act c"points" => |call| {
            let point = |p: &PointInfo| Point { name: p.name.clone(), axes: p.axes.clone(), default: p.default };
            Ok(call.value()?.points().map(point).collect::<Vec<_>>())
        };
        fun Act c"add" => |call| {
            let (point, direction) = (point_id(call.arg(0)?)?, direction(&call.arg::<String>(1)?)?);
            let (body, options) = (body::<J>(&call.arg(2)?)?, add_options::<J>(&call.arg(3)?)?);
            Ok(call.value()?.add(point, direction, body, options)?.0 as f64)
        };
        fun Act c"capture" => |call| {
            let points = call.arg::<Vec<u64>>(0)?.into_iter().map(point_id).collect::<Result<Vec<_>>>()?;
            let direction = direction(&call.arg::<String>(1)?)?;
            let body = HookBody::Capture { cache: call.arg(2)?, options: capture_options::<J>(&call.arg(3)?)? };
            let options = add_options::<J>(&call.arg(4)?)?;
            call.value()?.add_to_all(&points, direction, &body, &options).map(numbers)
        };
        fun Act c"remove" => |call| Ok(call.value()?.remove(HandleId(call.arg(0)?)));
        fun Act c"removeAll" => |call| {
            let (registry, handles) = (call.value()?, call.arg::<Vec<u64>>(0)?);
            for handle in handles {
                registry.remove(HandleId(handle));
            }
            Ok(())
        };
        fun Act c"removeWhere" => |call| {
            let filter: Fields<J> = call.arg(0)?;
            let dir = filter.optional::<String>(c"dir")?;
            let filter = HookFilter {
                point: filter.optional(c"point")?.map(point_id).transpose()?,
                direction: dir.as_deref().map(direction).transpose()?,
                including_permanent: filter.flag(c"includingPermanent")?,
                level: level(&filter)?,
            };
            Ok(numbers(call.value()?.remove_where(filter)))
        };
        fun Act c"list" => |call| {
            let point = call.arg::<Option<u64>>(0)?.map(point_id).transpose()?;
            Ok(call.value()?.list(point).into_iter().map(attached).collect::<Vec<_>>())
        };
        fun Act c"select" => |call| {
            let names: Vec<String> = call.arg(0)?;
            Ok(call.value()?.select(&names)?.into_iter().map(|point| point.0).collect::<Vec<_>>())
        };
        fun Make c"fire" => |call| {
            let (point, x, name): (_, Passing<J>, Option<String>) = (call.arg(0)?, call.arg(1)?, call.arg(2)?);
            let (registry, point, tensor) = (call.value()?, point_id(point)?, x.tensor.clone());
            let passed = match &name {
                None => registry.fire(point, tensor)?,
                Some(name) => registry.fire_as(point, name, tensor)?,
            };
            Ok(x.replaced_by(passed))
        };
        fun Act c"fireGradient" => |call| {
            let (point, gradient, name): (_, Passing<J>, Option<String>) = (call.arg(0)?, call.arg(1)?, call.arg(2)?);
            let (registry, point) = (call.value()?, point_id(point)?);
            let passed = registry.fire_gradient(point, name.as_deref(), gradient.tensor.clone())?;
            Ok(gradient.replaced_by(passed))
        };
        fun Act c"recorded" => |call| Ok(u32::try_from(call.value()?.recorded()).unwrap_or(u32::MAX));
        fun Act c"drainReleased" => |call| {
            Ok(call.value()?.drain_released().into_iter().map(|id| id.0 as f64).collect::<Vec<_>>())
        };
    }
}
