//! From a request to its answer, by a table of paths.

use std::future::Future;
use std::io;
use std::pin::Pin;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{self, HeaderValue};
use hyper::{Method, StatusCode};

/// A request without its body, which is never read. The method is GET or HEAD.
pub type Asked = hyper::http::request::Parts;
/// What is sent after the head; in one piece ([`body`]), or bit by bit.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;
/// Head and body. For HEAD only the head is sent, with the length that the body has.
pub type Answer = hyper::Response<Body>;
/// An answer on its way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;
/// Answers what was asked, from a state.
pub type Handler<S> = for<'a> fn(&'a S, &'a Asked) -> Answering<'a>;

/// A path and who answers for it.
#[derive(Debug)]
pub struct Route<S> {
    /// The whole path, from its slash on.
    pub path: &'static str,
    /// Who answers GET and HEAD.
    pub handler: Handler<S>,
}

/// A body in one piece.
pub fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A short answer for people, of a line or more.
pub fn text(status: StatusCode, words: impl Into<String>) -> Answer {
    let mut answer = Answer::new(body(words.into()));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, plain);
    answer
}

/// What the table says to a request.
pub(super) async fn answer<S>(routes: &[Route<S>], state: &S, asked: &Asked) -> Answer {
    let path = asked.uri.path();
    let Some(route) = routes.iter().find(|route| route.path == path) else {
        let known: Vec<&str> = routes.iter().map(|route| route.path).collect();
        return text(StatusCode::NOT_FOUND, format!("not here; there is {}\n", known.join(", ")));
    };
    if ![Method::GET, Method::HEAD].contains(&asked.method) {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    (route.handler)(state, asked).await
}
