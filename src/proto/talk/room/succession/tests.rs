//! For the model check: what a member has promised and gathered, and what a hostile elector does with its consent.

use super::*;

impl Room {
    pub(crate) fn succession_outline(&self, now: Instant) -> String {
        let Succession { promised, grants, is_needed, missed, own, next_try, .. } = &self.meta.succession;
        let grants: Vec<_> = grants.values().map(|grant| (grant.seat, grant.ballot)).collect();
        format!(
            "promised {promised:?} grants {grants:?} needs {is_needed} missed {missed:?} own {:?} tries {:?}",
            own.as_ref().map(|own| own.ballot),
            next_try.map(|at| at <= now)
        )
    }

    /// Consents to this successor, whomever we promised before, and whether or not the chair is here.
    pub(crate) fn consent_to(&mut self, cx: &mut Cx<'_>, successor: SeatNumber) {
        let ballot = Ballot { term: self.meta.term + 1, after: self.place_in_chain(), successor };
        let promised = self.meta.succession.promised;
        if let Some(grant) = self.grant(cx, ballot) {
            self.post_step(cx, &Step::Grant(grant));
        }
        self.meta.succession.promised = promised;
    }

    /// Founds the next term with nobody's consent but our own, counted as often as it takes.
    pub(crate) fn found_alone(&mut self, cx: &mut Cx<'_>) {
        let ballot = Ballot { term: self.meta.term + 1, after: self.place_in_chain(), successor: self.meta.me };
        let Some(grant) = self.grant(cx, ballot) else { return };
        let grants = vec![grant; self.electors(ballot.after, &[]).len()];
        let (psk, psk_id) = self.term_psk(&ballot, &grants);
        let mut twin = crate::proto::talk::group::SeatKeys::generate(cx.rng);
        let Ok(package) = twin.key_package(cx.rng) else { return };
        let mut group_id = [0; 16];
        group_id.copy_from_slice(&psk_id[..16]);
        if let Ok((_, welcome)) = Group::found(cx.rng, &self.keys, group_id, &[package], &psk, &psk_id) {
            self.post_step(cx, &Step::Founded(self.founding(ballot, grants, Vec::new(), welcome)));
        }
    }
}
