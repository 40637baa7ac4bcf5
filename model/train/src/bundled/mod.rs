//! The recipe of the bundled model: from a bi-encoder's weights, by distillation from that bi-encoder and BM25 together
//! over queries of many styles, and by contrasts that neither of them sees.

mod corpus;
mod mix;
mod queries;
mod wordnet;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use crossrank_model::training::{LearningRates, Start, start};
use crossrank_model::{Backend, quantize};
use fastrand::Rng;

use crate::contrast;
use crate::fit::{self, Judge, Loss, Outcome, Plan};
use crate::list::List;
use crate::measure::Ranker;
use crate::pool::{Blend, Pool, Texts};
use corpus::{Corpus, Question, Source};
use mix::Mix;
use queries::Words;

/// What the recipe is made with.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Recipe {
    /// Folder with squad_sentence_pairs.jsonl.gz and medquad_pairs.jsonl.gz
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder with WordNet's data.noun, data.verb, data.adj and data.adv, to learn words that are in no other text
    #[arg(long, value_name = "DIR")]
    glosses: Option<PathBuf>,
    /// A real query a line, to rank passages for; what stands behind a tab is not read
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
    /// Directory of all-MiniLM-L6-v2, or another encoder to begin with
    #[arg(long, value_name = "DIR")]
    encoder: PathBuf,
    /// Bi-encoder that teaches together with BM25; the encoder unless told otherwise
    #[arg(long, value_name = "DIR")]
    bi_encoder: Option<PathBuf>,
    /// What makes a logit of the bi-encoder's cosine
    #[arg(long, default_value_t = 20.0)]
    cosine_scale: f32,
    /// How much BM25's standardised score counts beside it
    #[arg(long, default_value_t = 0.8)]
    words_share: f32,
    /// Folder for what is made on the way; a run that was cut off goes on from there
    #[arg(long, value_name = "DIR")]
    work: PathBuf,
    /// Where the model goes, in int8; a directory that is made
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Model to go on from, rather than from the encoder
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// A cross-encoder that teaches, too, as much as the bi-encoder with BM25
    #[arg(long, value_name = "DIR")]
    teacher: Option<PathBuf>,
    /// Layers of the encoder that are kept, such as 0,1,2,4; all by default
    #[arg(long, value_delimiter = ',', value_name = "LAYERS")]
    layers: Option<Vec<usize>>,
    #[arg(long, default_value_t = 3000)]
    steps: u64,
    /// Largest learning rate of the encoder; the head's is five times as large
    #[arg(long, default_value_t = 1e-4)]
    rate: f64,
    /// Steps between two checkpoints
    #[arg(long, default_value_t = 200)]
    every: u64,
    /// Leave MedQuAD out, to see what a domain that was never seen is worth
    #[arg(long)]
    without_medquad: bool,
    #[arg(long, default_value_t = 17)]
    seed: u64,
    /// Threads that learn
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, |n| n.get()))]
    threads: usize,
}

/// Questions that are held out, of each source, and generated cases.
const HELD_OUT: usize = 60;
const CASES: usize = 200;
/// What BM25 finds for a held-out question.
const HELD_OUT_CANDIDATES: usize = 20;
/// What makes generated cases of the judge others than those of training.
const JUDGE_SEED: u64 = 0x6a75_6467;

const TOKENS_MAX: usize = 320;

// === impl Recipe ===

impl Recipe {
    /// Makes the model.
    pub(crate) fn make(&self) -> anyhow::Result<Outcome> {
        fs::create_dir_all(&self.work)
            .with_context(|| format!("cannot make {}", self.work.display()))?;
        let first = self.work.join("start");
        if !first.is_dir() {
            let new = Start { layers: self.layers.clone(), random: false, seed: self.seed };
            start(&self.encoder, &first, &new)?;
        }
        let mut rng = Rng::with_seed(self.seed);
        let mut corpus =
            Corpus::read(&self.data, !self.without_medquad, self.glosses.as_deref(), &mut rng)?;
        let held_out = held_out(&mut corpus.questions);
        let texts = match &self.bi_encoder {
            Some(encoder) => Texts::of(encoder)?,
            None => Texts::load(&self.encoder, &first)?,
        };
        let queries = match &self.queries {
            Some(file) => queries::read(file)?,
            None => Vec::new(),
        };
        let passages = std::mem::take(&mut corpus.passages);
        let words = Words::count(&passages);
        let blend = Blend { scale: self.cosine_scale, words: self.words_share };
        let pool = Pool::new(passages, texts, blend, &self.work, self.threads)?;
        let judge = Held {
            lists: held_out.iter().map(|question| judged(question, &pool)).collect(),
            cases: cases(self.seed),
            threads: self.threads,
        };
        let from = self.from.clone().unwrap_or(first);
        let second = match &self.teacher {
            Some(model) => Some(Ranker::load(model, TOKENS_MAX, 1)?),
            None => None,
        };
        let mix = Mix {
            pool,
            words,
            places: corpus.places,
            questions: corpus.questions,
            queries,
            second,
            seed: self.seed,
        };
        let outcome = fit::fit(&from, &self.work.join("fit"), &self.plan(), &mix, &judge)?;
        quantize(&outcome.model, &self.out)?;
        Ok(outcome)
    }

    fn plan(&self) -> Plan {
        Plan {
            backend: Backend::Flex,
            threads: self.threads,
            steps: self.steps,
            rates: LearningRates { encoder: self.rate, head: 5.0 * self.rate },
            warm_up: 0.05,
            weight_decay: 0.01,
            gradient_max: 1.0,
            loss: Loss {
                listwise: 1.0,
                binary: 0.2,
                distill: 1.0,
                regress: 0.05,
                temperature: 1.0,
            },
            tokens_max: TOKENS_MAX,
            embeddings: false,
            every: self.every,
            patience: None,
        }
    }
}

/// Takes some questions of each source out.
fn held_out(questions: &mut Vec<Question>) -> Vec<Question> {
    let mut held_out = Vec::new();
    for source in [Source::Squad, Source::Medquad, Source::Wordnet] {
        let own: Vec<usize> =
            (0..questions.len()).filter(|&place| questions[place].source == source).collect();
        let step = (own.len() / HELD_OUT).max(1);
        for &place in own.iter().step_by(step).take(HELD_OUT).collect::<Vec<_>>().iter().rev() {
            held_out.push(questions.remove(*place));
        }
    }
    held_out
}

/// What BM25 finds for a question, and the answers.
fn judged(question: &Question, pool: &Pool) -> List {
    let mut places = pool.by_words(&question.text, HELD_OUT_CANDIDATES);
    if !places.iter().any(|place| question.answers.contains(place)) {
        places.push(question.answers[0]);
    }
    let candidate = |place: u32| crate::list::Candidate {
        text: pool.passages[place as usize].clone(),
        label: Some(f32::from(u8::from(question.answers.contains(&place)))),
        teacher: None,
    };
    List {
        query: question.text.clone(),
        candidates: places.into_iter().map(candidate).collect(),
        weight: 1.0,
    }
}

fn cases(seed: u64) -> Vec<List> {
    let mut rng = Rng::with_seed(seed ^ JUDGE_SEED);
    (0..CASES).map(|_| mix::list(contrast::case(&mut rng), Vec::new())).collect()
}

/// Half of it how well held-out questions are answered, half how many generated cases are told apart.
struct Held {
    lists: Vec<List>,
    cases: Vec<List>,
    threads: usize,
}

// === impl Held ===

impl Judge for Held {
    fn what(&self) -> &str {
        "half nDCG@10, half cases"
    }

    fn judge(&self, model: &Path) -> anyhow::Result<f64> {
        let ranker = Ranker::load(model, TOKENS_MAX, self.threads)?;
        let (ndcg, right) = (ranker.ndcg(&self.lists)?, ranker.first_is_best(&self.cases)?);
        Ok((ndcg + right) / 2.0)
    }
}
