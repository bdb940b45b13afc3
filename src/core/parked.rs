//! Jobs that cannot run here.

use jobkeep_store::{ParkReason, State};

use super::encoded::Origins;

/// Why a job with these origins cannot run here, whatever its row says: the registry of this start
/// lacks its queue or its name.
pub(crate) fn lacking(origins: Option<Origins>) -> Option<ParkReason> {
    match origins {
        None => Some(ParkReason::UnknownQueue),
        Some(Origins { known: false, .. }) => Some(ParkReason::UnknownName),
        Some(_) => None,
    }
}

/// Why a job is parked that a start finds like this.
pub(crate) fn found_parked(state: &State, origins: Option<Origins>) -> Option<ParkReason> {
    if state.kind().is_final() {
        return None;
    }
    lacking(origins).or_else(|| match state {
        State::Parked(reason) => Some(reason.clone()),
        _ => None,
    })
}
