//! Health and metrics; later the API and the page.

use crate::telemetry::metrics::Metrics;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;

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

/// Serves `/livez`, `/readyz` and `/metrics` until the future is dropped.
///
/// # Errors
/// When the address can't be listened at.
pub async fn serve(listen: SocketAddr, health: Arc<dyn Health>, metrics: Arc<Metrics>) -> Result<(), std::io::Error> {
    let listener = tokio::net::TcpListener::bind(listen).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    axum::serve(listener, router(health, metrics)).await
}

fn router(health: Arc<dyn Health>, metrics: Arc<Metrics>) -> Router {
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
