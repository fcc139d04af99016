//! Reading the body of an answer, up to a bound and no further.

use std::error::Error;
use std::io;

use reqwest::Response;

use super::answer::BodyFault;

/// Reads the body of `response`, unpacked, of at most `bound` bytes.
///
/// It is read piece by piece, and a piece is what the line or the decompressor hands out at once, so
/// neither a false length nor a bomb takes memory. What is dropped unread closes its connection.
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

/// How the decompressor speaks of data that it can't take; a line that breaks has other kinds.
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

/// `error` and everything below it, the outermost first.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // An io::Error leaves out what it wraps when asked for its source.
        match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}
