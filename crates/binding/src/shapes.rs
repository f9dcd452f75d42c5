//! Shapes as JavaScript sees them: arrays are costly to make, and a run has few shapes. They are frozen, hence shared.

use crate::js::Js;
use hooklens_core::Result;
use std::cell::RefCell;
use std::collections::HashMap;

pub(crate) struct Shapes<J: Js>(RefCell<HashMap<Box<[usize]>, J::Kept>>);

impl<J: Js> Default for Shapes<J> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<J: Js> Shapes<J> {
    /// More shapes than this are those of a program that never has the same twice.
    const MANY: usize = 256;

    pub(crate) fn get(&self, js: J, dims: &[usize]) -> Result<J::Value> {
        if let Some(shape) = self.0.borrow().get(dims).and_then(|place| js.kept(place)) {
            return Ok(shape);
        }
        let shape = js.array(dims.len(), dims.iter().map(|&d| js.number(d as f64)))?;
        js.freeze(&shape)?;
        let mut kept = self.0.borrow_mut();
        if kept.len() < Self::MANY {
            js.keep(kept.entry(dims.into()).or_default(), &shape)?;
        }
        Ok(shape)
    }
}
