//! Hooks for a limited time.

use super::{AddOptions, Direction, HandleId, HookBody, HookPointId, HookRegistry};
use crate::error::Result;
use std::sync::atomic::Ordering;

/// Owns the hooks added through it and removes exactly those when it ends, also while unwinding.
pub struct Scope {
    registry: HookRegistry,
    handles: Vec<HandleId>,
    level: u32,
    open: bool,
}

impl HookRegistry {
    /// Opens a scope. Its hooks carry its nesting level, by which they can be listed and removed early.
    pub fn scope(&self) -> Scope {
        let level = self.open_scopes().fetch_add(1, Ordering::Relaxed) + 1;
        Scope { registry: self.clone(), handles: Vec::new(), level, open: true }
    }
}

impl Scope {
    /// Attaches a hook that ends with the scope, unless it is permanent. The level in `options` is ignored.
    pub fn add(
        &mut self,
        point: HookPointId,
        direction: Direction,
        body: HookBody,
        options: AddOptions,
    ) -> Result<HandleId> {
        let permanent = options.permanent;
        let handle = self.registry.add(point, direction, body, AddOptions { level: Some(self.level), ..options })?;
        if !permanent {
            self.handles.push(handle);
        }
        Ok(handle)
    }

    /// The nesting level: 1 for an outermost scope.
    pub fn level(&self) -> u32 {
        self.level
    }

    /// Ends the scope but leaves its hooks attached; no other scope will remove them.
    pub fn keep(mut self) -> Vec<HandleId> {
        std::mem::take(&mut self.handles)
    }

    /// Ends the scope; a second time does nothing.
    pub fn close(&mut self) {
        while let Some(handle) = self.handles.pop() {
            self.registry.remove(handle);
        }
        if std::mem::take(&mut self.open) {
            self.registry.open_scopes().fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.close();
    }
}
