//! Learns how much each feature tells, guesses, and is judged.
//!
//! For an id that ended, the *candidates* are the ids that began within the silence that the protocol allows. *Chance* is to name one
//! of them blindly: one over their number. Of each feature the linker learns, on the first half of the time, how often its values come
//! with true successors and with strangers; the score of a candidate is the sum of the logarithms of these ratios (naive Bayes), and the
//! guess is the best.
//!
//! The *joint* linker knows more than each id for itself: every id has one predecessor. It scales the likelihoods until the sums over
//! predecessors and over successors are one (Sinkhorn), which alone, with nothing to go by but beginnings and ends, beats chance: no
//! device can help it. So its chance is what it does with beginnings and ends alone.

use super::feature::Feature;
use super::sighting::Sightings;
use alcove::proto::config::{SILENT_GAP_MAX, SILENT_GAP_MIN};
use alcove::proto::rng::Rng;
use alcove::proto::time::{Duration, Instant};
use std::collections::BTreeMap;

/// Values of a feature are told apart in so many classes at most.
const CLASSES: usize = 12;
/// As if so many pairs had been seen that tell nothing.
const DOUBT: f64 = 8.0;
/// The hall comes to rest before anything counts.
const SETTLED: Instant = Instant(1_500_000_000);
/// A silence ends a little late: when the device is woken.
const SLACK: Duration = Duration::from_millis(200);
const SCALINGS: usize = 60;

/// How well the linker did.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// How many ids it had to name a successor of.
    pub decisions: usize,
    /// How often it was right.
    pub hits: usize,
    /// How often blind guesses are right.
    pub expected: f64,
    /// The standard deviation of that.
    pub deviation: f64,
}

impl Verdict {
    /// Hits per hit by chance.
    pub fn ratio(&self) -> f64 {
        self.hits as f64 / self.expected
    }

    /// The chance of a blind guess.
    pub fn chance(&self) -> f64 {
        self.expected / self.decisions as f64
    }

    /// One standard deviation of the ratio of blind guesses.
    pub fn spread(&self) -> f64 {
        self.deviation / self.expected
    }
}

/// An id that ended, and those that may be next.
struct Decision {
    candidates: Vec<usize>,
    truth: usize,
    is_lesson: bool,
    /// For each feature, one number for each candidate.
    values: BTreeMap<Feature, Vec<f64>>,
}

/// The linker, with all that was seen.
pub struct Linker {
    decisions: Vec<Decision>,
    rng: Rng,
}

impl Linker {
    /// Looks at everything.
    pub fn new(sightings: &Sightings, features: &[Feature]) -> Linker {
        let ids = &sightings.ids;
        let until = ids.iter().filter_map(|id| id.ended).max().unwrap_or_default();
        let middle = Instant(SETTLED.0.midpoint(until.0));
        let mut decisions = Vec::new();
        for (number, old) in ids.iter().enumerate() {
            let Some(ended) = old.ended.filter(|ended| *ended >= SETTLED) else { continue };
            let may_follow = |new: usize| {
                let gap = ids[new].began.since(ended);
                ids[new].ended.is_some() && ids[new].began >= ended && (SILENT_GAP_MIN..=SILENT_GAP_MAX + SLACK).contains(&gap)
            };
            let candidates: Vec<_> = (0..ids.len()).filter(|new| *new != number && may_follow(*new)).collect();
            let Some(truth) = candidates.iter().position(|new| ids[*new].device == old.device) else { continue };
            let of = |feature: &Feature| candidates.iter().map(|new| feature.of(sightings, old, &ids[*new])).collect();
            let values = features.iter().map(|feature| (*feature, of(feature))).collect();
            decisions.push(Decision { candidates, truth, is_lesson: ended < middle, values });
        }
        Linker { decisions, rng: Rng::new([5; 32]) }
    }

    /// Each id for itself.
    pub fn guess(&mut self, features: &[Feature]) -> Verdict {
        let scores = self.scores(features);
        self.judge(&scores, None)
    }

    /// All ids together, measured against what it does with beginnings and ends alone.
    pub fn guess_jointly(&mut self, features: &[Feature]) -> Verdict {
        let blind = self.scaled(self.scores(&[]));
        let blind = self.judge(&blind, None);
        let scores = self.scaled(self.scores(features));
        self.judge(&scores, Some(blind.hits as f64))
    }

    fn scores(&self, features: &[Feature]) -> Vec<Vec<f64>> {
        let mut scores: Vec<Vec<f64>> = self.decisions.iter().map(|decision| vec![0.0; decision.candidates.len()]).collect();
        for feature in features {
            let lesson = Lesson::learn(self.decisions.iter().filter(|decision| decision.is_lesson), *feature);
            for (decision, scores) in self.decisions.iter().zip(&mut scores) {
                for (score, value) in scores.iter_mut().zip(&decision.values[feature]) {
                    *score += lesson.weight(*value);
                }
            }
        }
        scores
    }

    fn scaled(&self, scores: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
        let mut shares: Vec<Vec<f64>> = scores;
        shares.iter_mut().flatten().for_each(|score| *score = score.clamp(-30.0, 30.0).exp());
        for _ in 0..SCALINGS {
            let mut sums = BTreeMap::new();
            for (decision, shares) in self.decisions.iter().zip(&mut shares) {
                let sum: f64 = shares.iter().sum();
                for (candidate, share) in decision.candidates.iter().zip(shares) {
                    *share /= sum;
                    *sums.entry(*candidate).or_insert(0.0) += *share;
                }
            }
            for (decision, shares) in self.decisions.iter().zip(&mut shares) {
                decision.candidates.iter().zip(shares).for_each(|(candidate, share)| *share /= sums[candidate]);
            }
        }
        shares
    }

    fn judge(&mut self, scores: &[Vec<f64>], expected: Option<f64>) -> Verdict {
        let mut verdict = Verdict { decisions: 0, hits: 0, expected: 0.0, deviation: 0.0 };
        let mut variance = 0.0;
        for (decision, scores) in self.decisions.iter().zip(scores).filter(|(decision, _)| !decision.is_lesson) {
            let best = scores.iter().copied().fold(f64::MIN, f64::max);
            let best: Vec<_> = (0..scores.len()).filter(|place| scores[*place] >= best - 1e-9).collect();
            let guess = best[self.rng.below(best.len() as u64) as usize];
            let chance = 1.0 / scores.len() as f64;
            verdict.decisions += 1;
            verdict.hits += usize::from(guess == decision.truth);
            verdict.expected += chance;
            variance += chance * (1.0 - chance);
        }
        verdict.expected = expected.unwrap_or(verdict.expected);
        verdict.deviation = variance.sqrt();
        verdict
    }
}

/// How much each class of a feature's values tells.
struct Lesson {
    /// The largest value of each class but the last.
    bounds: Vec<f64>,
    weights: Vec<f64>,
}

impl Lesson {
    fn learn<'a>(decisions: impl Iterator<Item = &'a Decision>, feature: Feature) -> Lesson {
        let of = |decision: &'a Decision| {
            let values = decision.values[&feature].iter().enumerate();
            values.map(|(place, value)| (*value, place == decision.truth)).collect::<Vec<_>>()
        };
        let pairs: Vec<(f64, bool)> = decisions.flat_map(of).collect();
        let mut values: Vec<_> = pairs.iter().map(|(value, _)| *value).collect();
        values.sort_by(f64::total_cmp);
        let mut distinct = values.clone();
        distinct.dedup();
        let bounds = if distinct.len() <= 64 {
            distinct.pop();
            distinct
        } else {
            let mut bounds: Vec<_> = (1..CLASSES).map(|class| values[class * values.len() / CLASSES]).collect();
            bounds.dedup();
            bounds
        };
        let mut counts = vec![(0.0, 0.0); bounds.len() + 1];
        for (value, is_true) in &pairs {
            let count: &mut (f64, f64) = &mut counts[class(&bounds, *value)];
            *(if *is_true { &mut count.0 } else { &mut count.1 }) += 1.0;
        }
        let (trues, others): (f64, f64) = counts.iter().fold((0.0, 0.0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
        // What was seen seldom tells as much as all of it together tells: nothing.
        let weight = |(is, other): &(f64, f64)| {
            let share = (is + other + 0.5) / (trues + others + 0.5);
            let (is, other) = (is + DOUBT * share, other + DOUBT * share);
            (is / (trues + DOUBT)).ln() - (other / (others + DOUBT)).ln()
        };
        Lesson { weights: counts.iter().map(weight).collect(), bounds }
    }

    fn weight(&self, value: f64) -> f64 {
        self.weights[class(&self.bounds, value)]
    }
}

fn class(bounds: &[f64], value: f64) -> usize {
    bounds.partition_point(|bound| *bound < value)
}
