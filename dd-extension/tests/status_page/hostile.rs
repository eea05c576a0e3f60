//! Requests that are none, or too much.

use dd_extension::status_page::{MAX_CONNECTIONS, MAX_REQUEST};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::{Answer, Served};

#[tokio::test]
async fn only_get_is_answered() {
    let served = Served::start().await;
    for method in [
        "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "BREW",
    ] {
        let target = if method == "CONNECT" {
            "127.0.0.1:1"
        } else {
            "/"
        };
        let request = format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        let answer = Answer::parse(&served.send(request.as_bytes()).await);
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.headers.contains("allow: GET"));
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let served = Served::start().await;
    let host = "Host: 127.0.0.1\r\n";
    let huge = "x".repeat(4 * MAX_REQUEST);
    let many = "A: b\r\n".repeat(1000);
    for request in [
        format!("GET / HTTP/1.1\r\n{host}Cookie: {huge}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}{many}\r\n"),
        format!("GET /keys.json?prefix={huge} HTTP/1.1\r\n{host}\r\n"),
        // Never ends.
        format!("GET /{huge}"),
    ] {
        let answer = served.send(request.as_bytes()).await;
        let refused = answer.is_empty() || matches!(Answer::parse(&answer).status, 414 | 431);
        assert!(refused, "{answer}");
    }
    // What is within the limit is read, and then nothing else of the connection.
    let request = format!("GET /nothing HTTP/1.1\r\n{host}Content-Length: 99\r\n\r\n{huge}");
    let answer = served.send(request.as_bytes()).await;
    assert!(
        answer.is_empty() || Answer::parse(&answer).status == 404,
        "{answer}"
    );
    assert_eq!(served.get("/status.json").await.status, 200, "it goes on");
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let served = Served::start().await;
    for request in [
        &b"\0\0\0\0\0\0\0\0\r\n\r\n"[..],
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        // Some of them might go on yet; whoever sends no more is not waited for.
        let answer = served.send(request).await;
        let refused = answer.is_empty() || Answer::parse(&answer).status >= 400;
        assert!(refused, "{answer}");
    }
    assert_eq!(served.get("/status.json").await.status, 200, "it goes on");
}

#[tokio::test]
async fn a_query_that_can_not_be_read_is_refused() {
    let served = Served::start().await;
    for (path, why) in [
        ("/keys.json?prefix=%", "hexadecimal"),
        ("/keys.json?prefix=%zz", "hexadecimal"),
        ("/keys.json?prefix=%ff", "UTF-8"),
        ("/keys.json?after=%C3", "UTF-8"),
        ("/value.json?key=a&key=b", "twice"),
        ("/value.json", "key=\u{2026}"),
        ("/value.json?key=", "a key of 0 bytes"),
        ("/value.json?key=%00owned", "the store's own"),
    ] {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.body.contains(why), "{path}: {}", answer.body);
        assert!(answer.headers.contains("content-type: text/plain"));
    }
    for path in [
        "/../etc/passwd",
        "//",
        "/index.html",
        "/status.json/",
        "/%2e%2e/x",
    ] {
        assert_eq!(served.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn another_name_for_this_machine_is_not_answered() {
    let served = Served::start().await;
    for host in ["Host: example.org\r\n", "Host: example.org:80\r\n", ""] {
        let request = format!("GET /status.json HTTP/1.1\r\n{host}\r\n");
        let answer = Answer::parse(&served.send(request.as_bytes()).await);
        assert_eq!(answer.status, 421, "{host}");
        assert!(!answer.body.contains("context"));
    }
}

#[tokio::test]
async fn who_says_nothing_holds_up_nobody_for_long() {
    let served = Served::start().await;
    let mut silent = Vec::new();
    for _ in 0..MAX_CONNECTIONS - 1 {
        let mut stream = TcpStream::connect(served.address()).await.unwrap();
        stream.write_all(b"GET / HT").await.unwrap();
        silent.push(stream);
    }
    assert_eq!(
        served.get("/status.json").await.status,
        200,
        "there is room"
    );
    for _ in 0..MAX_CONNECTIONS {
        silent.push(TcpStream::connect(served.address()).await.unwrap());
    }
    // All places are taken, until the first ones were given up.
    assert_eq!(served.get("/status.json").await.status, 200);
}
