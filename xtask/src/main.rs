//! Project commands.

use dd_testkit::sim;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let from: u64 = args[1].parse().unwrap();
    let to: u64 = args[2].parse().unwrap();
    let (tally, failures) = sim::campaign(from..to, sim::Options::default(), 5);
    for f in &failures { println!("{f}"); }
    println!("{} failures", failures.len());
    for (n, c) in tally.fields() { println!("{n}: {c}"); }
}
