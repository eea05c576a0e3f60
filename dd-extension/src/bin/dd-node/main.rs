//! A node of a store, driven by lines on standard input.
//!
//! Every line is answered by one line that begins with `ok` or `error`; a watched key prints lines
//! that begin with `change` besides. The address of a status page is said once in a line that begins with
//! `page`, and that of enrolment in one that begins with `enrolment`. `help` lists the commands.

mod command;
mod identity;
mod value;
mod write;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Parser;
use dd_extension::status_page::StatusPage;
use dd_extension::types::PnCounter;
use dd_extension::{
    Cluster, ClusterConfig, Consistency, DistributedData, Enrolment, EnrolmentOptions, Key, Keys,
    Member, NodeId, PeerStatus, Store, StoreConfig, StoreError, StoreStatus, SwimTiming,
};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use command::{Command, USAGE, parse};
use identity::IdentityArgs;
use value::{Counts, Fields, Tags, Text, Texts, describe};
use write::{write, write_together};

/// The system's own keeps what was freed in the midst of its heap: after many keys were deleted, the memory of
/// all of them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long a removal may take to be seen.
const REMOVAL: Duration = Duration::from_secs(1);
/// Keys of one page of a listing.
const PAGE: usize = 1000;
/// Keys that a listing prints at most.
const LISTED: usize = 10_000;

/// Stands at the end of `--help`.
const LOGS: &str = "Logs go to standard error: what the environment variable RUST_LOG says, as in RUST_LOG=info or \
    RUST_LOG=warn,dd_transport_quic=debug; without it warnings and errors.";

/// Runs a node of a replicated store, driven by lines on standard input. Try `help` there.
#[derive(Parser)]
#[command(name = "dd-node", version, after_help = LOGS)]
struct Args {
    /// UDP address to listen at; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where some node of the cluster is; as often as you like, one that answers is enough
    #[arg(long = "seed", value_name = "HOST:PORT", conflicts_with = "peers")]
    seeds: Vec<String>,
    /// Begin a new cluster, with this node as its first member
    #[arg(long)]
    bootstrap: bool,
    /// Where others reach this node, if that is not where it listens
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Instead of seeds: another node of a cluster whose members are a list; once for each
    #[arg(long = "peer", value_name = "NAME=HOST:PORT", value_parser = parse_peer)]
    peers: Vec<(String, String)>,
    /// How often one other member is probed, in milliseconds, 10 at least; one that fails is taken for down
    /// after some six times that
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    probe: u64,
    #[command(flatten)]
    identity: IdentityArgs,
    /// UDP address to serve enrolment at: certificates for whoever has a token of the authority; port 0 takes a
    /// free one
    #[arg(long, value_name = "ADDRESS", requires = "authority")]
    enrolment: Option<SocketAddr>,
    /// Lines to run before those of standard input
    #[arg(long)]
    file: Option<PathBuf>,
    /// TCP address to serve a status page at, with all keys and values; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    status: Option<SocketAddr>,
}

fn parse_peer(text: &str) -> Result<(String, String), String> {
    let (name, address) = text
        .split_once('=')
        .ok_or("a peer looks like b=127.0.0.1:7401")?;
    Ok((name.to_owned(), address.to_owned()))
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()),
        )
        .init();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

const WHICH_CLUSTER: &str = "which cluster? give --seed HOST:PORT of a node of it, or, if there is none yet, \
                             begin it with --bootstrap";

async fn run(args: Args) -> Result<(), Failure> {
    static DD: DistributedData = DistributedData::new();
    let told = args.bootstrap || !args.seeds.is_empty() || !args.peers.is_empty();
    // Before a token that is good for once is used.
    if args.identity.enrols() && !told {
        return Err(WHICH_CLUSTER.into());
    }
    let identity = args.identity.identity().await?;
    if !told {
        return Err(WHICH_CLUSTER.into());
    }
    let mut config = ClusterConfig::new(args.listen)
        .identity(identity)
        .membership(timing(args.probe));
    for (name, address) in &args.peers {
        config = config.peer(name, address);
    }
    for address in &args.seeds {
        config = config.seed(address);
    }
    if let Some(address) = &args.advertise {
        config = config.advertise(address);
    }
    let cluster = if args.bootstrap {
        Cluster::bootstrap(config).await?
    } else {
        Cluster::join(config).await?
    };
    let address = cluster
        .local_addr()
        .map_or_else(String::new, |address| address.to_string());
    let store = DD.start(&cluster, StoreConfig::default()).await?;
    println!(
        "ok {} of {} listens at {address}",
        cluster.node(),
        cluster.id()
    );
    let _page = match args.status {
        Some(listen) => Some(serve_status(store.clone(), listen).await?),
        None => None,
    };
    let _enrolment = match args.enrolment {
        Some(listen) => serve_enrolment(&args, &cluster, listen)?,
        None => None,
    };
    let mut node = Node {
        identity: args.identity,
        cluster,
        store,
        watched: BTreeMap::new(),
    };
    let mut go_on = true;
    if let Some(file) = &args.file {
        let lines = std::fs::read_to_string(file)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        for line in lines.lines() {
            go_on = go_on && node.line(line).await;
        }
    }
    let mut lines = BufReader::new(stdin()).lines();
    while go_on {
        match lines.next_line().await? {
            Some(line) => go_on = node.line(&line).await,
            None => break,
        }
    }
    drop(node);
    DD.stop().await?;
    Ok(())
}

async fn serve_status(store: Store, listen: SocketAddr) -> Result<StatusPage, Failure> {
    let page = StatusPage::serve(store, listen)
        .await
        .map_err(|error| format!("the status page at {listen}: {error}"))?;
    println!("page http://{}/", page.local_addr());
    Ok(page)
}

/// Serves certificates to joiners, under names that no member that is up has.
fn serve_enrolment(
    args: &Args,
    cluster: &Cluster,
    listen: SocketAddr,
) -> Result<Option<Enrolment>, Failure> {
    let Some(authority) = args.identity.authority()? else {
        return Ok(None);
    };
    if authority.cluster() != cluster.id() {
        let other = authority.cluster();
        return Err(format!(
            "the authority is of cluster {other}, and this node of {}",
            cluster.id()
        )
        .into());
    }
    let members = cluster.clone();
    let options = EnrolmentOptions::default().is_taken(move |node| {
        let members = members.members();
        let member = members.iter().find(|member| member.node == *node);
        member.is_some_and(|member| member.state.is_alive())
    });
    let enrolment = Enrolment::serve(authority, listen, options)
        .map_err(|error| format!("enrolment: {error}"))?;
    println!("enrolment {}", enrolment.local_addr());
    Ok(Some(enrolment))
}

/// The default timing, as much faster or slower as probes are.
fn timing(probe: u64) -> SwimTiming {
    let usual = SwimTiming::default();
    let probe = Duration::from_millis(probe);
    let scaled = |time: Duration| probe.mul_f64(time.as_secs_f64() / usual.probe.as_secs_f64());
    SwimTiming {
        probe,
        answer: scaled(usual.answer),
        suspect: scaled(usual.suspect),
        gossip: scaled(usual.gossip),
        ..usual
    }
}

struct Node {
    identity: IdentityArgs,
    cluster: Cluster,
    store: Store,
    watched: BTreeMap<String, Vec<JoinHandle<()>>>,
}

impl Node {
    /// Takes the certificate that there is by now. Returns for how long it is valid.
    async fn renew(&self) -> Result<Duration, Failure> {
        let identity = self.identity.renewed().await?;
        let left = identity.valid_until().duration_since(SystemTime::now());
        self.cluster.renew(identity)?;
        Ok(left.unwrap_or_default())
    }

    /// Answers a line. Returns whether to go on.
    async fn line(&mut self, line: &str) -> bool {
        match parse(line) {
            Ok(None) => {}
            Ok(Some(Command::Quit)) => {
                println!("ok bye");
                return false;
            }
            Ok(Some(Command::Leave)) => {
                self.cluster.leave().await;
                println!("ok left");
                return false;
            }
            Ok(Some(Command::Renew)) => match self.renew().await {
                Ok(left) => println!("ok valid for {} s", left.as_secs()),
                Err(error) => println!("error {error}"),
            },
            Ok(Some(command)) => match self.run(command).await {
                Ok(answer) => println!("ok {answer}"),
                Err(error) => println!("error {error}"),
            },
            Err(unclear) => println!("error {unclear}"),
        }
        true
    }

    async fn run(&mut self, command: Command) -> Result<String, Failure> {
        match command {
            Command::Repeat(times, line) => {
                for i in 0..times {
                    match parse(&line.replace("{i}", &i.to_string())) {
                        Ok(Some(command)) if !matches!(command, Command::Repeat(..)) => {
                            Box::pin(self.run(command)).await?;
                        }
                        Ok(_) => return Err("repeat takes one line that does something".into()),
                        Err(unclear) => return Err(unclear.to_string().into()),
                    }
                    // Others get a turn: pushes, and what peers send.
                    if i % 64 == 63 {
                        tokio::task::yield_now().await;
                    }
                }
                Ok(format!("{times} times"))
            }
            Command::Get(key) => {
                let values = describe(&self.store, &key)?;
                let nothing = values.is_empty();
                Ok(if nothing {
                    "nothing".to_owned()
                } else {
                    values.join(" | ")
                })
            }
            Command::Watch(key) => self.watch(key),
            Command::Unwatch(key) => {
                let tasks = self.watched.remove(&key).unwrap_or_default();
                tasks.iter().for_each(JoinHandle::abort);
                Ok(if tasks.is_empty() {
                    "was not watched".to_owned()
                } else {
                    key
                })
            }
            Command::Keys(prefix) => Ok(self.keys(&prefix)?),
            Command::Status => Ok(self.status()?),
            Command::Members => Ok(self.members()),
            Command::RemoveMember(name) => self.remove_member(&name.parse()?).await,
            Command::Ready => {
                self.store.ready().await?;
                Ok("ready".to_owned())
            }
            Command::Confirm => {
                self.store.confirmed(Consistency::majority()).await?;
                Ok("confirmed".to_owned())
            }
            Command::Refresh => {
                self.store.refreshed(Consistency::majority()).await?;
                Ok("refreshed".to_owned())
            }
            Command::Help => {
                for (_, usage, what) in USAGE {
                    println!("     {usage:<32} {what}");
                }
                Ok(format!("{} commands", USAGE.len()))
            }
            Command::Quit => Ok("bye".to_owned()),
            Command::Together(commands) => Ok(write_together(&self.store, &commands)?),
            Command::Deadline(key) => Ok(self.deadline(&key)?),
            Command::ExpireIdle(prefix, seconds) => {
                let lasts = seconds.map(|seconds| Duration::from_secs(seconds.into()));
                self.store.expire_idle(&Keys::<Tags>::of(prefix), lasts)?;
                Ok("done".to_owned())
            }
            Command::Own(prefix, rest) => {
                let family = Keys::<Tags>::owned_of(prefix);
                Ok(self.store.own(&family, rest)?.as_str().to_owned())
            }
            one => Ok(write(&self.store, &one)?),
        }
    }

    /// In how many seconds a key ends.
    fn deadline(&self, key: &str) -> Result<String, StoreError> {
        let Some(at) = self.store.deadline(&Key::<Tags>::of(key))? else {
            return Ok("none".to_owned());
        };
        Ok(match at.duration_since(SystemTime::now()) {
            Ok(left) => format!("in {:.1} s", left.as_secs_f64()),
            Err(_) => "it is over".to_owned(),
        })
    }

    /// Watches a key in every type that lines write.
    fn watch(&mut self, key: String) -> Result<String, Failure> {
        if self.watched.contains_key(&key) {
            return Ok("watched already".to_owned());
        }
        let tasks = vec![
            self.watch_as::<PnCounter>(&key)?,
            self.watch_as::<Tags>(&key)?,
            self.watch_as::<Text>(&key)?,
            self.watch_as::<Texts>(&key)?,
            self.watch_as::<Fields>(&key)?,
            self.watch_as::<Counts>(&key)?,
        ];
        let answer = format!("watching {key}");
        self.watched.insert(key, tasks);
        Ok(answer)
    }

    fn watch_as<T: dd_extension::types::Crdt>(
        &self,
        key: &str,
    ) -> Result<JoinHandle<()>, StoreError> {
        let mut changes = self.store.subscribe(&Key::<T>::of(key))?;
        let (store, key) = (self.store.clone(), key.to_owned());
        Ok(tokio::spawn(async move {
            while let Some(change) = changes.next().await {
                if change.is_initial() && change.is_gone() {
                    continue;
                }
                let Ok(values) = describe(&store, &key) else {
                    break;
                };
                let missed = match change.missed() {
                    0 => String::new(),
                    n => format!(" ({n} changes in between)"),
                };
                let gone = values.is_empty();
                let now = if gone {
                    "nothing".to_owned()
                } else {
                    values.join(" | ")
                };
                println!("change {key} {now}{missed}");
            }
        }))
    }

    fn keys(&self, prefix: &str) -> Result<String, StoreError> {
        let mut all: Vec<String> = Vec::new();
        loop {
            let page = self
                .store
                .keys(prefix, all.last().map(String::as_str), PAGE)?;
            if page.is_empty() || all.len() >= LISTED {
                break;
            }
            all.extend(page);
        }
        let more = if all.len() >= LISTED { " and more" } else { "" };
        Ok(format!("{} keys{more}: {}", all.len(), all.join(" ")))
    }

    fn members(&self) -> String {
        let members = self.cluster.members();
        let texts = members
            .iter()
            .map(|m| format!("{} {} {}", m.node, m.state, m.address));
        let texts: Vec<String> = texts.collect();
        format!("{} members: {}", texts.len(), texts.join("; "))
    }

    async fn remove_member(&self, node: &NodeId) -> Result<String, Failure> {
        self.cluster.remove(node)?;
        let mut changes = self.cluster.member_changes();
        // So that the next line counts without it; it may be back at once.
        let gone = async {
            while let Some(change) = changes.next().await {
                let gone = |member: Member| member.node == *node && !member.state.is_member();
                if change.after.is_some_and(gone) {
                    break;
                }
            }
        };
        let _ = timeout(REMOVAL, gone).await;
        Ok(format!("removed {node}"))
    }

    /// One line of `name=value`, for people and programs.
    fn status(&self) -> Result<String, StoreError> {
        let status = self.store.status()?;
        let (replica, transport) = (&status.replica, &status.transport);
        Ok(format!(
            "node={} replica={} keys={} events={} origins={} records={} context={:032x} \
             fingerprint={:032x} sent={} received={} wire-sent={} wire-received={} peers={} \
             conflicts={}",
            replica.node,
            replica.replica,
            replica.keys,
            replica.context.len(),
            replica.context.origins(),
            replica.records,
            replica.context_hash,
            replica.fingerprint,
            transport.bytes_sent,
            transport.bytes_received,
            transport.wire_bytes_sent,
            transport.wire_bytes_received,
            peers(&status),
            status.conflicts.join(","),
        ))
    }
}

/// The other nodes, as `name:state:what it has`.
fn peers(status: &StoreStatus) -> String {
    let others = status.members.iter();
    let others = others.filter(|member| member.node != status.replica.node);
    let text = |member: &Member| {
        let peers = &status.replica.peers;
        let peer = peers.iter().find(|peer| peer.node == member.node);
        match peer.filter(|_| member.state.is_member()) {
            Some(peer) => format!("{}:{}:{}", member.node, member.state, has(peer)),
            None => format!("{}:{}", member.node, member.state),
        }
    };
    let texts: Vec<String> = others.map(text).collect();
    texts.join(",")
}

fn has(peer: &PeerStatus) -> String {
    match peer.behind {
        None if peer.unconfirmed == 0 => "away".to_owned(),
        None => format!("away-behind-{}", peer.unconfirmed),
        Some(0) => "equal".to_owned(),
        Some(n) => format!("behind-{n}"),
    }
}
