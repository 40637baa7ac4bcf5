use std::fmt;

use super::ExpectedScores;
use super::expected::ExpectedSet;
use crate::engine::{EngineError, PairError, Precision, ScoreRequest, Scorer};

/// Published scores have six decimals, and other kernels add up in another order.
const F32: f32 = 0.002;
/// Twice what rounding to half precision costs small models with random weights, with a logit that spans ten: 0.05, as
/// with transformers, which computes them in float16 with an error of 0.04.
const F16: f32 = 0.1;
/// As [`F16`]: 0.5, with transformers, too.
const BF16: f32 = 1.0;
/// What rounding to eight bits costs, several times over: authors of quantised models state 0.03 to 0.22.
const INT8: f32 = 0.5;

/// How near a model's scores are to those that it is known to give.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// Scores that were compared.
    pub pairs: usize,
    /// Scores that were not, because `model.tokens_max` or `model.query_tokens_max` cuts their texts.
    pub cut: usize,
    /// The largest difference of a logit.
    pub difference: f32,
    /// What it may be.
    pub tolerance: f32,
    /// Who says what they should be.
    pub source: String,
}

/// A model that does not give the scores that it is known to give.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// A logit is another one.
    #[error(
        "the self-test fails: the logit of {query:?} with passage {passage} is {actual}, not {expected} as {origin} says, and may differ by {tolerance}; another backend (model.backend), engine.kernels = \"off\" or precision f32 tells where it goes wrong; model.self_test_tolerance allows more, and model.self_test = false is for a model that is another one by intent"
    )]
    Differs {
        /// The query.
        query: String,
        /// Place of the passage, from 0.
        passage: usize,
        /// As computed.
        actual: f32,
        /// As it should be.
        expected: f32,
        /// The largest difference.
        tolerance: f32,
        /// Who says so.
        origin: String,
    },
    /// The scores are about another label.
    #[error(
        "the self-test cannot be done: {origin} states the scores of label {expected:?}, and the model is asked about {}; set model.label (--label) to the first, or name other scores",
        .actual.as_ref().map_or_else(|| "its only one".to_owned(), |label| format!("{label:?}"))
    )]
    Label {
        /// That of the expected scores.
        expected: String,
        /// That of the model, where it has several.
        actual: Option<String>,
        /// Who states the scores.
        origin: String,
    },
    /// A pair has no score.
    #[error("the self-test fails: {query:?} with passage {passage} has no score")]
    Unscored {
        /// The query.
        query: String,
        /// Place of the passage, from 0.
        passage: usize,
        /// Why.
        #[source]
        source: PairError,
    },
    /// The engine stopped.
    #[error("the self-test did not end")]
    Engine(#[from] EngineError),
}

// === impl Proof ===

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, cut, difference, tolerance, source } = self;
        if *pairs == 0 {
            return write!(f, "nothing was compared: the limits of tokens cut all {cut} texts");
        }
        write!(
            f,
            "{pairs} scores differ from {source} by {difference:.1e} at most, of {tolerance} allowed"
        )?;
        match cut {
            0 => Ok(()),
            cut => write!(f, "; {cut} were left out, because the limits of tokens cut their texts"),
        }
    }
}

/// The largest difference that a logit may have in this precision, unless the configuration says otherwise.
pub fn tolerance(precision: Precision) -> f32 {
    match precision {
        Precision::F32 => F32,
        Precision::F16 => F16,
        Precision::Bf16 => BF16,
        Precision::Int8 => INT8,
    }
}

/// Scores what is expected, and compares.
///
/// # Errors
/// A score is missing, or beyond the tolerance.
pub async fn prove(
    scorer: &impl Scorer,
    expected: &ExpectedScores,
    tolerance: f32,
) -> Result<Proof, ProofError> {
    let mut proof = Proof { pairs: 0, cut: 0, difference: 0.0, tolerance, source: String::new() };
    for set in &expected.sets {
        prove_set(scorer, set, &mut proof).await?;
        if !proof.source.contains(&set.source) {
            let comma = if proof.source.is_empty() { "" } else { ", " };
            proof.source.push_str(comma);
            proof.source.push_str(&set.source);
        }
    }
    Ok(proof)
}

async fn prove_set(
    scorer: &impl Scorer,
    set: &ExpectedSet,
    proof: &mut Proof,
) -> Result<(), ProofError> {
    let ExpectedSet { source, query, passages, logits, label, .. } = set;
    if let Some(expected) = label
        && scorer.model().label.as_ref() != Some(expected)
    {
        let (expected, origin) = (expected.clone(), source.clone());
        let actual = scorer.model().label.clone();
        return Err(ProofError::Label { expected, actual, origin });
    }
    let scores = scorer.score(ScoreRequest::new(query.clone(), passages.clone())).await?;
    for (passage, (pair, &expected)) in scores.pairs.iter().zip(logits).enumerate() {
        if scores.query_truncated || pair.truncated || pair.windows.is_some() {
            proof.cut += 1;
            continue;
        }
        let unscored = |source| ProofError::Unscored { query: query.clone(), passage, source };
        let actual = pair.logit.map_err(unscored)?;
        let difference = (actual - expected).abs();
        // Not a number is beyond any tolerance.
        if difference.is_nan() || difference > proof.tolerance {
            return Err(ProofError::Differs {
                query: query.clone(),
                passage,
                actual,
                expected,
                tolerance: proof.tolerance,
                origin: source.clone(),
            });
        }
        proof.pairs += 1;
        proof.difference = proof.difference.max(difference);
    }
    Ok(())
}
