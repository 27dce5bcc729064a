//! Bounds of what the API server, or a proxy in front of it, may answer: nothing is read into memory without end.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use hyper::{
    Response, Uri,
    body::{Body, Buf, Frame, SizeHint},
};
use tower::BoxError;

/// The largest answer that is read as a whole: a page of 500 objects, or the samples of all pods.
const LARGEST_ANSWER: u64 = 32 << 20;
/// The largest error: a Status has some hundred bytes.
const LARGEST_ERROR: u64 = 64 << 10;
/// The largest line of a stream, which for a watch is one object; etcd takes 1.5 MiB unless it is told otherwise
/// (etcd `server/embed/config.go`, `DefaultMaxRequestBytes`).
const LONGEST_LINE: u64 = 8 << 20;

/// What a body may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// So many bytes in all.
    Whole(u64),
    /// So many bytes without the end of a line.
    Line(u64),
    /// Whoever reads it keeps no more of a line than it needs.
    Free,
}

impl Bound {
    fn of(asked: Asked, status: u16) -> Self {
        match (asked, status) {
            (_, 400..) => Self::Whole(LARGEST_ERROR),
            (Asked::Watch, _) => Self::Line(LONGEST_LINE),
            (Asked::Log, _) => Self::Free,
            (Asked::Whole, _) => Self::Whole(LARGEST_ANSWER),
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// An answer that is read as a whole.
    Whole,
    /// Events, for as long as they come.
    Watch,
    /// Lines, for as long as they come.
    Log,
}

impl Asked {
    /// What the request for this address asks for.
    pub(super) fn of(uri: &Uri) -> Self {
        if uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true")) {
            Self::Watch
        } else if uri.path().ends_with("/log") {
            Self::Log
        } else {
            Self::Whole
        }
    }
}

/// A body that ends with an error where it is larger than it may be.
pub(super) struct Bounded<B> {
    inner: Pin<Box<B>>,
    bound: Bound,
    seen: u64,
}

impl<B> Bounded<B> {
    /// The answer to what was asked.
    pub(super) fn answer(answer: Response<B>, asked: Asked) -> Response<Self> {
        let bound = Bound::of(asked, answer.status().as_u16());
        answer.map(|body| Self { inner: Box::pin(body), bound, seen: 0 })
    }
}

impl<B> Body for Bounded<B>
where
    B: Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = match self.inner.as_mut().poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        if let Some(data) = frame.data_ref() {
            let length = data.remaining() as u64;
            let (limit, what) = match self.bound {
                Bound::Whole(limit) => (limit, "an answer"),
                Bound::Line(limit) => (limit, "a line"),
                Bound::Free => return Poll::Ready(Some(Ok(frame))),
            };
            let chunk = data.chunk();
            let is_end = |byte: &u8| *byte == b'\n' && matches!(self.bound, Bound::Line(_));
            let (grown, begun) = match (chunk.iter().position(is_end), chunk.iter().rposition(is_end)) {
                (Some(first), Some(last)) => (self.seen + first as u64, length - last as u64 - 1),
                _ => (self.seen + length, self.seen + length),
            };
            if grown > limit {
                return Poll::Ready(Some(Err(format!("{what} of the API server is larger than {limit} bytes").into())));
            }
            self.seen = begun;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::{BodyExt, StreamBody};
    use hyper::body::Bytes;

    use super::*;

    async fn read(bound: Bound, frames: Vec<&'static [u8]>) -> Result<usize, String> {
        let frames = frames.into_iter().map(|frame| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(frame))));
        let body = Bounded { inner: Box::pin(StreamBody::new(stream::iter(frames))), bound, seen: 0 };
        body.collect().await.map(|collected| collected.to_bytes().len()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn an_answer_ends_where_it_grows_too_large_and_a_stream_where_a_line_does() {
        assert_eq!(read(Bound::Whole(10), vec![b"12345", b"67890"]).await, Ok(10));
        let too_large = "an answer of the API server is larger than 10 bytes";
        assert_eq!(read(Bound::Whole(10), vec![b"12345\n", b"67890"]).await, Err(too_large.to_owned()));
        assert_eq!(read(Bound::Line(5), vec![b"1234\n123", b"45\n1\n2\n12345", b"\n"]).await, Ok(21));
        let too_long = "a line of the API server is larger than 5 bytes";
        assert_eq!(read(Bound::Line(5), vec![b"1234\n123", b"456\n1"]).await, Err(too_long.to_owned()));
        assert!(read(Bound::Line(5), vec![b"1\n123456", b"7"]).await.is_err());
    }

    #[test]
    fn every_kind_of_answer_has_its_bound() {
        for (uri, status, bound) in [
            ("/api/v1/pods?limit=500", 200, Bound::Whole(LARGEST_ANSWER)),
            ("/api/v1/pods?limit=500&watch=true", 200, Bound::Line(LONGEST_LINE)),
            ("/api/v1/pods?limit=500&watch=true", 500, Bound::Whole(LARGEST_ERROR)),
            ("/api/v1/namespaces/n/pods/p/log?follow=true", 200, Bound::Free),
            ("/api/v1/namespaces/n/pods/p/log?follow=true", 403, Bound::Whole(LARGEST_ERROR)),
        ] {
            assert_eq!(Bound::of(Asked::of(&Uri::from_static(uri)), status), bound, "{uri}");
        }
    }
}
