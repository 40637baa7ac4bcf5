use std::ops::Range;

use fastrand::Rng;

use super::corpus::{Question, Source};
use super::queries::Words;
use crate::contrast::{self, Case};
use crate::fit;
use crate::list::{Candidate, List};
use crate::measure::Ranker;
use crate::pool::{Found, Pool};

/// Lists of a step and a source: of questions that somebody asked, and of queries made from a passage's words. Glosses are
/// short, so that there is time for more of them.
const LISTS: [(Source, usize, usize); 3] =
    [(Source::Squad, 2, 2), (Source::Medquad, 1, 1), (Source::Wordnet, 2, 1)];
/// Lists of a step for real queries of which no passage is known to answer them, where there are such queries.
const QUERIES: usize = 3;
/// Generated cases of a step.
const CASES: usize = 8;
/// How much a generated case counts beside the others, which say more about the passages that retrieval finds.
const CASE_WEIGHT: f32 = 0.3;

/// Passages of a list: so many, most of them near.
const CANDIDATES: std::ops::RangeInclusive<usize> = 8..=14;
/// Passages that a list has from anywhere.
const STRANGERS: usize = 2;
/// Share of the draws that go by words alone.
const BY_WORDS: f64 = 0.4;
/// How far the labelled passage is at least above all others, and what no longer fits the query below it, in logits.
const LIFT: f32 = 1.0;
const DROP: f32 = 4.0;
/// How often the labelled passage meets a copy that no longer fits.
const VIOLATED: f64 = 0.6;

/// Where the bundled model's lists come from.
pub(super) struct Mix {
    pub(super) pool: Pool,
    pub(super) words: Words,
    /// Where the passages of each source stand.
    pub(super) places: Vec<(Source, Range<usize>)>,
    pub(super) questions: Vec<Question>,
    /// Real queries.
    pub(super) queries: Vec<String>,
    /// A cross-encoder that teaches, too.
    pub(super) second: Option<Ranker>,
    pub(super) seed: u64,
}

// === impl Mix ===

impl fit::Source for Mix {
    fn lists(&self, step: u64) -> anyhow::Result<Vec<List>> {
        let mut rng = Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ step);
        let mut lists = Vec::new();
        for (source, places) in &self.places {
            let Some((_, asked, made)) = LISTS.iter().find(|own| own.0 == *source) else {
                continue;
            };
            for _ in 0..*asked {
                lists.push(self.asked(*source, &mut rng)?);
            }
            for _ in 0..*made {
                lists.push(self.made(places.clone(), &mut rng)?);
            }
        }
        if !self.queries.is_empty() {
            for _ in 0..QUERIES {
                let query = self.queries[rng.usize(0..self.queries.len())].clone();
                lists.push(self.ranked(query, None, &mut rng)?);
            }
        }
        for _ in 0..CASES {
            let strangers = (0..rng.usize(0..=STRANGERS)).map(|_| self.stranger(&mut rng));
            let strangers =
                strangers.map(|place| self.pool.passages[place as usize].clone()).collect();
            lists.push(list(contrast::case(&mut rng), strangers));
        }
        Ok(lists)
    }
}

impl Mix {
    /// A question that somebody asked. Of its answers, the one that fits best is lifted above all others.
    fn asked(&self, source: Source, rng: &mut Rng) -> anyhow::Result<List> {
        let question = loop {
            let question = &self.questions[rng.usize(0..self.questions.len())];
            if question.source == source {
                break question;
            }
        };
        let query = self.words.restyled(&question.text, rng);
        let also: Vec<u32> = question.answers.iter().copied().chain(self.strangers(rng)).collect();
        let found = self.pool.search(&question.text, &also)?;
        let is_answer = |own: &&Found| question.answers.contains(&own.place);
        let answer = found.iter().find(is_answer).map(|own| own.place);
        let chosen = self.chosen(&found, answer, &also, rng);
        let mut list = self.taught(query, &chosen)?;
        if let Some(place) = chosen.iter().position(|own| Some(own.place) == answer) {
            let best = list.candidates.iter().filter_map(|own| own.teacher);
            let best = best.fold(f32::NEG_INFINITY, f32::max);
            let lifted = list.candidates[place].teacher.map(|own| own.max(best + LIFT));
            list.candidates[place].teacher = lifted;
            let text = list.candidates[place].text.clone();
            if rng.f64() < VIOLATED
                && let Some((_, text)) = contrast::violate(&list.query, &text, rng)
            {
                let teacher = lifted.map(|own| own - DROP);
                list.candidates.push(Candidate { text, label: None, teacher });
            }
        }
        Ok(list)
    }

    /// A query made from a passage's own words.
    fn made(&self, places: Range<usize>, rng: &mut Rng) -> anyhow::Result<List> {
        let (place, query) = loop {
            let place = rng.usize(places.clone());
            if let Some(query) = self.words.query(&self.pool.passages[place], rng) {
                break (place as u32, query);
            }
        };
        self.ranked(query, Some(place), rng)
    }

    /// The teacher alone says what answers the query: perhaps the passage that it was made from.
    fn ranked(&self, query: String, from: Option<u32>, rng: &mut Rng) -> anyhow::Result<List> {
        let also: Vec<u32> = from.into_iter().chain(self.strangers(rng)).collect();
        let found = self.pool.search(&query, &also)?;
        let chosen = self.chosen(&found, from, &also, rng);
        self.taught(query, &chosen)
    }

    /// Passages of a list: `first`, strangers, and of those found more of the better ones, and of those with the query's
    /// words: a first stage that goes by words puts them before the reranker, whatever they mean.
    fn chosen(
        &self,
        found: &[Found],
        first: Option<u32>,
        also: &[u32],
        rng: &mut Rng,
    ) -> Vec<Found> {
        let count = rng.usize(CANDIDATES).min(found.len());
        let strangers = &also[also.len() - STRANGERS..];
        let mut chosen: Vec<Found> = found
            .iter()
            .filter(|own| Some(own.place) == first || strangers.contains(&own.place))
            .copied()
            .collect();
        let mut by_words: Vec<&Found> = found.iter().collect();
        by_words.sort_by(|a, b| b.words.total_cmp(&a.words).then(a.place.cmp(&b.place)));
        while chosen.len() < count {
            // Half of the draws are from the best tenth.
            let share = rng.f64().powi(3);
            let place = (share * found.len() as f64) as usize;
            let own = if rng.f64() < BY_WORDS { *by_words[place] } else { found[place] };
            if chosen.iter().all(|other| other.place != own.place) {
                chosen.push(own);
            }
        }
        rng.shuffle(&mut chosen);
        chosen
    }

    fn taught(&self, query: String, chosen: &[Found]) -> anyhow::Result<List> {
        let texts: Vec<&str> =
            chosen.iter().map(|own| self.pool.passages[own.place as usize].as_str()).collect();
        let second = match &self.second {
            Some(ranker) => Some(ranker.logits(&query, &texts)?),
            None => None,
        };
        let candidate = |(index, own): (usize, &Found)| {
            let second = second.as_ref().map_or(own.logit, |logits| logits[index]);
            let teacher = Some((own.logit + second) / 2.0);
            Candidate { text: texts[index].to_owned(), label: None, teacher }
        };
        let candidates = chosen.iter().enumerate().map(candidate).collect();
        Ok(List { query, candidates, weight: 1.0 })
    }

    fn strangers(&self, rng: &mut Rng) -> Vec<u32> {
        (0..STRANGERS).map(|_| self.stranger(rng)).collect()
    }

    fn stranger(&self, rng: &mut Rng) -> u32 {
        rng.usize(0..self.pool.passages.len()) as u32
    }
}

/// A generated case, and passages that have nothing to do with it.
pub(super) fn list(case: Case, strangers: Vec<String>) -> List {
    let candidate = |text, label| Candidate { text, label: Some(label), teacher: None };
    let others = case.distractors.into_iter().chain(strangers);
    let candidates = std::iter::once(candidate(case.relevant, 1.0))
        .chain(others.map(|text| candidate(text, 0.0)))
        .collect();
    List { query: case.query, candidates, weight: CASE_WEIGHT }
}
