//! Schema → case.

use super::grammar::{Break, Facet, GRAMMAR, Schema, Template};
use super::passage::{Frame, Frames, Place, words_in};
use super::scene::Scene;
use super::source::pick;
use super::{Case, Kind, query};

/// Sentences that are tried where one with many, or few, of the query's words is wanted.
const DRAFTS: usize = 3;
/// Times that a distractor is tried again because it came out as one that is there already.
const TRIES_MAX: usize = 20;

/// In what a text misses the query.
#[derive(Clone, Copy)]
enum Miss {
    /// It answers the query of the facet of this index.
    Facet(usize),
    Break(Break),
}

/// Which sentences repeat the words of the query: where the relevant one always did, they would
/// be all there is to learn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Echo {
    Any,
    Most,
    Least,
}

/// Which queries the passages name besides.
#[derive(Clone, Copy)]
enum Named {
    None,
    /// Each the one that it answers, as its heading or as a related one.
    Own(Place),
    /// The relevant passage that of a distractor, and the distractors that of the relevant one, as
    /// related ones.
    Crossed,
}

/// A schema's query with what belongs to it.
struct Draft<'a> {
    schema: &'a Schema,
    facet: usize,
    scene: Scene,
    ask: String,
}

/// The sentence that answers, or misses, and a query that the passage names.
struct Core {
    says: String,
    named: Option<(Place, String)>,
}

/// The next case of the stream that `rng` stands for. All kinds are equally frequent.
pub fn case(rng: &mut fastrand::Rng) -> Case {
    let kind = pick(&Kind::ALL, rng);
    let schemas = GRAMMAR.schemas(kind);
    let mut draft = Draft::new(&schemas[rng.usize(..schemas.len())], rng);
    let filler = GRAMMAR.filler(draft.schema.topic);

    let cores = draft.cores(rng);
    let words_min = cores.iter().map(|core| words_in(&core.says)).min().unwrap_or_default();
    let aside = draft.scene.aside();
    let frames = Frames::draw(filler, &aside, words_min, rng);
    let mut texts: Vec<String> = Vec::with_capacity(cores.len());
    for core in &cores {
        let frame: Frame = frames.next(rng);
        texts.push(frame.around(&core.says, core.named.as_ref(), rng));
    }
    let relevant = texts.remove(0);
    let query = query::styled(&draft.ask, &filler.lead_ins, &mut draft.scene, rng);
    Case { kind, query, relevant, distractors: texts }
}

// === impl Draft ===

impl<'a> Draft<'a> {
    fn new(schema: &'a Schema, rng: &mut fastrand::Rng) -> Self {
        let facet = rng.usize(..schema.facets.len());
        let mut scene = Scene::new(schema, rng);
        let ask = scene.render(pick(&schema.facets[facet].asks, rng), rng);
        Self { schema, facet, scene, ask }
    }

    /// The relevant core, then 1 to 4 distracting ones, of which no two say the same.
    fn cores(&mut self, rng: &mut fastrand::Rng) -> Vec<Core> {
        let wanted = 1 + pick(&[1, 1, 2, 2, 3, 4], rng);
        let (echo_right, echo_wrong) = match rng.u8(..6) {
            0 | 1 => (Echo::Any, Echo::Any),
            2 => (Echo::Most, Echo::Least),
            _ => (Echo::Least, Echo::Most),
        };
        let named = match rng.u8(..20) {
            0..11 => Named::None,
            11 | 12 => Named::Own(Place::Heading),
            13 => Named::Own(Place::Related),
            _ => Named::Crossed,
        };
        // The same hotel, maker or price in every text, or others in each.
        let same_details = rng.bool();
        let miss = self.miss(true, rng);

        let mut scene = self.scene.clone();
        let says = self.says(&self.facet().says, &mut scene, echo_right, rng);
        if same_details {
            self.scene = scene;
        }
        let mut cores = vec![Core { says, named: self.named_by_relevant(named, miss, rng) }];
        let mut miss = miss;
        for _ in 0..TRIES_MAX {
            let core = self.distractor(miss, echo_wrong, named, rng);
            if cores.iter().all(|other| other.says != core.says) {
                cores.push(core);
            }
            if cores.len() == wanted {
                break;
            }
            miss = self.miss(false, rng);
        }
        cores
    }

    fn facet(&self) -> &'a Facet {
        &self.schema.facets[self.facet]
    }

    /// Another facet where there is one, and always where that is `typical` of the schema.
    fn miss(&self, typical: bool, rng: &mut fastrand::Rng) -> Miss {
        let (facets, breaks) = (self.schema.facets.len(), &self.schema.breaks);
        if breaks.is_empty() || (facets > 1 && (typical || rng.u8(..10) < 7)) {
            Miss::Facet((self.facet + rng.usize(1..facets)) % facets)
        } else {
            Miss::Break(pick(breaks, rng))
        }
    }

    fn distractor(&self, miss: Miss, echo: Echo, named: Named, rng: &mut fastrand::Rng) -> Core {
        let (mut scene, templates) = match miss {
            Miss::Facet(facet) => (self.scene.clone(), self.schema.facets[facet].says.clone()),
            Miss::Break(by) => {
                let says = self.facet().says.iter().copied();
                let shown = says.filter(|template| by.shows_in(template)).collect();
                (self.scene.broken(by, rng), shown)
            }
        };
        let says = self.says(&templates, &mut scene, echo, rng);
        let named = match named {
            Named::None => None,
            Named::Own(place) => Some((place, self.ask_of(miss, &scene, rng))),
            Named::Crossed => Some((Place::Related, self.own_ask(rng))),
        };
        Core { says, named }
    }

    fn named_by_relevant(
        &self,
        named: Named,
        miss: Miss,
        rng: &mut fastrand::Rng,
    ) -> Option<(Place, String)> {
        match named {
            Named::None => None,
            Named::Own(place) => Some((place, self.own_ask(rng))),
            Named::Crossed => {
                let scene = match miss {
                    Miss::Facet(_) => self.scene.clone(),
                    Miss::Break(by) => self.scene.broken(by, rng),
                };
                Some((Place::Related, self.ask_of(miss, &scene, rng)))
            }
        }
    }

    /// A phrasing of the query.
    fn own_ask(&self, rng: &mut fastrand::Rng) -> String {
        self.scene.clone().render(pick(&self.facet().asks, rng), rng)
    }

    /// A query that a text which misses this one in `miss` answers; `scene` is that text's.
    fn ask_of(&self, miss: Miss, scene: &Scene, rng: &mut fastrand::Rng) -> String {
        let facet = match miss {
            Miss::Facet(facet) => &self.schema.facets[facet],
            Miss::Break(_) => self.facet(),
        };
        scene.clone().render(pick(&facet.asks, rng), rng)
    }

    fn says(
        &self,
        templates: &[Template],
        scene: &mut Scene,
        echo: Echo,
        rng: &mut fastrand::Rng,
    ) -> String {
        let drafts = if echo == Echo::Any { 1 } else { DRAFTS };
        let rendered = (0..drafts).map(|_| scene.render(pick(templates, rng), rng));
        let said = match echo {
            Echo::Any | Echo::Most => {
                rendered.max_by_key(|sentence| query::shared_words(&self.ask, sentence))
            }
            Echo::Least => rendered.min_by_key(|sentence| query::shared_words(&self.ask, sentence)),
        };
        said.unwrap_or_default()
    }
}
