//! How long the certificate of a node is good for, and what is said of its end.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dd_gossip::NodeId;
use parking_lot::Mutex;

/// It is looked so often at least: clocks may be set, and the certificate replaced.
const LOOK: Duration = Duration::from_secs(60);
/// And no more often than that.
const PAUSE: Duration = Duration::from_millis(1);

/// That of the certificate in use; `None` for a transport of the user's own. The handle of a cluster, its wire and
/// its store have it in common.
pub(crate) type Certificate = Arc<Mutex<Option<Validity>>>;

/// How long a certificate is good for.
#[derive(Debug)]
pub(crate) struct Validity {
    pub(crate) until: SystemTime,
    node: NodeId,
    /// From then on a third is left of what there was when it was taken into use.
    ends_soon: SystemTime,
    said: CertificateState,
}

/// How near the end of a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CertificateState {
    /// It is valid for more than a third of the time for which it was when it was taken into use.
    Valid,
    /// It is valid for a third of that time or less: renew it.
    EndsSoon,
    /// It has run out: peers refuse new connections until it is renewed.
    Over,
}

impl fmt::Display for CertificateState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::EndsSoon => "ends soon",
            Self::Over => "over",
        })
    }
}

impl Validity {
    /// Of a certificate that is taken into use now.
    pub(crate) fn new(node: NodeId, until: SystemTime, now: SystemTime) -> Self {
        let left = until.duration_since(now).unwrap_or_default();
        Self {
            until,
            node,
            ends_soon: until - left / 3,
            said: CertificateState::Valid,
        }
    }

    /// Logs what there is to say of the end. Returns after how long to look again.
    pub(crate) fn look(&mut self, now: SystemTime) -> Duration {
        let notice = self.notice(now);
        let node = &self.node;
        match notice {
            Some(CertificateState::EndsSoon) => {
                let left = self.until.duration_since(now).unwrap_or_default().as_secs();
                tracing::warn!(%node, left, "the certificate runs out soon, in so many seconds: renew it");
            }
            Some(CertificateState::Over) => tracing::warn!(
                %node,
                "the certificate has run out: peers refuse new connections until it is renewed"
            ),
            Some(CertificateState::Valid) | None => {}
        }
        self.pause(now)
    }

    /// How near its end is.
    pub(crate) fn state(&self, now: SystemTime) -> CertificateState {
        if now >= self.until {
            CertificateState::Over
        } else if now >= self.ends_soon {
            CertificateState::EndsSoon
        } else {
            CertificateState::Valid
        }
    }

    /// What is to be said now and was not yet; each once.
    fn notice(&mut self, now: SystemTime) -> Option<CertificateState> {
        let due = self.state(now);
        if due <= self.said {
            return None;
        }
        self.said = due;
        Some(due)
    }

    fn pause(&self, now: SystemTime) -> Duration {
        let ahead = [self.ends_soon, self.until].into_iter();
        let next = ahead.filter_map(|at| at.duration_since(now).ok()).min();
        next.unwrap_or(LOOK).clamp(PAUSE, LOOK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_said_when_a_third_is_left_and_when_it_is_there() {
        let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut one = Validity::new("a".parse().unwrap(), at(90), begin);
        assert_eq!(one.notice(at(59)), None);
        assert_eq!(one.pause(at(59)), Duration::from_secs(1));
        assert_eq!(one.notice(at(60)), Some(CertificateState::EndsSoon));
        assert_eq!(one.notice(at(61)), None);
        assert_eq!(one.pause(at(61)), Duration::from_secs(29));
        assert_eq!(one.notice(at(90)), Some(CertificateState::Over));
        assert_eq!(one.notice(at(91)), None);
        assert_eq!(one.pause(at(91)), LOOK);
        // The clock was set back: nothing is said twice, and what is shown is as it is.
        assert_eq!(one.notice(at(70)), None);
        let shown = [
            (59, "valid"),
            (60, "ends soon"),
            (89, "ends soon"),
            (90, "over"),
        ];
        for (seconds, state) in shown {
            assert_eq!(one.state(at(seconds)).to_string(), state, "{seconds}");
        }
        // Taken into use when it was over, and far away from its end.
        let mut over = Validity::new("a".parse().unwrap(), begin, at(1));
        assert_eq!(over.notice(at(1)), Some(CertificateState::Over));
        let year = Validity::new("a".parse().unwrap(), at(365 * 24 * 3600), begin);
        assert_eq!(year.pause(begin), LOOK);
    }
}
