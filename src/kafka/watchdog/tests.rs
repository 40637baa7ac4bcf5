use super::*;

const ALONE: Duration = Duration::from_secs(15);
const STALLED: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(100);

/// A client with a watchdog, and a clock that only the test moves.
struct Client {
    watchdog: Watchdog,
    started: Instant,
    now: Instant,
    brokers: Option<usize>,
    astray: Vec<Astray>,
    is_silent: bool,
    seen: Seen,
    /// Whether a fresh client reaches the cluster.
    reachable: bool,
    probes: usize,
}

// === impl Client ===

impl Client {
    fn new(always: bool) -> Self {
        let now = Instant::now();
        let limits = Limits { alone: ALONE, stalled: STALLED, always };
        Self {
            watchdog: Watchdog::new(now, limits),
            started: now,
            now,
            brokers: Some(3),
            astray: Vec::new(),
            is_silent: false,
            seen: Seen::default(),
            reachable: true,
            probes: 0,
        }
    }

    fn consumer() -> Self {
        Self::new(true)
    }

    fn producer() -> Self {
        Self::new(false)
    }

    fn seconds(&self) -> u64 {
        (self.now - self.started).as_secs()
    }

    /// One look, 0.1 s after the last one. Statistics come with it; a probe is answered at once.
    fn look(&mut self) -> Verdict {
        self.now += STEP;
        if !self.is_silent {
            let astray = self.astray.clone();
            let heard = self.brokers.map(|brokers| Heard { brokers, astray, ..Heard::default() });
            self.watchdog.heard(self.now, heard);
        }
        let verdict = self.watchdog.look(self.now, self.seen);
        if let Verdict::Probe(goal) = verdict {
            self.probes += 1;
            self.watchdog.probed(self.now, goal, self.reachable);
            return Verdict::Fine;
        }
        verdict
    }

    /// Looks for so many seconds; the first verdict that asks for something, and when it came.
    fn after(&mut self, seconds: u64) -> Option<(u64, Verdict)> {
        let until = self.now + Duration::from_secs(seconds);
        while self.now < until {
            let verdict = self.look();
            if verdict != Verdict::Fine {
                return Some((self.seconds(), verdict));
            }
        }
        None
    }

    /// Goes on until a client must be replaced, replaces it, and says when.
    fn rebuilt(&mut self, seconds: u64) -> u64 {
        let (at, verdict) = self.after(seconds).expect("a verdict");
        let Verdict::Rebuild(sign) = verdict else { panic!("{verdict:?}") };
        self.watchdog.rebuilt(self.now, sign);
        at
    }
}

fn astray(index: i32, next: i64) -> Astray {
    Astray { partition: Partition { topic: "sets".into(), index }, next }
}

#[test]
fn a_client_with_brokers_and_nothing_to_wait_for_is_fine() {
    for mut client in [Client::consumer(), Client::producer()] {
        assert_eq!(client.after(600), None);
        assert_eq!(client.probes, 0);
    }
}

#[test]
fn a_producer_without_a_broker_lacks_one_only_while_it_has_something_to_send() {
    let mut client = Client::producer();
    client.brokers = Some(0);
    client.reachable = false;
    assert_eq!(client.after(60), None);
    assert!(client.watchdog.is_alone() && !client.watchdog.lacks_broker());
    client.seen.owed = 1;
    client.after(5);
    assert!(client.watchdog.lacks_broker());
    let mut client = Client::consumer();
    client.brokers = Some(0);
    client.reachable = false;
    client.after(5);
    assert!(client.watchdog.lacks_broker(), "a consumer always needs one");
}

#[test]
fn a_consumer_without_a_broker_is_replaced_while_the_cluster_can_be_reached() {
    let mut client = Client::consumer();
    client.brokers = Some(0);
    let (at, verdict) = client.after(60).unwrap();
    assert_eq!(at, ALONE.as_secs());
    assert!(matches!(verdict, Verdict::Rebuild(Sign::Alone(_))), "{verdict:?}");
    assert!((2..=4).contains(&client.probes), "{} probes", client.probes);
}

#[test]
fn a_cluster_that_is_away_is_waited_for_whatever_it_takes() {
    let mut client = Client::consumer();
    client.brokers = Some(0);
    client.reachable = false;
    assert_eq!(client.after(24 * 3600), None);
    assert!(client.watchdog.is_alone());
    assert!(client.probes <= 24 * 3600 / 15 + 1, "{} probes", client.probes);
}

#[test]
fn a_cluster_that_comes_back_leaves_the_client_time_to_connect() {
    // Whenever it comes back, relative to the probes.
    for away in 600..632 {
        let mut client = Client::consumer();
        client.brokers = Some(0);
        client.reachable = false;
        assert_eq!(client.after(away), None);
        client.reachable = true;
        assert_eq!(client.after(9), None);
        client.brokers = Some(1);
        assert_eq!(client.after(600), None);
    }
}

#[test]
fn a_client_that_got_stuck_during_an_outage_is_replaced_after_it() {
    let mut client = Client::consumer();
    client.brokers = Some(0);
    client.reachable = false;
    client.after(600);
    client.reachable = true;
    let at = client.rebuilt(60);
    assert!(at <= 600 + 26, "{at}");
}

#[test]
fn a_cluster_that_comes_and_goes_is_an_outage() {
    let mut client = Client::consumer();
    client.brokers = Some(0);
    for _ in 0..100 {
        client.reachable = !client.reachable;
        assert_eq!(client.after(9), None);
    }
}

#[test]
fn a_producer_with_nothing_to_send_needs_no_broker() {
    let mut client = Client::producer();
    client.brokers = Some(0);
    assert_eq!(client.after(3600), None);
    client.seen.owed = 1;
    assert_eq!(client.rebuilt(60), 3600 + ALONE.as_secs());
}

#[test]
fn a_record_that_fails_and_is_tried_again_is_still_to_be_sent() {
    let mut client = Client::producer();
    client.brokers = Some(0);
    // In flight for a second, then half a minute of back-off.
    for _ in 0..10 {
        client.seen.owed = 1;
        if client.after(1).is_some() {
            break;
        }
        client.seen.owed = 0;
        if client.after(30).is_some() {
            break;
        }
    }
    assert_eq!(client.seconds(), ALONE.as_secs());
}

#[test]
fn a_producer_that_gave_up_its_last_record_is_idle_again() {
    let mut client = Client::producer();
    client.brokers = Some(0);
    client.reachable = false;
    client.seen.owed = 1;
    client.after(30);
    client.seen.owed = 0;
    client.after(61);
    client.reachable = true;
    assert_eq!(client.after(3600), None);
}

#[test]
fn a_client_whose_statistics_end_has_no_broker() {
    let mut client = Client::consumer();
    client.after(60);
    client.is_silent = true;
    assert_eq!(client.rebuilt(60), 60 + ALONE.as_secs());
}

#[test]
fn statistics_that_cannot_be_read_say_nothing() {
    let mut client = Client::consumer();
    client.brokers = None;
    assert_eq!(client.after(3600), None);
    client.is_silent = true;
    client.after(8);
    client.is_silent = false;
    assert_eq!(client.after(3600), None);
}

#[test]
fn a_process_that_stood_still_believes_nothing_of_what_it_heard() {
    for is_silent in [true, false] {
        let mut client = Client::consumer();
        (client.brokers, client.is_silent) = (Some(0), is_silent);
        client.after(14);
        client.now += Duration::from_secs(3600);
        assert_eq!(client.after(14), None, "silent: {is_silent}");
    }
}

#[test]
fn without_a_broker_in_three_new_clients_nothing_more_is_tried() {
    let mut client = Client::consumer();
    client.brokers = Some(0);
    let times: Vec<u64> = (0..3).map(|_| client.rebuilt(60)).collect();
    assert_eq!(times, [15, 30, 45]);
    let (at, verdict) = client.after(60).unwrap();
    assert_eq!(at, 60);
    assert!(matches!(verdict, Verdict::GiveUp(Sign::Alone(_))), "{verdict:?}");
}

#[test]
fn new_clients_that_say_nothing_at_all_are_as_stuck() {
    let mut client = Client::consumer();
    client.is_silent = true;
    for _ in 0..3 {
        client.rebuilt(60);
    }
    assert!(matches!(client.after(60), Some((_, Verdict::GiveUp(_)))));
}

#[test]
fn a_broker_that_comes_up_gives_the_next_trouble_all_its_tries() {
    let mut client = Client::consumer();
    for _ in 0..10 {
        client.brokers = Some(0);
        client.rebuilt(60);
        client.rebuilt(60);
        client.brokers = Some(1);
        assert_eq!(client.after(1), None);
    }
}

#[test]
fn three_new_clients_during_which_the_cluster_goes_away_are_no_reason_to_give_up() {
    let mut client = Client::consumer();
    client.brokers = Some(0);
    for _ in 0..3 {
        client.rebuilt(60);
    }
    client.reachable = false;
    assert_eq!(client.after(3600), None);
}

#[test]
fn an_answer_that_does_not_come_from_brokers_that_are_there_is_a_sign_too() {
    for mut client in [Client::consumer(), Client::producer()] {
        client.seen.owed = 1;
        let (at, verdict) = client.after(1000).unwrap();
        assert_eq!(at, STALLED.as_secs());
        assert!(matches!(verdict, Verdict::Rebuild(Sign::Stalled(_))), "{verdict:?}");
    }
}

#[test]
fn answers_that_come_now_and_then_are_enough() {
    let mut client = Client::producer();
    client.seen.owed = 100;
    for _ in 0..20 {
        assert_eq!(client.after(STALLED.as_secs() - 1), None);
        client.seen.answered += 1;
    }
}

#[test]
fn an_outage_does_not_count_towards_a_stall() {
    let mut client = Client::producer();
    client.seen.owed = 1;
    client.after(10);
    (client.brokers, client.reachable) = (Some(0), false);
    client.after(3600);
    (client.brokers, client.reachable) = (Some(1), true);
    assert_eq!(client.after(STALLED.as_secs() - 1), None);
}

#[test]
fn a_topic_that_takes_nothing_gets_new_clients_more_and_more_rarely_and_never_an_end() {
    let mut client = Client::producer();
    client.seen.owed = 1;
    let mut last = 0;
    let waits: Vec<u64> = (0..9)
        .map(|_| {
            let at = client.rebuilt(100_000);
            (at - std::mem::replace(&mut last, at)) / STALLED.as_secs()
        })
        .collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
    client.seen.answered += 1;
    client.look();
    let at = client.rebuilt(1000);
    assert_eq!((at - last) / STALLED.as_secs(), 1);
}

#[test]
fn a_record_that_was_given_up_is_not_waited_for() {
    let mut client = Client::producer();
    client.seen.owed = 1;
    assert_eq!(client.after(STALLED.as_secs() - 1), None);
    client.seen.owed = 0;
    assert_eq!(client.after(600), None);
}

#[test]
fn a_broker_in_between_gives_a_client_all_its_time_again() {
    let mut client = Client::consumer();
    for _ in 0..100 {
        client.brokers = Some(0);
        assert_eq!(client.after(14), None);
        client.brokers = Some(1);
        client.after(1);
    }
}

#[test]
fn a_new_client_that_counts_from_zero_has_no_answer_yet() {
    let mut client = Client::producer();
    client.seen = Seen { owed: 1, answered: 1000 };
    client.rebuilt(1000);
    client.seen.answered = 0;
    let before = client.seconds();
    assert_eq!(client.rebuilt(1000) - before, 2 * STALLED.as_secs());
}

#[test]
fn a_partition_that_is_not_read_while_its_leader_can_be_reached_is_a_sign_too() {
    let mut client = Client::consumer();
    client.after(100);
    client.astray = vec![astray(4, 7)];
    let (at, verdict) = client.after(60).unwrap();
    assert_eq!(at, 100 + ALONE.as_secs());
    assert!(matches!(verdict, Verdict::Rebuild(Sign::Astray(_))), "{verdict:?}");
    assert_eq!(client.watchdog.astray(), Some(&astray(4, 7).partition));
}

#[test]
fn a_partition_whose_leader_is_away_is_waited_for() {
    let mut client = Client::consumer();
    (client.astray, client.reachable) = (vec![astray(4, 7)], false);
    assert_eq!(client.after(24 * 3600), None);
}

#[test]
fn a_partition_that_gets_on_is_read_whatever_it_looks_like() {
    let mut client = Client::consumer();
    for next in 0..100 {
        client.astray = vec![astray(4, next)];
        assert_eq!(client.after(14), None);
    }
}

#[test]
fn partitions_that_are_astray_one_after_another_are_as_elections_have_it() {
    let mut client = Client::consumer();
    for index in 0..100 {
        client.astray = vec![astray(index, 7)];
        assert_eq!(client.after(14), None);
    }
    client.astray.clear();
    assert_eq!(client.after(600), None);
}

/// The cluster may be there, and the leader not.
#[test]
fn a_client_that_finds_its_brokers_has_its_time_to_find_the_leader() {
    let mut client = Client::consumer();
    client.brokers = Some(0);
    client.astray = vec![astray(4, 7)];
    assert_eq!(client.after(14), None);
    client.brokers = Some(1);
    client.reachable = false;
    assert_eq!(client.after(600), None);
    client.reachable = true;
    assert_eq!(client.after(9), None);
}

#[test]
fn new_clients_that_look_astray_are_replaced_more_and_more_rarely_and_never_an_end() {
    let mut client = Client::consumer();
    client.astray = vec![astray(4, 7)];
    let mut last = 0;
    let mut waits = |client: &mut Client| {
        let at = client.rebuilt(1000);
        at - std::mem::replace(&mut last, at)
    };
    let first: Vec<u64> = (0..6).map(|_| waits(&mut client)).collect();
    assert_eq!(first, [15, 25, 45, 85, 85, 85]);
    // After a good while, it is another trouble.
    client.astray.clear();
    client.after(3600);
    client.astray = vec![astray(4, 7)];
    assert_eq!(waits(&mut client) - 3600, 15);
}

#[test]
fn a_process_that_stood_still_has_no_partition_astray() {
    let mut client = Client::consumer();
    client.astray = vec![astray(4, 7)];
    client.after(14);
    client.now += Duration::from_secs(3600);
    assert_eq!(client.after(14), None);
}
