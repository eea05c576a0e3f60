//! The server: small requests, few connections, and no trust in either.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::routes::{self, Answer};
use crate::Store;

/// Bytes that a request may have, its headers with it: many times what a browser sends.
pub const MAX_REQUEST: usize = 16 * 1024;
/// Connections at a time; more wait until one ends.
pub const MAX_CONNECTIONS: usize = 32;
/// Headers of a request.
const MAX_HEADERS: usize = 64;
/// How long a connection may take from its beginning to its end. Each carries one request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between attempts to accept when the system has nothing left for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Nothing comes from elsewhere or goes there, and nobody shows the page in a frame of theirs.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// A status page that is served. It ends when this is dropped.
#[derive(Debug)]
pub struct StatusPage {
    local: SocketAddr,
    task: AbortHandle,
}

impl StatusPage {
    /// Serves the page at this TCP address; port 0 takes a free one. Must be called inside of a tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// The address can't be bound.
    pub async fn serve(store: Store, listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let local = listener.local_addr()?;
        if !local.ip().is_loopback() {
            tracing::warn!(
                address = %local,
                "the status page shows all keys and values to whoever reaches this address"
            );
        }
        let server = Server {
            store,
            loopback: local.ip().is_loopback(),
        };
        let task = tokio::spawn(accept(listener, Arc::new(server))).abort_handle();
        Ok(Self { local, task })
    }

    /// The address that it is served at, with the actual port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for StatusPage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Server {
    store: Store,
    loopback: bool,
}

async fn accept(listener: TcpListener, server: Arc<Server>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Connections end with the listener, because they are tasks of this set.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let server = Arc::clone(&server);
                connections.spawn(async move {
                    // Whoever is too slow is not waited for.
                    let _ = timeout(PATIENCE, serve(stream, server)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection to the status page was not accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, server: Arc<Server>) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = server.answer(&request);
        async { Ok::<_, Infallible>(respond(answer)) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(MAX_REQUEST)
        .max_headers(MAX_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the status page ended");
    }
}

impl Server {
    fn answer(&self, request: &Request<Incoming>) -> Answer {
        if request.method() != Method::GET {
            return Answer::problem(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here");
        }
        if self.loopback && !is_local(request.headers().get(header::HOST)) {
            return Answer::problem(
                StatusCode::MISDIRECTED_REQUEST,
                "ask for this page as 127.0.0.1, [::1] or localhost",
            );
        }
        let uri = request.uri();
        routes::answer(&self.store, uri.path(), uri.query().unwrap_or_default())
    }
}

/// Whether a request names this machine. A page from elsewhere can have a name of its own lead here,
/// and would then be allowed to read what comes back.
fn is_local(host: Option<&HeaderValue>) -> bool {
    let Some(Ok(host)) = host.map(HeaderValue::to_str) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = |ip: std::net::IpAddr| ip.is_loopback();
    name.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(is_loopback)
}

fn respond(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, answer.kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        let is = |host| is_local(Some(&HeaderValue::from_static(host)));
        for host in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:80",
            "[::1]",
        ] {
            assert!(is(host), "{host}");
        }
        for host in [
            "example.org",
            "example.org:80",
            "localhost.example.org",
            "10.0.0.1:80",
            "",
            ":80",
        ] {
            assert!(!is(host), "{host}");
        }
        assert!(!is_local(None));
    }
}
