//! Pages of a list, limited in bytes: anyone who may create objects may make them large, and a page of two hundred
//! large objects would take more memory than this process may use.
//!
//! The first page has 200 objects in a list of `VersionPackage`s, and 500 objects in a list of another kind. So ten
//! thousand small `VersionPackage`s take fifty requests. Reading stops when a page exceeds 4 MiB; the page is requested
//! again with a quarter of its objects. The pages grow again while they are small.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt};
use kube::api::{Api, ListParams};
use kube::core::Request;
use kube::runtime::watcher::{Error, Result};
use kube::{Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::raw::Fields;

/// Highest number of bytes read of a page with more than one object; a single object is read whole.
const MOST: usize = 4 << 20;
/// Timeout of one page in [`list`].
const PATIENCE: Duration = Duration::from_secs(10);
/// Divisor of the number of objects after a page that was too large.
const SMALLER: u32 = 4;

/// The number of objects to request in the next page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    usual: u32,
    now: u32,
}

impl Size {
    /// Starts with the `usual` number of objects.
    pub(super) fn new(usual: u32) -> Self {
        Self { usual, now: usual }
    }

    /// The number of objects to request.
    pub(super) fn limit(self) -> u32 {
        self.now
    }

    /// Reads a page of [`Self::limit`] objects; `None` if the page is too large and has to be requested again with
    /// fewer objects.
    ///
    /// # Errors
    /// If the page can't be read to its end.
    pub(super) async fn read(
        &mut self,
        body: impl AsyncRead + Unpin,
    ) -> io::Result<Option<Vec<u8>>> {
        let mut page = Vec::new();
        let bound = match self.now {
            1 => u64::MAX,
            _ => MOST as u64 + 1,
        };
        body.take(bound).read_to_end(&mut page).await?;
        if self.now > 1 && page.len() > MOST {
            self.now = (self.now / SMALLER).max(1);
            return Ok(None);
        }
        // The page size grows only after a page of at most a quarter of the bound, since the next objects may be
        // larger.
        if page.len() <= MOST / 4 {
            self.now = self.now.saturating_mul(2).min(self.usual);
        }
        Ok(Some(page))
    }
}

/// A decoded page of a list.
pub(super) struct ListPage<K> {
    pub(super) items: VecDeque<K>,
    /// The continue token of the next page; `None` on the last page.
    pub(super) next: Option<String>,
    /// The resource version of the whole list.
    pub(super) version: Option<String>,
}

/// A page as the API server sends it, with undecoded items.
#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

/// Reads the page at the continue token `next`; `None` if the page is too large and has to be requested again with
/// fewer objects.
pub(super) async fn read<K: DeserializeOwned>(
    client: &Client,
    url: &str,
    fields: Option<String>,
    next: Option<String>,
    size: &mut Size,
) -> Result<Option<ListPage<K>>> {
    let params = ListParams {
        field_selector: fields,
        limit: Some(size.limit()),
        continue_token: next,
        ..ListParams::default()
    };
    let failed = Error::InitialListFailed;
    let request = Request::new(url).list(&params);
    let request = request.map_err(|error| failed(kube::Error::BuildRequest(error)))?;
    let body = client.request_stream(request).await.map_err(failed)?;
    let text = size.read(body).await;
    let Some(text) = text.map_err(|error| failed(kube::Error::ReadEvents(error)))? else {
        return Ok(None);
    };
    let garbage = |error| failed(kube::Error::SerdeError(error));
    let sent: Sent<'_> = serde_json::from_slice(&text).map_err(garbage)?;
    let metadata = sent
        .metadata
        .map_or_else(Fields::default, |raw| Fields::of(raw.get()));
    let filled = |text: &String| !text.is_empty();
    let items = sent.items.unwrap_or_default();
    let items = items
        .into_iter()
        .map(|item| serde_json::from_str(item.get()));
    Ok(Some(ListPage {
        items: items
            .collect::<std::result::Result<_, _>>()
            .map_err(garbage)?,
        next: metadata.get("continue").filter(filled),
        version: metadata.get("resourceVersion").filter(filled),
    }))
}

/// Lists all objects of `api` as of one moment; of each object, only the result of `keep` is held in memory.
///
/// # Errors
/// If a page can't be read in time.
pub async fn list<K, T>(api: Api<K>, usual: u32, mut keep: impl FnMut(K) -> T) -> Result<Vec<T>>
where
    K: Resource + DeserializeOwned,
{
    let url = api.resource_url().to_owned();
    let client = api.into_client();
    let (mut size, mut next, mut kept) = (Size::new(usual), None, Vec::new());
    loop {
        let page = read(&client, &url, None, next.clone(), &mut size);
        let shown = timeout(PATIENCE, page).await.unwrap_or_else(|_| {
            let late = io::Error::from(io::ErrorKind::TimedOut);
            Err(Error::InitialListFailed(kube::Error::ReadEvents(late)))
        })?;
        // A page that is too large is requested again with fewer objects.
        let Some(page) = shown else { continue };
        kept.extend(page.items.into_iter().map(&mut keep));
        next = page.next;
        if next.is_none() {
            return Ok(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a list of objects of the given `sizes` in bytes; returns the number of objects of each request, and the
    /// largest page in bytes.
    async fn walk(sizes: &[usize]) -> (Vec<u32>, usize) {
        let (mut size, mut asked, mut most) = (Size::new(200), Vec::new(), 0);
        let mut rest = sizes;
        while !rest.is_empty() {
            let count = rest.len().min(size.limit() as usize);
            let body = vec![b' '; rest[..count].iter().sum()];
            asked.push(size.limit());
            if let Some(page) = size.read(&*body).await.unwrap() {
                most = most.max(page.len());
                rest = &rest[count..];
            }
        }
        (asked, most)
    }

    #[tokio::test]
    async fn a_fleet_of_ordinary_objects_is_listed_in_pages_of_the_usual_size() {
        let (asked, _) = walk(&vec![3000; 10_000].into_boxed_slice()).await;
        assert_eq!(asked, [200; 50]);
    }

    #[tokio::test]
    async fn no_page_holds_more_than_the_bound_wherever_the_large_objects_are() {
        let large = 900_000;
        let (asked, most) = walk(&[large; 100]).await;
        assert!(most <= MOST && asked.len() <= 40, "{most} {asked:?}");
        for small_first in [1000, 150, 199] {
            let mut sizes = vec![3000; small_first];
            sizes.extend([large; 100]);
            sizes.extend(vec![3000; 1000]);
            let (asked, most) = walk(&sizes).await;
            assert!(most <= MOST, "{most}");
            assert_eq!(asked.last(), Some(&200), "{asked:?}");
            assert!(asked.len() <= 60, "{asked:?}");
        }
    }

    #[tokio::test]
    async fn one_object_is_read_whole_however_large_it_is() {
        let (asked, most) = walk(&[MOST * 2; 3]).await;
        assert_eq!((most, &asked[asked.len() - 3..]), (MOST * 2, &[1; 3][..]));
    }
}
