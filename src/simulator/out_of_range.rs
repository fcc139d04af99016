//! Values that may not be set.

/// A field of a setting, a switch or a fault, with a given value that isn't allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {allowed}")]
pub struct OutOfRange {
    /// The name of the field as users write it.
    pub field: &'static str,
    /// The allowed values, in words.
    pub allowed: &'static str,
}

impl OutOfRange {
    /// Checks a field; `fits` tells whether its value is allowed.
    ///
    /// # Errors
    /// The value isn't allowed.
    pub fn unless(fits: bool, field: &'static str, allowed: &'static str) -> Result<(), Self> {
        if fits {
            Ok(())
        } else {
            Err(Self { field, allowed })
        }
    }
}
