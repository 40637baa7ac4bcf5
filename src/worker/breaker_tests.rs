use proptest::prelude::*;

use super::*;

const OFF: BreakerSettings = BreakerSettings { run_max: None, share_max: None, window: 10 };
const IN_FLIGHT: usize = 8;

/// Ends `verdicts` in the order of their claims; the number of the one that trips, and what it says.
fn first_trip(settings: BreakerSettings, verdicts: &[Verdict]) -> Option<(usize, Tripped)> {
    let mut breaker = Breaker::new(settings, IN_FLIGHT);
    verdicts.iter().enumerate().find_map(|(place, &verdict)| {
        let number = breaker.claimed();
        Some((place, breaker.ended(number, verdict)?))
    })
}

#[test]
fn a_run_trips_at_its_length_and_says_what_it_saw() {
    let settings = BreakerSettings { run_max: Some(3), ..OFF };
    let mut verdicts = vec![Verdict::Bad("a"), Verdict::Bad("a"), Verdict::Good];
    verdicts.extend([Verdict::Bad("a"), Verdict::Neither, Verdict::Bad("b"), Verdict::Bad("b")]);
    let (place, tripped) = first_trip(settings, &verdicts).unwrap();
    assert_eq!(place, 6);
    assert_eq!(tripped, Tripped { bad: 3, of: 3, codes: vec![("b", 2), ("a", 1)] });
    assert_eq!(tripped.to_string(), "3 records one after another are bad (2 b, 1 a)");
}

#[test]
fn a_share_trips_above_its_limit_and_only_of_a_full_window() {
    let settings = BreakerSettings { share_max: Some(0.5), window: 10, ..OFF };
    let alternating = |count: usize| {
        let verdict = |place| if place % 2 == 0 { Verdict::Bad("a") } else { Verdict::Good };
        (0..count).map(verdict).collect::<Vec<_>>()
    };
    assert_eq!(first_trip(settings, &alternating(100)), None, "half is not more than half");
    let mut verdicts = alternating(20);
    verdicts.push(Verdict::Bad("a"));
    verdicts.push(Verdict::Bad("b"));
    let (place, tripped) = first_trip(settings, &verdicts).unwrap();
    assert_eq!(place, 21);
    assert_eq!(tripped.to_string(), "6 of the last 10 records are bad (5 a, 1 b)");
    let (place, _) = first_trip(settings, &[Verdict::Bad("a"); 10]).unwrap();
    assert_eq!(place, 9, "not before there are ten");
}

#[test]
fn what_is_switched_off_never_trips() {
    assert_eq!(first_trip(OFF, &[Verdict::Bad("a"); 1000]), None);
}

#[test]
fn bad_records_that_end_before_good_ones_are_no_run() {
    let settings = BreakerSettings { run_max: Some(3), ..OFF };
    let mut breaker = Breaker::new(settings, IN_FLIGHT);
    let numbers: Vec<u64> = (0..8).map(|_| breaker.claimed()).collect();
    let (good, bad): (Vec<u64>, Vec<u64>) = numbers.iter().partition(|&&number| number % 2 == 0);
    for number in bad {
        assert_eq!(breaker.ended(number, Verdict::Bad("a")), None);
    }
    for number in good {
        assert_eq!(breaker.ended(number, Verdict::Good), None);
    }
}

#[test]
fn a_record_that_never_ends_holds_up_no_judgement_and_no_memory() {
    let settings = BreakerSettings { run_max: Some(3), ..OFF };
    let mut breaker = Breaker::new(settings, IN_FLIGHT);
    let stuck = breaker.claimed();
    let tripped = (0..4 * IN_FLIGHT).find_map(|_| {
        let number = breaker.claimed();
        breaker.ended(number, Verdict::Bad("a"))
    });
    assert_eq!(tripped.map(|tripped| tripped.bad), Some(3));
    assert!(breaker.ended.len() <= 4 * IN_FLIGHT);
    assert_eq!(breaker.ended(stuck, Verdict::Bad("late")), None, "it was passed over");
}

#[test]
fn it_trips_once() {
    let settings = BreakerSettings { run_max: Some(1), ..OFF };
    let mut breaker = Breaker::new(settings, IN_FLIGHT);
    let numbers = [breaker.claimed(), breaker.claimed()];
    assert!(breaker.ended(numbers[0], Verdict::Bad("a")).is_some());
    assert!(breaker.ended(numbers[1], Verdict::Bad("a")).is_none());
}

proptest! {
    /// Whatever the order in which records end, it trips over the same ones.
    #[test]
    fn the_order_of_the_ends_does_not_matter(
        verdicts in prop::collection::vec(
            prop_oneof![Just(Verdict::Good), Just(Verdict::Bad("a")), Just(Verdict::Neither)],
            0..200,
        ),
        run_max in 1..6_usize,
        share_max in 0.1..0.9,
        seed: u64,
    ) {
        let settings =
            BreakerSettings { run_max: Some(run_max), share_max: Some(share_max), window: 10 };
        let expected = first_trip(settings, &verdicts).map(|(_, tripped)| tripped);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut breaker = Breaker::new(settings, IN_FLIGHT);
        let mut in_flight: Vec<(u64, Verdict)> = Vec::new();
        let mut coming = verdicts.iter();
        let mut found = None;
        loop {
            while in_flight.len() < IN_FLIGHT {
                let Some(&verdict) = coming.next() else { break };
                in_flight.push((breaker.claimed(), verdict));
            }
            if in_flight.is_empty() {
                break;
            }
            let oldest = in_flight.iter().map(|(number, _)| *number).min().unwrap();
            let behind = breaker.first + breaker.ended.len() as u64 - oldest;
            // Nothing is so late that it is passed over.
            let place = if behind > 2 * IN_FLIGHT as u64 {
                in_flight.iter().position(|(number, _)| *number == oldest).unwrap()
            } else {
                random.usize(..in_flight.len())
            };
            let (number, verdict) = in_flight.swap_remove(place);
            if let Some(tripped) = breaker.ended(number, verdict) {
                found = Some(tripped);
                break;
            }
        }
        prop_assert_eq!(found, expected);
    }
}
