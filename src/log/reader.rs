//! Following a log.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures::future::{FutureExt, LocalBoxFuture, select};
use futures::stream::{FusedStream, Stream, StreamExt};

use super::Inner;
use super::item::{LogError, LogItem};
use super::read::{Found, Place, RawItem, decoded};
use crate::wire::Cursor;
use crate::wire::json::FromJson;

/// The most items read ahead.
const READ_AHEAD: usize = 4096;

type Fetch = LocalBoxFuture<'static, Result<Option<Found>, LogError>>;

/// Everything after a cursor, then what comes: a stream of items, each once and in order.
///
/// A reader keeps no place in the log: a slow one costs nothing and loses nothing, it reads on
/// from storage. After an error it goes on where it was, if asked again. It ends with
/// [`Log::close`](super::Log::close). Dropping it is all there is to stopping.
#[must_use = "a reader does nothing unless it is read"]
pub struct LogReader<T> {
    raw: RawReader,
    kind: PhantomData<fn() -> T>,
}

impl<T: FromJson + 'static> LogReader<T> {
    pub(super) fn new(raw: RawReader) -> LogReader<T> {
        LogReader {
            raw,
            kind: PhantomData,
        }
    }

    /// The same reader, for somebody who wants the entries as they are stored.
    pub(crate) fn undecoded(self) -> RawReader {
        self.raw
    }

    /// Up to where it has handed out.
    pub fn cursor(&self) -> Cursor {
        self.raw.cursor()
    }

    /// The next items, at least one, at most `max`, waiting if there is none yet. Empty when the
    /// log has ended. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`LogError::Storage`] if rows cannot be read.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<LogItem<T>>, LogError> {
        let mut raw = self.raw.next_batch(max).await?.into_iter();
        let mut items = Vec::new();
        while let Some(item) = raw.next() {
            match decoded(&item) {
                Ok(item) => items.push(item),
                Err(error) => {
                    self.raw.put_back(std::iter::once(item).chain(raw));
                    // What comes before it is handed out first; the next call meets it again.
                    return if items.is_empty() {
                        Err(error)
                    } else {
                        Ok(items)
                    };
                }
            }
        }
        Ok(items)
    }
}

impl<T: FromJson + 'static> Stream for LogReader<T> {
    type Item = Result<LogItem<T>, LogError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let raw = &mut self.get_mut().raw;
        let item = match ready!(Pin::new(&mut *raw).poll_next(cx)) {
            Some(Ok(item)) => item,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        };
        let item_or_error = decoded(&item);
        if item_or_error.is_err() {
            raw.put_back(std::iter::once(item));
        }
        Poll::Ready(Some(item_or_error))
    }
}

impl<T: FromJson + 'static> FusedStream for LogReader<T> {
    fn is_terminated(&self) -> bool {
        self.raw.is_terminated()
    }
}

/// A reader that leaves the entries as they are stored.
pub(crate) struct RawReader {
    log: Rc<Inner>,
    at: Place,
    /// What is read and not handed out yet.
    buffer: VecDeque<RawItem>,
    fetch: Option<Fetch>,
    /// What the fetch has found ahead of time.
    ahead: Option<Result<Option<Found>, LogError>>,
    ended: bool,
}

impl RawReader {
    pub(super) fn new(log: Rc<Inner>, after: u64) -> RawReader {
        RawReader {
            log,
            at: Place::after(after),
            buffer: VecDeque::new(),
            fetch: None,
            ahead: None,
            ended: false,
        }
    }

    /// Up to where it has handed out.
    pub(crate) fn cursor(&self) -> Cursor {
        match self.buffer.front() {
            Some(LogItem::Entry { cursor, .. }) => Cursor::new(cursor.get() - 1),
            Some(LogItem::Gap { from, .. }) => Cursor::new(from.get() - 1),
            None => Cursor::new(self.at.after),
        }
    }

    /// The next items, at least one, at most `max`, waiting if there is none yet. Empty when the
    /// log has ended. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`LogError::Storage`] if rows cannot be read.
    async fn next_batch(&mut self, max: usize) -> Result<Vec<RawItem>, LogError> {
        let Some(first) = self.next().await else {
            return Ok(Vec::new());
        };
        let mut items = vec![first?];
        if self.buffer.is_empty()
            && self.fetch.is_none()
            && self.ahead.is_none()
            && let Some(found) = self.log.read_memory(self.at.after, READ_AHEAD)
        {
            self.keep(found);
        }
        let more = self.buffer.len().min(max.saturating_sub(1));
        items.extend(self.buffer.drain(..more));
        Ok(items)
    }

    fn poll_fetch(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Found>, LogError>> {
        let (log, at) = (&self.log, self.at);
        let fetch = self
            .fetch
            .get_or_insert_with(|| fetch(log.clone(), at).boxed_local());
        let found = ready!(fetch.as_mut().poll(cx));
        self.fetch = None;
        Poll::Ready(found)
    }

    /// Takes items back that were handed out last, so that they are the next ones again.
    fn put_back(&mut self, items: impl DoubleEndedIterator<Item = RawItem>) {
        for item in items.rev() {
            self.buffer.push_front(item);
        }
    }

    fn keep(&mut self, found: Found) {
        self.at = found.reached;
        self.buffer.extend(found.items);
    }
}

/// The next items, waiting for them; `None` when the log has ended.
async fn fetch(log: Rc<Inner>, at: Place) -> Result<Option<Found>, LogError> {
    loop {
        let grown = log.tail.grown();
        let end = log.end.notified();
        let found = log.read_some(at, READ_AHEAD).await?;
        if found.reached.after > at.after {
            return Ok(Some(found));
        }
        if log.closed.get() {
            return Ok(None);
        }
        select(grown, end).await;
    }
}

impl Stream for RawReader {
    type Item = Result<RawItem, LogError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(item) = this.buffer.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let found = match this.ahead.take() {
                Some(found) => found,
                None => ready!(this.poll_fetch(cx)),
            };
            match found {
                Ok(Some(found)) => {
                    this.keep(found);
                    // Storage fetches the next rows while the caller is busy with these.
                    if this.at.at_chunk
                        && let Poll::Ready(next) = this.poll_fetch(cx)
                    {
                        this.ahead = Some(next);
                    }
                }
                Ok(None) => this.ended = true,
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

impl FusedStream for RawReader {
    fn is_terminated(&self) -> bool {
        self.ended && self.buffer.is_empty()
    }
}

impl<T> fmt::Debug for LogReader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader")
            .field("after", &self.raw.at.after)
            .field("buffered", &self.raw.buffer.len())
            .field("ended", &self.raw.ended)
            .finish_non_exhaustive()
    }
}
