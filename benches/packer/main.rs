//! Pairs through the packer: in, into batches, out. What is timed is all that stands between the tokenizers and
//! the replicas, but for their channels.

mod engine;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn packing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packer");
    for count in [50, 1_000, 10_000] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter_batched(|| engine::pairs(count), engine::pack, BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, packing);
criterion_main!(benches);
