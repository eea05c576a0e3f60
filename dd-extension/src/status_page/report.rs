//! A status as JSON.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use dd_gossip::Member;

use crate::{Repair, StoreStatus, generation};

pub(super) fn report(status: &StoreStatus) -> Value {
    let (replica, transport) = (&status.replica, &status.transport);
    let counts = &replica.counts;
    json!({
        "node": replica.node.as_str(),
        "replica": replica.replica.to_string(),
        "agreement": status.agreement().to_string(),
        "diverged": diverged(status),
        "members": members(status),
        "keys": replica.keys,
        "events": replica.context.len(),
        "writers": replica.context.origins(),
        "context": format!("{:032x}", replica.context_hash),
        "fingerprint": format!("{:032x}", replica.fingerprint),
        "caught_up": replica.caught_up,
        "votes": replica.votes,
        "subscriptions": status.subscriptions,
        "conflicts": status.conflicts,
        "records": {
            "kept": replica.records,
            "awaited": awaited(status),
            "awaited_of_counters": status.records_awaited.of_counters,
            "forgotten": counts.records_forgotten,
        },
        "traffic": traffic(status),
        "transport": {
            "frames_sent": transport.frames_sent,
            "bytes_sent": transport.bytes_sent,
            "frames_received": transport.frames_received,
            "bytes_received": transport.bytes_received,
            "wire_bytes_sent": transport.wire_bytes_sent,
            "wire_bytes_received": transport.wire_bytes_received,
        },
        "sessions": {
            "exchanges_sent": counts.exchanges_sent,
            "exchanges_renewed": counts.exchanges_renewed,
            "exchanges_received": counts.exchanges_received,
            "flushes_sent": counts.flushes_sent,
            "flushes_received": counts.flushes_received,
            "comparisons_sent": counts.comparisons_sent,
            "comparisons_received": counts.comparisons_received,
            "broken": counts.sessions_broken,
            "cut": counts.exchanges_cut + counts.comparisons_cut,
        },
        "frames_refused": counts.frames_refused,
        "refusals": refusals(status),
        "repairs": repairs(status),
        "certificate_until_ms": status.valid_until.map(since_1970),
        "certificate": status.certificate.map(|state| state.to_string()),
        "sealed": replica.origins.1,
        "scrubs": counts.scrubs,
    })
}

fn members(status: &StoreStatus) -> Vec<Value> {
    let replica = &status.replica;
    let members = status.members.iter().map(|member| {
        let is_self = member.node == replica.node;
        let peer = replica.peers.iter().find(|peer| peer.node == member.node);
        let peer = peer.filter(|_| member.state.is_member());
        json!({
            "node": member.node.as_str(),
            "self": is_self,
            "address": member.address,
            "state": member.state.to_string(),
            // Beyond what a number of JavaScript holds.
            "generation": member.generation.to_string(),
            "started_ms": started(member),
            "connected": is_self || peer.is_some_and(|peer| peer.up),
            "replica": peer.and_then(|peer| peer.replica).map(|replica| replica.to_string()),
            "round_trip_ms": status.round_trips.get(&member.node).map(millis),
            // How far its clock is ahead of this node's.
            "skew_ms": peer.and_then(|peer| peer.skew),
            "behind": peer.map_or(0, |peer| peer.unconfirmed),
            "ahead": peer.map_or(0, |peer| peer.ahead),
        })
    });
    members.collect()
}

/// When a member was started, in milliseconds since 1970, if its generation says.
fn started(member: &Member) -> Option<u64> {
    Some(generation::started(member.generation)).filter(|since| *since > 0)
}

fn awaited(status: &StoreStatus) -> Map<String, Value> {
    let by_peer = status.records_awaited.by_peer.iter();
    by_peer
        .map(|(node, records)| (node.to_string(), json!(records)))
        .collect()
}

fn traffic(status: &StoreStatus) -> Vec<Value> {
    let counts = &status.replica.counts;
    let both = counts.sent.kinds().into_iter().zip(counts.received.kinds());
    let kinds = both.map(|((kind, sent), (_, received))| {
        json!({
            "kind": kind,
            "frames_sent": sent.frames,
            "bytes_sent": sent.bytes,
            "frames_received": received.frames,
            "bytes_received": received.bytes,
        })
    });
    kinds.collect()
}

fn refusals(status: &StoreStatus) -> Vec<Value> {
    let refusals = status.refusals.iter().rev();
    refusals
        .map(|(whom, reason)| json!({ "whom": whom, "reason": reason }))
        .collect()
}

fn repairs(status: &StoreStatus) -> Vec<Value> {
    let repair = |repair: &Repair| {
        json!({
            "at_ms": since_1970(repair.at),
            "damage": format!("{:?}", repair.damage).to_lowercase(),
            "unshared": repair.unshared,
        })
    };
    status.repairs.iter().map(repair).collect()
}

fn diverged(status: &StoreStatus) -> Vec<Value> {
    let diverged = status.diverged.iter();
    diverged
        .map(|(node, since)| json!({ "node": node.as_str(), "since_ms": since_1970(*since) }))
        .collect()
}

fn millis(time: &Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn since_1970(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
