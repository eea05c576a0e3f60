//! A page for people that shows how a store is doing, and the JSON under it.
//!
//! | path | shows |
//! | --- | --- |
//! | `/` | the page: one file that needs nothing else, and asks for the others every second |
//! | `/status.json` | members, traffic, removal records, refusals |
//! | `/keys.json?prefix=…&after=…` | a page of keys with the beginning of their values |
//! | `/value.json?key=…` | the values of one key |
//!
//! It shows everything that the store holds to whoever can reach it, and asks nobody who they are. So
//! listen at a loopback address, or behind something that asks.
//!
//! ```no_run
//! use dd_extension::status_page::StatusPage;
//!
//! # async fn example(store: dd_extension::Store) -> std::io::Result<()> {
//! let page = StatusPage::serve(store, "127.0.0.1:8080".parse().unwrap()).await?;
//! println!("http://{}/", page.local_addr());
//! # Ok(())
//! # }
//! ```

mod http;
mod query;
mod report;
mod routes;
mod value;

pub use http::{MAX_CONNECTIONS, MAX_REQUEST, StatusPage};
