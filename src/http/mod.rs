//! Health, metrics, the API and the status page.
//!
//! * [`api`]: every question and instruction, as `openapi.json` describes them
//! * [`desk`]: questions to shards, wherever they are
//! * [`answers`]: what they are answered with; [`speech`]: two sentences of it to read aloud
//! * [`tokens`]: who may, and how often
//! * [`page`]: the status page
//! * [`problem`]: errors; [`outside`]: what all this needs of the world

pub mod answers;
pub mod api;
pub mod desk;
pub mod outside;
pub mod page;
pub mod problem;
pub mod speech;
pub mod tokens;

use crate::telemetry::metrics::Metrics;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use desk::Desk;
use problem::Problem;
use std::sync::Arc;
use std::time::Duration;

/// OpenAPI description of the API.
pub const OPENAPI: &str = include_str!("openapi.json");

/// A request is answered within this, or given up.
const REQUEST_PATIENCE: Duration = Duration::from_secs(300);

/// How an instance is.
pub trait Health: Send + Sync + 'static {
    /// The loops turn; if not, which one doesn't.
    ///
    /// # Errors
    /// What stands still.
    fn live(&self) -> Result<(), String>;
    /// All shards it owns are restored; if not, how far they are.
    ///
    /// # Errors
    /// What is still to be done.
    fn ready(&self) -> Result<(), String>;
    /// Brings gauges up to date.
    fn observe(&self, metrics: &Metrics);
}

/// Serves everything until the future is dropped.
///
/// # Errors
/// When connections can't be taken any more.
pub async fn serve(
    listener: tokio::net::TcpListener,
    health: Option<(Arc<dyn Health>, Arc<Metrics>)>,
    desk: Arc<Desk>,
) -> Result<(), std::io::Error> {
    tracing::info!(address = %listener.local_addr()?, "listening");
    axum::serve(listener, router(health, desk)).await
}

/// All there is to be asked. Without health: the API and the page only.
pub fn router(health: Option<(Arc<dyn Health>, Arc<Metrics>)>, desk: Arc<Desk>) -> Router {
    let nothing = || async { Problem::not_found("there is nothing here; see /api/v1/openapi.json") };
    let asked = api::router(desk.clone()).merge(page::router(desk)).fallback(nothing);
    let asked = asked.layer(DefaultBodyLimit::max(api::BODY_BYTES_MAX)).layer(from_fn(guarded));
    match health {
        Some((health, metrics)) => asked.merge(watched(health, metrics)),
        None => asked,
    }
}

fn watched(health: Arc<dyn Health>, metrics: Arc<Metrics>) -> Router {
    let (live, ready) = (health.clone(), health.clone());
    let answer = |state: Result<(), String>| match state {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
    };
    let scrape = move || async move {
        health.observe(&metrics);
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render()).into_response()
    };
    Router::new()
        .route("/livez", get(move || async move { answer(live.live()) }))
        .route("/readyz", get(move || async move { answer(ready.ready()) }))
        .route("/metrics", get(scrape))
}

/// Nothing takes for ever, every error is a problem, and no answer is kept or shown elsewhere.
async fn guarded(request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(REQUEST_PATIENCE, next.run(request)).await;
    let late = |_| Problem::unavailable("it took too long").into_response();
    let response = answered.unwrap_or_else(late);
    let status = response.status();
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|content| content.as_bytes().starts_with(b"application/problem+json"));
    let mut response = match status {
        _ if is_problem || !(status.is_client_error() || status.is_server_error()) => response,
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(status, format!("a body has at most {} bytes", api::BODY_BYTES_MAX)).into_response()
        }
        _ => Problem::new(status, status.canonical_reason().unwrap_or_default()).into_response(),
    };
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, page::SECURITY_POLICY),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
