//! Performs the dialect over an [`HttpClient`].

use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{LocalBoxStream, unfold};

use super::decode::Decoder;
use super::{failure, request};
use crate::agent::http::{HttpClient, HttpError, HttpRequest, HttpResponse};
use crate::agent::model::{
    Availability, LanguageModel, ModelDelta, ModelError, ModelInfo, ModelRequest, ModelStream,
};
use crate::shim::Host;

/// The most of an error body that is read.
const ERROR_BODY_BYTES: usize = 64 * 1024;

/// How to reach a server and what to tell it.
#[derive(Clone)]
pub struct OpenAiConfig {
    /// The address up to and without `/chat/completions`, e.g. `http://localhost:11434/v1`; a proxy's address works as well.
    pub base_url: String,
    /// The key, sent as a bearer token; none for local servers and for proxies that add it.
    pub api_key: Option<String>,
    /// Whether the server is known to want a key: without one the model is then waiting instead of failing.
    pub requires_key: bool,
    /// Header fields to send besides, or instead of, those of the dialect.
    pub headers: Vec<(String, String)>,
    /// The name to ask the server for, where it differs from the profile's.
    pub model: Option<String>,
    /// The size of the context window in tokens, where known.
    pub context_tokens: Option<u32>,
    /// How long a server may stay silent, before the answer and within it, until it is given up. Local servers may need
    /// minutes to load a model.
    pub idle_timeout: Duration,
}

impl OpenAiConfig {
    /// The configuration for `base_url` without a key.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            api_key: None,
            requires_key: false,
            headers: Vec::new(),
            model: None,
            context_tokens: None,
            idle_timeout: Duration::from_secs(300),
        }
    }
}

impl std::fmt::Debug for OpenAiConfig {
    /// Leaves out what may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenAiConfig")
            .field("base_url", &self.base_url)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// A model behind an OpenAI-compatible server.
#[derive(Clone)]
pub struct OpenAiCompatible {
    host: Host,
    http: Rc<dyn HttpClient>,
    config: OpenAiConfig,
}

impl OpenAiCompatible {
    /// A model that asks through `http`.
    pub fn new(host: Host, http: Rc<dyn HttpClient>, config: OpenAiConfig) -> Self {
        Self { host, http, config }
    }

    fn http_request(&self, mut request: ModelRequest) -> HttpRequest {
        if let Some(model) = &self.config.model {
            request.model.clone_from(model);
        }
        let url = request::endpoint(&self.config.base_url);
        let body = crate::wire::json::text(&request::body(&request, &url)).into_bytes();
        let headers = request::headers(self.config.api_key.as_deref(), &self.config.headers);
        HttpRequest {
            method: "POST".into(),
            url,
            headers,
            body,
        }
    }
}

impl LanguageModel for OpenAiCompatible {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            provider: "openai-compatible".into(),
            is_demo: false,
            context_tokens: self.config.context_tokens,
        }
    }

    fn availability(&self) -> Availability {
        if self.config.requires_key && self.config.api_key.is_none() {
            let reason = format!("the key for {} has to be given", self.config.base_url);
            return Availability::Waiting { reason };
        }
        Availability::Ready
    }

    /// It watches over a silent server itself: before the answer, and again before its first piece.
    fn start_timeout(&self) -> Duration {
        self.config.idle_timeout * 2
    }

    fn stream(&self, request: ModelRequest) -> ModelStream {
        if let Availability::Waiting { reason } = self.availability() {
            return futures::stream::iter([Err(ModelError::Unavailable { reason })]).boxed_local();
        }
        let answer = Answer {
            host: self.host.clone(),
            http: Rc::clone(&self.http),
            idle_timeout: self.config.idle_timeout,
            phase: Phase::Asking(self.http_request(request)),
            decoder: Decoder::new(),
        };
        unfold(answer, Answer::next).boxed_local()
    }
}

/// One answer on its way.
struct Answer {
    host: Host,
    http: Rc<dyn HttpClient>,
    idle_timeout: Duration,
    phase: Phase,
    decoder: Decoder,
}

enum Phase {
    Asking(HttpRequest),
    Reading(LocalBoxStream<'static, Result<Vec<u8>, HttpError>>),
    /// Nothing more comes in; the error follows the last delta.
    Ended(Option<ModelError>),
}

impl Answer {
    async fn next(mut self) -> Option<(Result<ModelDelta, ModelError>, Self)> {
        loop {
            if let Some(delta) = self.decoder.next_delta() {
                return Some((Ok(delta), self));
            }
            // Whatever happens below, an answer that is not put back here is over.
            self.phase = match std::mem::replace(&mut self.phase, Phase::Ended(None)) {
                Phase::Ended(None) => return None,
                Phase::Ended(Some(error)) => return Some((Err(error), self)),
                Phase::Asking(request) => self.ask(request).await,
                Phase::Reading(body) => self.read(body).await,
            };
        }
    }

    async fn ask(&mut self, request: HttpRequest) -> Phase {
        let url = request.url.clone();
        let response = match self
            .host
            .timeout(self.idle_timeout, self.http.send(request))
            .await
        {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let message = error.to_string();
                return Phase::Ended(Some(ModelError::Network {
                    url,
                    hint: error.hint,
                    message,
                }));
            }
            Err(_) => {
                let message = format!("no answer within {} s", self.idle_timeout.as_secs());
                return Phase::Ended(Some(ModelError::Network {
                    url,
                    hint: None,
                    message,
                }));
            }
        };
        if (200..300).contains(&response.status) {
            return Phase::Reading(response.body);
        }
        Phase::Ended(Some(self.refusal(response).await))
    }

    async fn refusal(&self, mut response: HttpResponse) -> ModelError {
        let header = |name: &str| response.header(name).map(str::to_owned);
        let retry_after = failure::retry_after(header, self.host.now_ms());
        let mut body = Vec::new();
        // The status alone says enough if the body breaks off.
        while let Ok(Some(Ok(piece))) = self
            .host
            .timeout(self.idle_timeout, response.body.next())
            .await
        {
            body.extend_from_slice(&piece);
            if body.len() > ERROR_BODY_BYTES {
                break;
            }
        }
        failure::from_status(
            response.status,
            retry_after,
            &String::from_utf8_lossy(&body),
        )
    }

    async fn read(
        &mut self,
        mut body: LocalBoxStream<'static, Result<Vec<u8>, HttpError>>,
    ) -> Phase {
        let result = match self.host.timeout(self.idle_timeout, body.next()).await {
            Ok(Some(Ok(piece))) => self.decoder.push(&piece),
            Ok(None) => return Phase::Ended(self.decoder.finish().err()),
            Ok(Some(Err(_))) | Err(_) if self.decoder.has_stopped() => return Phase::Ended(None),
            Ok(Some(Err(error))) => Err(ModelError::Truncated {
                message: error.to_string(),
            }),
            Err(_) => {
                let message = format!("nothing came for {} s", self.idle_timeout.as_secs());
                Err(ModelError::Truncated { message })
            }
        };
        match result {
            Err(error) => Phase::Ended(Some(error)),
            Ok(()) if self.decoder.is_done() => Phase::Ended(None),
            Ok(()) => Phase::Reading(body),
        }
    }
}
