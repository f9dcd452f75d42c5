//! Passing an activation through a point.

use super::registry::{Body, Entries, Entry};
use super::{CallbackId, Direction, HookPointId, HookRegistry, PointInfo};
use crate::autograd::{grad_enabled, record_unary};
use crate::device::device_name;
use crate::error::{Error, Result};
use crate::tensor::{CT, Tensor};
use std::cell::Cell;
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
        if self.watched(point) == 0 { Ok(x) } else { self.fire_observed(point, x) }
    }

    /// Passes a gradient through the backward hooks of a point, as the backward walk does when it gets there. Captures
    /// add up what comes in the same walk.
    ///
    /// # Errors
    /// As of [`HookRegistry::fire`].
    pub fn fire_gradient(&self, point: HookPointId, gradient: Tensor) -> Result<Tensor> {
        let info = self.info(point)?;
        let _nesting = Nesting::enter(info)?;
        let entries = self.entries(point, Direction::Backward)?;
        self.run(&entries, point, info, Direction::Backward, gradient)
    }

    #[cold]
    fn fire_observed(&self, point: HookPointId, x: Tensor) -> Result<Tensor> {
        let info = self.info(point)?;
        let _nesting = Nesting::enter(info)?;
        let forward = self.entries(point, Direction::Forward)?;
        let backward = self.entries(point, Direction::Backward)?;
        let x = self.run(&forward, point, info, Direction::Forward, x)?;
        if backward.is_empty() || !grad_enabled() || !x.dtype().is_float() {
            return Ok(x);
        }
        self.record_backward(backward, point, x)
    }

    /// An identity whose gradient rule runs the listeners. Nothing tracked upstream: the graph starts here.
    fn record_backward(&self, entries: Entries, point: HookPointId, x: Tensor) -> Result<Tensor> {
        let x = if x.requires_grad() { x } else { x.untracked().requiring_grad()? };
        let recorded = Recorded::new(self);
        record_unary("hook", x.data().clone(), &x, move |g: &CT| {
            let Recorded(registry) = &recorded;
            let info = registry.info(point)?;
            let _nesting = Nesting::enter(info)?;
            let gradient = Tensor::constant(g.clone())?;
            let gradient = registry.run(&entries, point, info, Direction::Backward, gradient)?;
            Ok(gradient.data().clone())
        })
    }

    fn run(
        &self,
        entries: &[std::sync::Arc<Entry>],
        point: HookPointId,
        info: &PointInfo,
        direction: Direction,
        mut value: Tensor,
    ) -> Result<Tensor> {
        for entry in entries {
            if entry.aliases.is_empty() {
                self.run_entry(entry, point, info, direction, &info.name, &mut value)?;
            }
            for alias in &entry.aliases {
                self.run_entry(entry, point, info, direction, alias, &mut value)?;
            }
        }
        Ok(value)
    }

    fn run_entry(
        &self,
        entry: &Entry,
        point: HookPointId,
        info: &PointInfo,
        direction: Direction,
        name: &str,
        value: &mut Tensor,
    ) -> Result<()> {
        match &entry.body {
            Body::Intervention(edit) => {
                *value = edit.apply(info, value)?;
                Ok(())
            }
            Body::Capture(capture) => capture.store(info, direction, name, value),
            Body::Callback(token) => match self.call(token.id, point, direction, name, value)? {
                None => Ok(()),
                Some(returned) => {
                    check_replacement(name, value, &returned)?;
                    *value = returned;
                    Ok(())
                }
            },
        }
    }

    fn call(
        &self,
        callback: CallbackId,
        point: HookPointId,
        direction: Direction,
        name: &str,
        value: &Tensor,
    ) -> Result<Option<Tensor>> {
        let trampoline = self
            .trampoline()
            .ok_or_else(|| Error::Internal { detail: "a callback hook is attached but nothing can run it".into() })?;
        trampoline.call(callback, point, direction, name, value)
    }
}

/// Fails unless `returned` can stand in for `value`.
fn check_replacement(hook: &str, value: &Tensor, returned: &Tensor) -> Result<()> {
    if returned.dims() != value.dims() {
        return Err(Error::HookShape {
            hook: hook.to_owned(),
            expected: value.dims().to_vec(),
            got: returned.dims().to_vec(),
        });
    }
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
