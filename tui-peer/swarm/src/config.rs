//! Every number the core decides by, each with its reason.

use std::time::Duration;

/// Tunables of a node. The defaults are what the simulator and the measurements favour.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Payload bytes requested and not yet stored, over all contents: bounds memory.
    pub budget: u64,
    /// Outstanding bytes per source until its rate is known, at most: enough to keep a fast link busy.
    pub min_depth: u64,
    /// The same of all sources of a content together.
    pub start_depth: u64,
    /// Most outstanding bytes per source: 10 Gbit/s at 13 ms.
    pub max_depth: u64,
    /// The same over several TCP connections, which there are where one is too narrow: 1 Gbit/s at 250 ms, in chunks of
    /// 128 KiB or more. All sources share one budget ([`Self::budget`]).
    pub wide_depth: u64,
    /// Seconds of a source's rate kept outstanding beside two round trips.
    pub depth_time: Duration,
    /// Upload slots at most; slow uplinks get fewer. More than a content has links: who is served next is
    /// a matter of turns, and a peer choked for five seconds has nothing to do meanwhile (32 mixed
    /// uplinks, 2048 chunks: 1.10 of the bound with 24, 1.08 with 32).
    pub slots: usize,
    /// How often slots rotate to the least served.
    pub choke_interval: Duration,
    /// Least time between HAVEs: what comes in meanwhile goes out together,
    pub have_delay: Duration,
    /// and for each connection that is told, if that comes to more: a HAVE costs both ends as much as a quarter of a
    /// chunk, and where everybody tells everybody each chunk has as many of them as there are connections.
    pub have_delay_each: Duration,
    /// No byte for so long with requests pending: ask others.
    pub snub_after: Duration,
    /// A snubbed source gets one request again after this.
    pub snub_time: Duration,
    /// No byte for so long with requests pending: close.
    pub drop_after: Duration,
    /// Ban of a peer that sent two bad chunks.
    pub ban_bad: Duration,
    /// Ban of a peer that broke the protocol or advertises what it does not serve.
    pub ban_rude: Duration,
    /// Bad chunks from one peer before it is banned.
    pub max_strikes: u8,
    /// Rejections of advertised chunks before a source is dropped.
    pub max_rejects: u8,
    /// Connections per content that we dial. As many as there may be: who joins late would have fewer than
    /// the others otherwise, and be done last (64 equal peers, 2048 chunks: the last at 1.25 of the bound with
    /// 20 of 30, at 1.10 with 40 of 40).
    pub dial_target: usize,
    /// Connections per content.
    pub max_links: usize,
    /// Connections in all.
    pub max_conns: usize,
    /// Dials under way.
    pub max_dialing: usize,
    /// Silence after which a connection is pinged.
    pub ping_after: Duration,
    /// A connection with nothing in common ends after this.
    pub idle_close: Duration,
    /// Whether complete sources choose the chunks (uploader-side assignment).
    pub assign: bool,
    /// Bytes handed to a connection's writer ahead: the rest waits where it can still be reassigned.
    pub pipe: u64,
}

impl NodeConfig {
    /// Least time between HAVEs to so many connections.
    pub(super) fn have_delay_to(&self, connections: usize) -> Duration {
        let each = u32::try_from(connections).unwrap_or(u32::MAX);
        self.have_delay.max(self.have_delay_each.saturating_mul(each))
    }
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            budget: 64 << 20,
            min_depth: 512 << 10,
            start_depth: 2 << 20,
            max_depth: 16 << 20,
            wide_depth: 32 << 20,
            depth_time: Duration::from_millis(500),
            slots: 50,
            choke_interval: Duration::from_secs(5),
            have_delay: Duration::from_millis(20),
            have_delay_each: Duration::from_micros(1250),
            snub_after: Duration::from_secs(5),
            snub_time: Duration::from_secs(30),
            drop_after: Duration::from_secs(30),
            ban_bad: Duration::from_secs(24 * 3600),
            ban_rude: Duration::from_secs(600),
            max_strikes: 2,
            max_rejects: 3,
            dial_target: 48,
            max_links: 48,
            max_conns: 200,
            max_dialing: 32,
            ping_after: Duration::from_secs(15),
            idle_close: Duration::from_secs(60),
            assign: true,
            pipe: 1 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn haves_are_gathered_for_longer_where_many_are_told() {
        let cfg = NodeConfig::default();
        let delay = |connections| cfg.have_delay_to(connections);
        assert_eq!((delay(0), delay(16)), (cfg.have_delay, cfg.have_delay));
        assert_eq!(delay(48), Duration::from_millis(60));
        // With as many connections as there may be the last chunk is still not late for anybody.
        assert!(delay(cfg.max_conns) <= Duration::from_millis(250));
        assert!(delay(usize::MAX) > delay(cfg.max_conns));
    }
}
