//! Reads the body of an answer up to a size limit.

use std::error::Error;
use std::io;

use reqwest::Response;

use super::answer::BodyFault;

/// Reads the uncompressed body of `response`.
///
/// The body is read in chunks, so neither a false `Content-Length` nor a compression bomb uses memory beyond `bound`.
/// If a part of the body stays unread, the connection is closed.
///
/// # Errors
/// The body is longer than `bound` bytes, breaks off, times out or can't be decompressed.
pub(super) async fn read(mut response: Response, bound: usize) -> Result<Vec<u8>, BodyFault> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| fault(&error))? {
        if body.len() + piece.len() > bound {
            return Err(BodyFault::TooLarge);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn fault(error: &reqwest::Error) -> BodyFault {
    if causes(error).any(is_bad_data) {
        BodyFault::Undecodable
    } else {
        BodyFault::Cut
    }
}

/// Whether `cause` is the decompressor's error for invalid data. A broken connection has other error kinds.
fn is_bad_data(cause: &(dyn Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
        ) && error
            .get_ref()
            .is_none_or(|inner| !inner.is::<rustls::Error>())
    })
}

/// The error and its chain of causes, outermost first.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // The source of an io::Error skips the error that it wraps.
        match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}
