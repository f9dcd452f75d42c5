//! Operands that broadcast, over one stretch of the result.

/// An operand over one stretch of the result.
#[derive(Clone, Copy)]
pub enum Lane<'a, T> {
    /// One element for each of the result.
    Each(&'a [T]),
    /// The same element throughout.
    All(T),
}

impl<'a, T> Lane<'a, T> {
    /// Its first `len` elements.
    pub fn first(self, len: usize) -> Self {
        match self {
            Self::Each(values) => Self::Each(&values[..len]),
            Self::All(value) => Self::All(value),
        }
    }
}
