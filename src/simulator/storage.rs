//! Files of packages: those given at the start, and those kept across restarts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use super::packages::{NoFileId, Packages, completed};
use crate::remote::wire::CategoryInfo;

/// Packages of the first application, or of several by `appId`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    First(Vec<CategoryInfo>),
    Several(BTreeMap<String, Vec<CategoryInfo>>),
}

/// Reads a file of packages. A plain list belongs to the application `first`.
///
/// # Errors
/// The file can't be read or parsed, or a package has no valid `fileId`.
pub fn load(path: &Path, first: &str) -> anyhow::Result<BTreeMap<String, Packages>> {
    let text = fs::read(path).with_context(|| format!("{} can't be read", path.display()))?;
    let content: Content = serde_json::from_slice(&text).with_context(|| {
        format!(
            "{} must be a JSON list of packages, or an object of such lists by appId",
            path.display()
        )
    })?;
    let lists = match content {
        Content::First(list) => BTreeMap::from([(first.to_owned(), list)]),
        Content::Several(lists) => lists,
    };
    let read = |list: Vec<CategoryInfo>| -> Result<Packages, NoFileId> {
        (1..)
            .zip(list)
            .map(|(number, package)| completed(package, number))
            .collect()
    };
    lists
        .into_iter()
        .map(|(app_id, list)| Ok((app_id, read(list)?)))
        .collect::<Result<_, NoFileId>>()
        .map_err(|message| anyhow::anyhow!("{}: {message}", path.display()))
}

/// Writes all packages, in the format that [`load`] reads. The file is replaced atomically.
///
/// # Errors
/// The file or its folder can't be written.
pub fn save(path: &Path, packages: &BTreeMap<String, Vec<CategoryInfo>>) -> anyhow::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    fs::write(beside, serde_json::to_vec(packages)?)
        .and_then(|()| fs::rename(beside, path))
        .with_context(|| format!("{} can't be written", path.display()))
}
