//! How clients reach the gateway, and how the process is operated.

use super::Sections;
use crate::snapshot::Edge;

pub(super) fn edge(sections: &mut Sections<'_>) -> Edge {
    let general = &mut sections.general;
    let default = Edge::default();
    let reload_on_change = general.flag("reload_on_change");
    let upgrade_drain = general.timeout("upgrade_drain_timeout");
    Edge {
        reload_on_change: reload_on_change.map_or(default.reload_on_change, |at| at.value),
        upgrade_drain_timeout: upgrade_drain.map_or(default.upgrade_drain_timeout, |at| at.value),
    }
}
