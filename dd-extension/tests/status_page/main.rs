//! The status page over real sockets: what it answers, and to what it does not.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that called them"
)]

mod hostile;
mod shown;

use std::net::SocketAddr;
use std::time::Duration;

use dd_extension::status_page::StatusPage;
use dd_extension::{Cluster, ClusterConfig, DistributedData, Identity, Store, StoreConfig};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Far longer than any answer takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A store by itself with its page.
struct Served {
    dd: DistributedData,
    store: Store,
    page: StatusPage,
}

impl Served {
    async fn start() -> Self {
        let identity = Identity::dev(&"shop".parse().unwrap(), &"a".parse().unwrap(), "secret");
        Self::start_as(identity.unwrap()).await
    }

    async fn start_as(identity: Identity) -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let config = ClusterConfig::new(listen).identity(identity);
        let (cluster, dd) = (
            Cluster::bootstrap(config).await.unwrap(),
            DistributedData::new(),
        );
        let store = dd.start(&cluster, StoreConfig::default()).await.unwrap();
        let page = StatusPage::serve(store.clone(), listen).await.unwrap();
        Self { dd, store, page }
    }

    fn address(&self) -> SocketAddr {
        self.page.local_addr()
    }

    /// Sends bytes and reads what comes back until the connection ends.
    async fn send(&self, bytes: &[u8]) -> String {
        let talk = async {
            let mut stream = TcpStream::connect(self.address()).await.unwrap();
            // It may have heard enough before all is written, and reset the connection then.
            let _ = stream.write_all(bytes).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8(answer).unwrap()
        };
        timeout(LIMIT, talk).await.expect("it does not answer")
    }

    /// Status, headers and body of a path.
    async fn get(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address());
        Answer::parse(&self.send(request.as_bytes()).await)
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(answer.headers.contains("content-type: application/json"));
        serde_json::from_str(&answer.body).unwrap()
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (headers, body) = text.split_once("\r\n\r\n").expect("no end of headers");
        let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            status,
            headers: headers.to_owned(),
            body: body.to_owned(),
        }
    }
}
