//! Pages of a list, of as many objects as fit into a bound of bytes: whoever may create objects may make them large, and a
//! page of two hundred large ones would take more memory than this process may use.
//!
//! A page has 200 objects at first, or 500 of other kinds, so ten thousand small ones cost fifty requests. Of a page
//! that is larger than 4 MiB no more is read: it is asked for again with a quarter of its objects, and pages grow again
//! while they are small.

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

/// So many bytes of a page are read; one object is read whole, however large it is.
const MOST: usize = 4 << 20;
/// How long one page of [`list`] may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A page that turned out too large is asked for again with one in so many of its objects.
const SMALLER: u32 = 4;

/// How many objects the next page may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    usual: u32,
    now: u32,
}

impl Size {
    /// Begins with the `usual` number.
    pub(super) fn new(usual: u32) -> Self {
        Self { usual, now: usual }
    }

    /// The number of objects to ask for.
    pub(super) fn limit(self) -> u32 {
        self.now
    }

    /// Reads a page of [`Self::limit`] objects; `None` where it is too large and is to be asked for again.
    ///
    /// # Errors
    /// When it can't be read to its end.
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
        // The next objects may be larger than these.
        if page.len() <= MOST / 4 {
            self.now = self.now.saturating_mul(2).min(self.usual);
        }
        Ok(Some(page))
    }
}

/// A page of a list.
pub(super) struct ListPage<K> {
    pub(super) items: VecDeque<K>,
    /// Where the next one begins.
    pub(super) next: Option<String>,
    /// The version of the store that the whole list is of.
    pub(super) version: Option<String>,
}

/// The same as it is sent.
#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

/// Reads the page that begins at `next`; `None` where it is too large and is to be asked for again.
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

/// All that `api` has as of one moment; of each object only what `keep` makes of it is held.
///
/// # Errors
/// When a page can't be read in time.
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
        // One that is too large is asked for again.
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

    /// Reads a list of objects of so many bytes; tells how many were asked for each time, and the most bytes of one page.
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
