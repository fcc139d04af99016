//! What may not be set.

/// A field of a setting, a switch or a fault that may not be as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {allowed}")]
pub struct OutOfRange {
    /// The field as users write it.
    pub field: &'static str,
    /// What is allowed.
    pub allowed: &'static str,
}

impl OutOfRange {
    /// Nothing where it `fits`.
    ///
    /// # Errors
    /// Where it doesn't.
    pub fn unless(fits: bool, field: &'static str, allowed: &'static str) -> Result<(), Self> {
        if fits {
            Ok(())
        } else {
            Err(Self { field, allowed })
        }
    }
}
