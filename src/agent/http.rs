//! The port through which dialects speak HTTP.

use futures::future::LocalBoxFuture;
use futures::stream::LocalBoxStream;

/// Sends HTTP requests and streams the answers' bodies.
pub trait HttpClient {
    /// Sends `request`; resolves when the status and headers are there. Dropping the future, or the body of its answer, aborts the request.
    fn send(
        &self,
        request: HttpRequest,
    ) -> LocalBoxFuture<'static, Result<HttpResponse, HttpError>>;
}

/// An HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// The absolute address.
    pub url: String,
    /// Header fields, in order.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

/// The start of an answer, with the rest to come.
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The body in pieces as they arrive, cut anywhere. Ends after the first error.
    pub body: LocalBoxStream<'static, Result<Vec<u8>, HttpError>>,
}

impl HttpResponse {
    /// The first header field of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// Why there was no answer, or why it broke off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct HttpError {
    /// The host's name for the error, e.g. `TypeError`.
    pub name: String,
    /// What the host said.
    pub message: String,
    /// The likely cause and what to do about it, where one is known.
    pub hint: Option<String>,
}
