//! What the tour claims: each claim with the figure that was seen, and a control that shows that its check can fail.

use serde_json::{Value, json};

/// All claims, in the order of the story.
#[derive(Default)]
pub struct Verdict(Vec<Claim>);

struct Claim {
    name: &'static str,
    figure: String,
    check_held: bool,
    control: String,
    control_failed: bool,
}

impl Verdict {
    /// Notes a claim: whether its check held, and whether the control, the same check where it must fail, failed. Says whether the
    /// claim holds: a control that does not fail makes it worthless.
    pub fn claim(&mut self, name: &'static str, check_held: bool, figure: String, control_held: bool, control: &str) -> bool {
        self.0.push(Claim { name, figure, check_held, control: control.to_owned(), control_failed: !control_held });
        check_held && !control_held
    }

    /// Whether every claim holds, and there is one.
    pub fn holds(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(Claim::holds)
    }

    /// How many hold, of how many.
    pub fn count(&self) -> (usize, usize) {
        (self.0.iter().filter(|claim| claim.holds()).count(), self.0.len())
    }

    /// For machines: an array of `{claim, figure, held, control}`.
    pub fn to_json(&self) -> Value {
        let claim = |claim: &Claim| {
            let control = json!({ "check": claim.control, "failed_as_it_must": claim.control_failed });
            json!({ "claim": claim.name, "figure": claim.figure, "held": claim.holds(), "control": control })
        };
        self.0.iter().map(claim).collect()
    }
}

impl Claim {
    fn holds(&self) -> bool {
        self.check_held && self.control_failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_whose_control_does_not_fail_is_not_held() {
        let mut verdict = Verdict::default();
        assert!(!verdict.holds(), "nothing claimed is nothing shown");
        assert!(verdict.claim("one", true, "1".into(), false, "must fail"));
        assert!(verdict.holds());
        assert!(!verdict.claim("two", true, "1".into(), true, "did not fail"));
        assert!(!verdict.holds());
        assert_eq!((verdict.count(), &verdict.to_json()[1]["held"]), ((1, 2), &json!(false)));
    }
}
