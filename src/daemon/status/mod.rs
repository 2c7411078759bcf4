//! The status page, `/healthz` and `/metrics`, on `daemon.listen`. It only shows: there is nothing to press, and no
//! secret in what it is given.

mod metrics;
mod page;
mod totals;

pub use totals::{Total, Totals};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::snapshot::Snapshot;

/// A snapshot this young is shown again: a crowd of readers costs the database one reading a second.
const FRESH: Duration = Duration::from_secs(1);

/// Reads a snapshot; the error is the sentence that says why the database cannot be read.
pub(super) type Read = Arc<dyn Fn() -> Reading + Send + Sync>;

/// A snapshot being read.
pub(super) type Reading = Pin<Box<dyn Future<Output = Result<Snapshot, String>> + Send>>;

/// Takes the address of the status page.
pub(super) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| {
        format!("cannot listen on {address} for the status page; is it in use? see `listen` of [daemon] in sync.toml")
    })
}

/// Answers until told to stop, and then what is being asked.
pub(super) async fn serve(listener: TcpListener, read: Read, totals: Arc<Totals>, stop: CancellationToken) {
    let shown = Arc::new(Shown { read, totals, last: Mutex::new(None) });
    let routes = Router::new()
        .route("/", get(index))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .with_state(shown);
    let serving = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::error!(%error, "the status page has stopped");
    }
}

/// What the answers are made of.
struct Shown {
    read: Read,
    totals: Arc<Totals>,
    last: Mutex<Option<(Instant, Arc<Snapshot>)>>,
}

impl Shown {
    async fn snapshot(&self) -> Result<Arc<Snapshot>, String> {
        let mut last = self.last.lock().await;
        if let Some((_, known)) = last.as_ref().filter(|(read_at, _)| read_at.elapsed() < FRESH) {
            return Ok(Arc::clone(known));
        }
        let snapshot = Arc::new((self.read)().await?);
        *last = Some((Instant::now(), Arc::clone(&snapshot)));
        Ok(snapshot)
    }
}

async fn index(State(shown): State<Arc<Shown>>) -> Response {
    let (code, page) = match shown.snapshot().await {
        Ok(snapshot) => (StatusCode::OK, page::render(&snapshot)),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, page::unreadable(&reason)),
    };
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (code, headers, Html(page)).into_response()
}

/// Says whether the daemon lives and reads its database; how the jobs stand is told, but fails nothing: a supervisor
/// that restarts the daemon because HQ is away helps nobody.
async fn healthz(State(shown): State<Arc<Shown>>) -> Response {
    match shown.snapshot().await {
        Ok(snapshot) => {
            let jobs: BTreeMap<_, _> = snapshot.jobs.iter().map(|job| (job.name.as_str(), job.status)).collect();
            Json(serde_json::json!({ "status": "ok", "jobs": jobs })).into_response()
        }
        Err(reason) => {
            let answer = serde_json::json!({ "status": "failed", "error": reason });
            (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response()
        }
    }
}

async fn metrics(State(shown): State<Arc<Shown>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    match shown.snapshot().await {
        Ok(snapshot) => (kind, metrics::render(&snapshot, &shown.totals)).into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use chrono_tz::Asia::Kolkata;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::super::schedule::tests::at;
    use super::super::snapshot::tests::ended;
    use super::super::snapshot::{JobSnapshot, Status};
    use super::*;
    use crate::run::{Counts, Run};

    pub(super) fn snapshot() -> Snapshot {
        let good = ended(crate::run::Status::Ok, "2027-01-01T00:00:00Z");
        let counts = Counts { updated: 10, requests: 1, ..Counts::default() };
        let items = JobSnapshot {
            name: "items".to_owned(),
            doctype: "Item".to_owned(),
            table: "items".to_owned(),
            schedule: "0 */5 * * * *".to_owned(),
            status: Status::Ok,
            last_run: Some(Run { counts, ..good.clone() }),
            last_ok: Some(good.started_at),
            next_run: Some(at("2027-01-01T00:05:00Z")),
            rows: Some(12_345),
            next_reconcile: None,
            reconciled: None,
            sentence: None,
            parked: 3,
            conflicts: 2,
        };
        let refused = Run {
            error: Some("no permission for <script>alert(1)</script>".to_owned()),
            remedy: Some("give the user the permission".to_owned()),
            ..ended(crate::run::Status::Blocked, "2027-01-01T00:00:00Z")
        };
        let bad = JobSnapshot {
            name: "<b>\"bad\\\"</b>".to_owned(),
            status: Status::Blocked,
            last_run: Some(refused),
            last_ok: None,
            next_run: None,
            rows: None,
            next_reconcile: None,
            reconciled: None,
            sentence: None,
            parked: 0,
            conflicts: 0,
            ..items.clone()
        };
        let now = at("2027-01-01T00:02:00Z");
        Snapshot {
            site: "outlet-042".to_owned(),
            time_zone: Kolkata,
            now,
            jobs: vec![items, bad],
            version: None,
            hq_answered_at: None,
        }
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn site(read: Read) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        (address, stop.clone(), tokio::spawn(serve(listener, read, Arc::default(), stop)))
    }

    #[tokio::test]
    async fn a_readable_database_gives_page_health_and_metrics_by_one_reading() {
        let readings = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&readings);
        let (address, stop, served) = site(Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(snapshot()) })
        }))
        .await;
        let page = get(address, "/").await;
        assert!(page.starts_with("HTTP/1.1 200") && page.contains("<h1>outlet-042</h1>"), "{page}");
        let health = get(address, "/healthz").await;
        assert!(health.starts_with("HTTP/1.1 200"), "{health}");
        let body = r#"{"status":"ok","jobs":{"<b>\"bad\\\"</b>":"blocked","items":"ok"}}"#;
        assert!(health.ends_with(body), "{health}");
        assert!(get(address, "/metrics").await.contains("\nmilkrun_job_rows{job=\"items\"} 12345\n"));
        assert!(get(address, "/nothing").await.starts_with("HTTP/1.1 404"));
        assert_eq!(readings.load(Ordering::Relaxed), 1);
        stop.cancel();
        served.await.unwrap();
    }

    #[tokio::test]
    async fn an_unreadable_database_is_said_with_503() {
        let (address, stop, served) = site(Arc::new(|| Box::pin(async { Err("the disk is gone".to_owned()) }))).await;
        for path in ["/", "/healthz", "/metrics"] {
            let answer = get(address, path).await;
            assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("the disk is gone"), "{answer}");
        }
        stop.cancel();
        served.await.unwrap();
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let taken = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = format!("{:#}", listen(address).await.unwrap_err());
        assert!(error.starts_with(&format!("cannot listen on {address} for the status page")), "{error}");
    }
}
