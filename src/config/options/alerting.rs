//! `general_settings.alerting_args`.

use super::{Kind, Table, on};

pub(crate) const ALERTING_ARGS: Table = Table {
    name: "alerting_args",
    place: "Under `general_settings`.",
    open: false,
    options: &[
        on(
            "daily_report_frequency",
            Kind::Seconds,
            "43200",
            "how often the sums of deployments, and of fallbacks, are told",
        ),
        on("report_check_interval", Kind::Seconds, "300", "how often it is looked at what is due"),
        on(
            "budget_alert_ttl",
            Kind::Seconds,
            "86400",
            "when a level of a budget without periods is told again",
        ),
        on(
            "outage_alert_ttl",
            Kind::Seconds,
            "60",
            "errors of a deployment within it are one outage",
        ),
        on("region_outage_alert_ttl", Kind::Seconds, "60", "the same of a provider's region"),
        on("minor_outage_alert_threshold", Kind::Count, "5", "so many errors are a small outage"),
        on("major_outage_alert_threshold", Kind::Count, "10", "so many errors are a great one"),
        on("max_outage_alert_list_size", Kind::Count, "10", "errors that are remembered of each"),
        on(
            "log_to_console",
            Kind::Flag,
            "false",
            "every alert is a line of the program's log, too",
        ),
    ],
};
