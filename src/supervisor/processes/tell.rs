//! The one place from which people hear of a daemon.

use crate::model::DomainName;
use crate::supervise::Report;

/// Tells of a daemon, with what it said last where it ended.
pub(super) fn tell(domain: &DomainName, report: &Report, last_words: &[String]) {
    let words = (!last_words.is_empty()).then(|| last_words.join(" | "));
    match report {
        Report::Failed { .. } => tracing::error!(%domain, ?report, last_words = words, "daemon {report}"),
        Report::Hung { .. } | Report::WillNotDie => tracing::error!(%domain, ?report, "daemon {report}"),
        Report::Lost { .. } => tracing::warn!(%domain, ?report, last_words = words, "daemon {report}"),
        Report::NotReadyInTime { .. } | Report::Busy | Report::Silent | Report::WillNotStop => {
            tracing::warn!(%domain, ?report, "daemon {report}");
        }
        Report::Stable => tracing::debug!(%domain, ?report, "daemon {report}"),
        _ => tracing::info!(%domain, ?report, "daemon {report}"),
    }
}
