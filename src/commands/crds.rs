//! `vpo crds`: prints the `CustomResourceDefinition`s in the form of `crds/`.

use std::io::Write;

use crate::api::crds;

/// Prints both definitions as one YAML stream.
///
/// # Errors
/// Standard output can't be written.
pub fn run() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for definition in crds::definitions() {
        writeln!(
            out,
            "---\n{}",
            serde_saphyr::to_string(&definition)?.trim_end()
        )?;
    }
    Ok(())
}
