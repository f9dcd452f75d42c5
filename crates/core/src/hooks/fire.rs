//! Passing an activation through a point.

use super::registry::{Body, Entries, Entry};
use super::{CallSite, Direction, HookPointId, HookRegistry, PointInfo};
use crate::autograd::{grad_enabled, record_unary};
use crate::device::device_name;
use crate::error::{Error, Result};
use crate::tensor::{CT, Tensor};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How deep firings may nest: a hook that runs the model, whose hooks run the model, …
pub const NESTING_LIMIT: usize = 64;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// One level of nesting, left again also when a hook fails or unwinds.
struct Nesting;

impl Nesting {
    fn enter(point: &PointInfo) -> Result<Self> {
        let depth = DEPTH.get();
        if depth >= NESTING_LIMIT {
            return Err(Error::HooksNestedTooDeep { hook: point.name.clone(), limit: NESTING_LIMIT });
        }
        DEPTH.set(depth + 1);
        Ok(Self)
    }
}

impl Drop for Nesting {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// The registry of a recorded operation, counted as long as the operation may run.
struct Recorded(HookRegistry);

impl Recorded {
    fn new(registry: &HookRegistry) -> Self {
        registry.recorded_count().fetch_add(1, Ordering::Relaxed);
        Self(registry.clone())
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.0.recorded_count().fetch_sub(1, Ordering::Relaxed);
    }
}

impl HookRegistry {
    /// Passes an activation through a point; gives what flows on, of the same shape, dtype and device.
    ///
    /// # Errors
    /// What a hook fails with; `hook_shape` or `hook_dtype` if what it returns cannot stand in for the activation;
    /// `hooks_nested_too_deep`. The registry is as before, and captures made before the failure stay.
    #[inline]
    pub fn fire(&self, point: HookPointId, x: Tensor) -> Result<Tensor> {
        if self.watched(point) == 0 { Ok(x) } else { self.fire_observed(point, None, x) }
    }

    /// [`HookRegistry::fire`] under a name of this firing's own, for points that fire several times in a forward: hooks
    /// are told the name, and captures store under it what they also store under the point's.
    ///
    /// # Errors
    /// As of [`HookRegistry::fire`].
    pub fn fire_as(&self, point: HookPointId, name: &str, x: Tensor) -> Result<Tensor> {
        if self.watched(point) == 0 { Ok(x) } else { self.fire_observed(point, Some(name), x) }
    }

    /// Passes a gradient through the backward hooks of a point, as the backward walk does when it gets there; `name` as
    /// in [`HookRegistry::fire_as`]. Captures add up what comes in the same walk.
    ///
    /// # Errors
    /// As of [`HookRegistry::fire`].
    pub fn fire_gradient(&self, point: HookPointId, name: Option<&str>, gradient: Tensor) -> Result<Tensor> {
        let entries = self.entries(point, Direction::Backward)?;
        Firing { registry: self, point, direction: Direction::Backward, name }.run(&entries, gradient)
    }

    #[cold]
    fn fire_observed(&self, point: HookPointId, name: Option<&str>, x: Tensor) -> Result<Tensor> {
        let forward = self.entries(point, Direction::Forward)?;
        let backward = self.entries(point, Direction::Backward)?;
        let x = Firing { registry: self, point, direction: Direction::Forward, name }.run(&forward, x)?;
        if backward.is_empty() || !grad_enabled() || !x.dtype().is_float() {
            return Ok(x);
        }
        self.record_backward(backward, point, name, x)
    }

    /// An identity whose gradient rule runs the listeners. Nothing tracked upstream: the graph starts here.
    fn record_backward(&self, entries: Entries, point: HookPointId, name: Option<&str>, x: Tensor) -> Result<Tensor> {
        let x = if x.requires_grad() { x } else { x.untracked().requiring_grad()? };
        let recorded = Recorded::new(self);
        let name = name.map(str::to_owned);
        record_unary("hook", x.data().clone(), &x, move |g: &CT| {
            let Recorded(registry) = &recorded;
            let firing = Firing { registry, point, direction: Direction::Backward, name: name.as_deref() };
            let gradient = firing.run(&entries, Tensor::constant(g.clone())?)?;
            Ok(gradient.data().clone())
        })
    }
}

/// A value that passes a point.
struct Firing<'a> {
    registry: &'a HookRegistry,
    point: HookPointId,
    direction: Direction,
    /// The firing's own name, if it has one.
    name: Option<&'a str>,
}

impl Firing<'_> {
    fn run(&self, entries: &[Arc<Entry>], mut value: Tensor) -> Result<Tensor> {
        let info = self.registry.info(self.point)?;
        let _nesting = Nesting::enter(info)?;
        for entry in entries {
            if entry.aliases.is_empty() {
                self.run_entry(entry, info, None, self.name, &mut value)?;
            }
            for alias in &entry.aliases {
                self.run_entry(entry, info, Some(alias), None, &mut value)?;
            }
        }
        Ok(value)
    }

    /// Runs a hook under an `alias`, the firing's `own` name, or the point's.
    fn run_entry(
        &self,
        entry: &Entry,
        info: &PointInfo,
        alias: Option<&str>,
        own: Option<&str>,
        value: &mut Tensor,
    ) -> Result<()> {
        let &Self { registry, point, direction, .. } = self;
        match &entry.body {
            Body::Intervention(edit) => *value = edit.apply(info, value)?,
            Body::Capture(capture) => capture.store(info, direction, alias, own, value)?,
            Body::Callback(token) => {
                let given = alias.or(own);
                let site = CallSite { point, direction, name: given.unwrap_or(&info.name), is_own: given.is_none() };
                let trampoline = registry.trampoline().ok_or_else(|| Error::Internal {
                    detail: "a callback hook is attached but nothing can run it".into(),
                })?;
                if let Some(returned) = trampoline.call(token.id, site, value)? {
                    let may_reshape =
                        entry.allow_shape_change && (info.axes.is_empty() || returned.rank() == value.rank());
                    if !may_reshape {
                        check_shape(site.name, value, &returned)?;
                    }
                    check_kind(site.name, value, &returned)?;
                    *value = returned;
                }
            }
        }
        Ok(())
    }
}

/// Fails unless `returned` has the shape of `value`.
fn check_shape(hook: &str, value: &Tensor, returned: &Tensor) -> Result<()> {
    if returned.dims() != value.dims() {
        return Err(Error::HookShape {
            hook: hook.to_owned(),
            expected: value.dims().to_vec(),
            got: returned.dims().to_vec(),
        });
    }
    Ok(())
}

/// Fails unless `returned` has the dtype of `value`, on the same device.
fn check_kind(hook: &str, value: &Tensor, returned: &Tensor) -> Result<()> {
    if returned.dtype() != value.dtype() {
        return Err(Error::HookDtype {
            hook: hook.to_owned(),
            expected: value.dtype().name().into(),
            got: returned.dtype().name().into(),
        });
    }
    if !returned.data().device().same_device(value.data().device()) {
        return Err(Error::InvalidArgument {
            op: "hook",
            detail: format!(
                "hook at '{hook}' returned a tensor on {} in place of one on {}",
                device_name(returned.data().device()),
                device_name(value.data().device())
            ),
        });
    }
    Ok(())
}
