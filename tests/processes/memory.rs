use crate::NONE;
use crate::audit::Audit;
use crate::stage::Stage;
use crate::worker::Worker;

const MIB: usize = 1 << 20;
const SETS: usize = 5_000;
/// What the process may have at most: less than half of the backlog. Its limits allow some 100 MiB
/// (input in flight is there as bytes, decoded, as texts to score, and encoded, and the clients have
/// buffers), and what the allocator holds beside it comes to 130 to 165 MiB, most of it in the first
/// seconds, when every partition is read ahead at once.
const MEMORY_MAX: usize = 224 * MIB;

#[test]
fn memory_stays_bounded_while_a_larger_backlog_is_worked_off() {
    let Some(stage) = Stage::set("backlog", 4) else { return };
    stage.produce_large(0..SETS, 12, 8_000);
    let settings = [
        ("CROSSRANK__WORKER__BYTES_MAX", "8388608"),
        ("CROSSRANK__KAFKA__PREFETCH_BYTES", "8388608"),
        // Passages are long; most of the time would go into reading them to their ends.
        ("CROSSRANK__CONTEXT__ENABLED", "false"),
        ("CROSSRANK__MODEL__TOKENS_MAX", "32"),
        ("CROSSRANK__MODEL__QUERY_TOKENS_MAX", "8"),
    ];
    let worker = Worker::start_with(&stage, &settings);
    stage.wait_until_committed();
    let memory = worker.memory_max();
    assert_eq!(worker.terminate().code, Some(0));
    assert_eq!(Audit::of(&stage).lost(0..SETS), NONE);
    let backlog = SETS * 12 * 8_000;
    assert!(backlog > 2 * MEMORY_MAX, "a backlog of {} MiB proves nothing", backlog / MIB);
    assert!(memory < MEMORY_MAX, "{} MiB for a backlog of {} MiB", memory / MIB, backlog / MIB);
}
