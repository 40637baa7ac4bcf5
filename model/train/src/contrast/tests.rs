use std::collections::{BTreeMap, BTreeSet};

use super::grammar::{Break, GRAMMAR, mentions};
use super::scene::Scene;
use super::source::Source;
use super::{Case, Kind, case, query, violate};

const CASES: usize = 10_000;

fn cases(seed: u64, count: usize) -> Vec<Case> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| case(&mut rng)).collect()
}

fn by_kind(count: usize) -> BTreeMap<Kind, Vec<Case>> {
    let mut kinds: BTreeMap<Kind, Vec<Case>> = BTreeMap::new();
    for case in cases(7, count) {
        kinds.entry(case.kind).or_default().push(case);
    }
    kinds
}

/// The mean of `figure` over `items`.
fn mean<T>(items: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    items.iter().map(figure).sum::<f64>() / items.len() as f64
}

/// How likely it is that the relevant passage is taken where the highest `figure` decides and ties
/// are drawn by lot.
fn chance_of_relevant(case: &Case, figure: impl Fn(&str) -> usize) -> f64 {
    let relevant = figure(&case.relevant);
    let others: Vec<usize> = case.distractors.iter().map(|text| figure(text)).collect();
    if others.iter().any(|&other| other > relevant) {
        return 0.0;
    }
    1.0 / (1 + others.iter().filter(|&&other| other == relevant).count()) as f64
}

/// The share of distractors that have less of `figure`; ties count a half.
fn wins(case: &Case, figure: impl Fn(&str) -> usize) -> f64 {
    let relevant = figure(&case.relevant);
    mean(&case.distractors, |text| match figure(text).cmp(&relevant) {
        std::cmp::Ordering::Less => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Greater => 0.0,
    })
}

fn words(text: &str) -> Vec<String> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn negations(text: &str) -> usize {
    const NEGATIONS: [&str; 17] = [
        "not", "no", "never", "without", "none", "nobody", "nothing", "cannot", "except", "lacks",
        "free", "nor", "neither", "unlike", "avoid", "missing", "excluded",
    ];
    words(text).iter().filter(|word| NEGATIONS.contains(&word.as_str())).count()
}

#[test]
fn the_same_seed_gives_the_same_stream() {
    assert_eq!(cases(3, 200), cases(3, 200));
    assert_ne!(cases(3, 200), cases(4, 200));
}

#[test]
fn every_kind_occurs_about_as_often() {
    let kinds = by_kind(CASES);
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), Kind::ALL);
    for (kind, cases) in kinds {
        assert!(cases.len() > CASES / 9 * 8 / 10, "{kind:?}: {}", cases.len());
    }
}

#[test]
fn a_case_has_one_to_four_distractors_and_all_its_texts_differ() {
    for case in cases(5, CASES) {
        assert!((1..=4).contains(&case.distractors.len()), "{case:#?}");
        let texts: BTreeSet<&String> = case.distractors.iter().chain([&case.relevant]).collect();
        assert_eq!(texts.len(), case.distractors.len() + 1, "{case:#?}");
    }
}

#[test]
fn texts_are_whole_and_of_10_to_130_words() {
    for case in cases(6, CASES) {
        for text in case.distractors.iter().chain([&case.relevant]) {
            let count = text.split_whitespace().count();
            assert!((10..=130).contains(&count), "{count} words: {text}");
        }
        for text in case.distractors.iter().chain([&case.relevant, &case.query]) {
            assert!(!text.contains(['{', '}', '[', ']', '|', '*']), "{text}");
            assert!(!text.contains("  ") && !text.contains("(n)"), "{text}");
        }
    }
}

#[test]
fn nearly_every_query_is_another() {
    let queries: BTreeSet<String> = cases(8, CASES).into_iter().map(|case| case.query).collect();
    assert!(queries.len() > CASES * 95 / 100, "{}", queries.len());
}

#[test]
fn every_kind_has_a_dozen_schemas_and_every_phrase_can_be_read() {
    for kind in Kind::ALL {
        let schemas = GRAMMAR.schemas(kind);
        assert!(schemas.len() >= 12, "{kind:?}: {}", schemas.len());
        for schema in schemas {
            assert!(!GRAMMAR.filler(schema.topic).sentences.is_empty());
            assert!(schema.facets.len() > 1 || !schema.breaks.is_empty());
            for slots in &schema.slots {
                assert!(Source::named(slots.source, &GRAMMAR.lists).is_some(), "{}", slots.source);
            }
            for facet in &schema.facets {
                assert!(facet.asks.len() >= 3 && facet.says.len() >= 3, "{:?}", facet.asks);
            }
        }
    }
}

#[test]
fn every_query_names_what_a_break_changes() {
    for schema in Kind::ALL.into_iter().flat_map(|kind| GRAMMAR.schemas(kind)) {
        for (facet, &by) in
            schema.facets.iter().flat_map(|facet| schema.breaks.iter().map(move |by| (facet, by)))
        {
            assert!(facet.says.iter().any(|says| by.shows_in(says)), "{:?}", facet.says);
            for ask in &facet.asks {
                let named = match by {
                    Break::Redraw(name) => mentions(ask, name),
                    Break::Swap(one, other) => mentions(ask, one) || mentions(ask, other),
                };
                assert!(named, "{ask:?} names nothing that the schema breaks");
            }
        }
    }
}

#[test]
fn a_broken_scene_holds_other_values_and_the_same_ones_elsewhere() {
    let mut rng = fastrand::Rng::with_seed(9);
    for schema in Kind::ALL.into_iter().flat_map(|kind| GRAMMAR.schemas(kind)) {
        for &by in &schema.breaks {
            let mut scene = Scene::new(schema, &mut rng);
            let names = match by {
                Break::Redraw(name) => vec![name],
                Break::Swap(one, other) => vec![one, other],
            };
            for name in &names {
                scene.value(name, &mut rng);
            }
            let mut broken = scene.broken(by, &mut rng);
            for name in schema.slots.iter().flat_map(|slots| &slots.names).chain(&names) {
                let same = scene.value(name, &mut rng) == broken.value(name, &mut rng);
                assert_eq!(same, !names.contains(name), "{name}");
            }
        }
    }
}

#[test]
fn names_come_in_the_order_of_the_query_in_about_half_of_the_answers() {
    let mut shares = Vec::new();
    for schema in GRAMMAR.schemas(Kind::WordOrder) {
        for &by in &schema.breaks {
            let Break::Swap(one, other) = by else { continue };
            let in_order = |text: &str| {
                let at = |name: &str| text.find(&format!("{{{name}}}"));
                f64::from(at(one) < at(other))
            };
            let facet = &schema.facets[0];
            let ask = mean(&facet.asks, |ask| in_order(ask));
            let says = mean(&facet.says, |says| in_order(says));
            shares.push(ask * says + (1.0 - ask) * (1.0 - says));
        }
    }
    let share = mean(&shares, |&share| share);
    assert!((0.4..=0.6).contains(&share), "{share:.3}");
}

#[test]
fn length_does_not_tell_the_relevant_passage() {
    for (kind, cases) in by_kind(CASES) {
        let share = mean(&cases, |case| wins(case, |text| text.chars().count()));
        assert!((0.4..=0.6).contains(&share), "{kind:?}: longer in {share:.3}");
    }
}

#[test]
fn the_words_of_the_query_do_not_tell_the_relevant_passage() {
    for (kind, cases) in by_kind(CASES) {
        let share = mean(&cases, |case| {
            chance_of_relevant(case, |text| query::shared_words(&case.query, text))
        });
        assert!((0.3..=0.6).contains(&share), "{kind:?}: chosen in {share:.3}");
    }
}

#[test]
fn a_passage_that_quotes_the_query_may_be_either() {
    let cases = cases(10, CASES);
    let quotes = |case: &Case, text: &str| {
        let query = case.query.trim_end_matches(['?', '.']).to_lowercase();
        text.to_lowercase().contains(&query)
    };
    let relevant = mean(&cases, |case| f64::from(quotes(case, &case.relevant)));
    let distracting =
        mean(&cases, |case| mean(&case.distractors, |text| f64::from(quotes(case, text))));
    let ratio = relevant / distracting;
    assert!((0.25..=1.0).contains(&ratio), "{relevant:.3} against {distracting:.3}");
}

#[test]
fn a_word_of_negation_does_not_tell_the_relevant_passage() {
    for (kind, cases) in by_kind(CASES) {
        let share = mean(&cases, |case| wins(case, negations));
        assert!((0.4..=0.6).contains(&share), "{kind:?}: more negations in {share:.3}");
    }
}

#[test]
fn queries_and_answers_deny_in_all_four_combinations() {
    let denies = |text: &str| f64::from(u8::from(negations(text) > 0));
    let mut shares = [[0.0; 2]; 2];
    let facets: Vec<_> =
        GRAMMAR.schemas(Kind::Negation).iter().flat_map(|schema| &schema.facets).collect();
    for facet in &facets {
        let ask = mean(&facet.asks, |ask| denies(ask));
        let says = mean(&facet.says, |says| denies(says));
        for (query, share) in [(1, ask), (0, 1.0 - ask)] {
            shares[query][1] += share * says / facets.len() as f64;
            shares[query][0] += share * (1.0 - says) / facets.len() as f64;
        }
    }
    for share in shares.as_flattened() {
        assert!((0.15..=0.35).contains(share), "{shares:?}");
    }
}

#[test]
fn the_largest_number_does_not_tell_the_relevant_passage() {
    let largest = |text: &str| {
        words(text).iter().filter_map(|word| word.parse::<usize>().ok()).max().unwrap_or_default()
    };
    for (kind, cases) in by_kind(CASES) {
        let share = mean(&cases, |case| wins(case, largest));
        assert!((0.4..=0.6).contains(&share), "{kind:?}: larger in {share:.3}");
    }
}

#[test]
#[ignore = "prints cases for a person to read: cargo test -- --ignored --nocapture cases_to_read"]
fn cases_to_read() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut kinds: BTreeMap<Kind, Vec<Case>> = BTreeMap::new();
    for case in cases(seed, 400) {
        kinds.entry(case.kind).or_default().push(case);
    }
    for (kind, cases) in kinds {
        for case in cases.iter().take(5) {
            println!("\n{kind:?}  {}\n  + {}", case.query, case.relevant);
            for text in &case.distractors {
                println!("  - {text}");
            }
        }
    }
}

fn violated(query: &str, passage: &str) -> BTreeSet<(Kind, String)> {
    let mut rng = fastrand::Rng::with_seed(11);
    (0..200).filter_map(|_| violate(query, passage, &mut rng)).collect()
}

#[test]
fn a_violated_passage_is_another_one_of_the_same_shape() {
    let query = "who did the broncos defeat 24 to 10 in 2015 ?";
    let passage = "the denver broncos defeated the carolina panthers 24 -- 10 in 2015 .";
    let texts = violated(query, passage);
    assert!(texts.len() > 20);
    for (kind, text) in &texts {
        assert!(matches!(kind, Kind::Number | Kind::Date), "{kind:?}");
        assert_ne!(text, passage);
        assert_eq!(text.len(), passage.len());
        assert_eq!(text.split(' ').count(), passage.split(' ').count());
        let changed = text.split(' ').zip(passage.split(' ')).filter(|(new, old)| new != old);
        assert_eq!(changed.count(), 1, "{text}");
    }
}

#[test]
fn every_occurrence_is_replaced_and_whole_words_only() {
    let texts = violated(
        "What was built in 1850?",
        "In 1850 the mill of 18500 bricks was built; 1850 was a dry year, as was 1850a. Item 1,850.",
    );
    assert!(!texts.is_empty());
    for (kind, text) in texts {
        assert_eq!(kind, Kind::Date);
        assert!(!words(&text).contains(&"1850".to_owned()), "{text}");
        assert!(
            text.contains("18500") && text.contains("1850a") && text.contains("1,850"),
            "{text}"
        );
    }
}

#[test]
fn nothing_is_changed_that_the_query_does_not_name() {
    let passage = "In 1850 the north mill was not sold before the war. It has 12 rooms.";
    assert_eq!(violated("Who owned the mill?", passage), BTreeSet::new());
    assert_eq!(violated("", passage), BTreeSet::new());
    assert_eq!(violated("Who owned the mill?", ""), BTreeSet::new());
}

#[test]
fn articles_and_capitals_fit_the_new_word() {
    let texts = violated("What brings an increase of pain?", "An increase of pain is rare.");
    let expected = (Kind::Comparison, "A decrease of pain is rare.".to_owned());
    assert_eq!(texts, BTreeSet::from([expected]));
}

#[test]
fn a_negation_of_both_is_taken_from_the_passage() {
    let texts = violated("Why are dogs not allowed in?", "Dogs are not allowed in the park.");
    let expected = (Kind::Negation, "Dogs are allowed in the park.".to_owned());
    assert_eq!(texts, BTreeSet::from([expected]));
}

#[test]
fn a_word_of_two_meanings_is_left_alone() {
    let same = [
        ("Which year may it rain?", "In any year it may rain."),
        ("Who named it after the king?", "It was named after the king."),
        ("Who first left the right bank?", "They first left the right bank."),
        ("Is there one way?", "There is one way, number 1."),
    ];
    for (query, passage) in same {
        assert_eq!(violated(query, passage), BTreeSet::new(), "{passage}");
    }
}

#[test]
fn each_sort_of_constraint_is_found() {
    let pairs = [
        ("how many miles is it ?", "it is 12 miles long .", Kind::Unit),
        ("what came before the war ?", "before the war came the plague .", Kind::Date),
        ("what is held in june ?", "a fair is held in june .", Kind::Date),
        ("who was the third king ?", "the third king was old .", Kind::Number),
        ("which three rivers are long ?", "these three rivers are long .", Kind::Number),
        ("who was henry viii ?", "henry viii was a king .", Kind::NearDuplicate),
        ("what lies in the north ?", "a desert lies in the north .", Kind::WordOrder),
        ("what is the capital of france ?", "paris is the capital of france .", Kind::Name),
        ("what is the largest lake ?", "this is the largest lake .", Kind::Comparison),
    ];
    for (query, passage, kind) in pairs {
        let kinds: BTreeSet<Kind> =
            violated(query, passage).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, BTreeSet::from([kind]), "{passage}");
    }
}
