//! Counts what comes, and ends what does not end.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_util::io::AsyncRead;

use super::Ask;
use crate::failure::{Failure, Kind};

/// A reader that fails once an answer is too large.
pub struct Meter<R> {
    reader: R,
    ask: Rc<Ask>,
    left: u64,
}

impl<R> Meter<R> {
    pub fn new(reader: R, ask: &Rc<Ask>) -> Self {
        Self {
            reader,
            ask: Rc::clone(ask),
            left: ask.limit,
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Meter<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = ready!(Pin::new(&mut self.reader).poll_read(cx, buffer))?;
        self.ask.received.set(self.ask.received.get() + read as u64);
        Poll::Ready(match self.left.checked_sub(read as u64) {
            Some(left) => {
                self.left = left;
                Ok(read)
            }
            None => Err(too_large(self.ask.limit).into()),
        })
    }
}

fn too_large(limit: u64) -> Failure {
    Failure::new(
        Kind::TooLarge,
        format!("the answer is larger than {limit} bytes (max_bytes)"),
    )
}
