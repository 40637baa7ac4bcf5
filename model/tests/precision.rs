//! Every architecture in every precision on every backend: near transformers, or refused with what to do.

mod support;

use crossrank_model::{
    Backend, CrossEncoder, Device, LoadError, Precision, PrecisionError, Support,
};
use safetensors::Dtype;
use support::copy::{Copy, Tensors, says};
use support::{
    FIXTURES, assert_close, cpus, families, fixture, golden, golden_pairs, gpu, noted, pack,
    skipped,
};

/// One of each architecture, and of each way to pool.
fn architectures() -> impl Iterator<Item = &'static str> {
    std::iter::once("tiny-bert").chain(families())
}

/// Formats of weights in a file, beside float32.
const HALVES: [Dtype; 2] = [Dtype::F16, Dtype::BF16];

/// Largest difference of a logit, on logits that span ten. transformers itself, computing in half precision, is off by
/// 0.04 in float16 and by 0.5 in bfloat16.
fn tolerance(precision: Precision) -> f32 {
    match precision {
        Precision::F32 => 1e-4,
        Precision::F16 => 0.1,
        Precision::Bf16 => 1.0,
        Precision::Int8 => 1.0,
    }
}

fn agrees(name: &str, device: &Device, precision: Precision) {
    let what = format!("{name} in {precision} on {}", device.name());
    let encoder = CrossEncoder::load(&fixture(name), device, precision).expect(&what);
    let expected: Vec<f32> = golden(name).pairs.iter().map(|pair| pair.logit).collect();
    let logits = encoder.score(&pack(&golden_pairs(name))).unwrap();
    let worst = assert_close(&what, &logits, &expected, tolerance(precision));
    noted("precision", &format!("{what}: largest difference {worst:.1e}"));
}

/// A device may sum in another order where a pair is alone, and each rounding shows.
fn alone(name: &str, device: &Device, precision: Precision) {
    let what = format!("{name} alone in {precision} on {}", device.name());
    let encoder = CrossEncoder::load(&fixture(name), device, precision).expect(&what);
    let pairs = golden_pairs(name);
    let together = encoder.score(&pack(&pairs)).unwrap();
    let alone: Vec<f32> =
        pairs.iter().map(|pair| encoder.score(&pack([pair])).unwrap()[0]).collect();
    let worst = assert_close(&what, &alone, &together, tolerance(precision));
    noted("precision", &format!("{what}: largest difference {worst:.1e}"));
}

fn refused(name: &str, device: &Device, precision: Precision) -> PrecisionError {
    match CrossEncoder::load(&fixture(name), device, precision) {
        Err(LoadError::Precision(error)) => error,
        Err(error) => panic!("{name} in {precision}: {error}"),
        Ok(_) => panic!("{name} in {precision} on {} is not refused", device.name()),
    }
}

#[test]
fn a_cpu_computes_every_architecture_in_f32_and_int8_and_refuses_the_others() {
    for device in cpus() {
        let backend = device.backend();
        for (name, precision) in
            architectures().flat_map(|name| Precision::ALL.map(|precision| (name, precision)))
        {
            match precision {
                Precision::F32 | Precision::Int8 => {
                    assert_eq!(precision.support(backend), Support::Always);
                    agrees(name, &device, precision);
                }
                Precision::F16 | Precision::Bf16 => {
                    assert_eq!(precision.support(backend), Support::Never);
                    let error = refused(name, &device, precision);
                    assert!(matches!(error, PrecisionError::OnCpu { .. }), "{error}");
                    let wrong = format!("backend {backend} does not compute in {precision}");
                    says(&error, &fixture(name), &[&wrong, "choose precision f32 or int8"]);
                }
            }
        }
    }
}

/// Where the device has float16 or bfloat16, this is their parity; where it has not, the refusal.
#[test]
fn a_gpu_computes_every_architecture_in_what_it_has_and_refuses_the_others() {
    const TEST: &str = "a_gpu_computes_every_architecture_in_what_it_has_and_refuses_the_others";
    let Some(device) = gpu(TEST) else { return };
    for precision in [Precision::F16, Precision::Bf16] {
        assert_eq!(precision.support(Backend::Wgpu), Support::WhereOffered);
        let Err(told) = device.computes_in(precision) else {
            architectures().for_each(|name| agrees(name, &device, precision));
            ["tiny-bert", "tiny-deberta-v2"]
                .iter()
                .for_each(|name| alone(name, &device, precision));
            continue;
        };
        skipped(TEST, &format!("no parity in {precision}: {told}"));
        for name in architectures() {
            let error = refused(name, &device, precision);
            assert_eq!(error.to_string(), told.to_string());
            let instead = match precision {
                Precision::Bf16 => "choose precision f16 or f32",
                _ => "or choose precision f32",
            };
            let wrong = format!("{} does not compute in {precision}", device.name());
            says(&error, &fixture(name), &[&wrong, instead]);
        }
    }
    // `parity` has float32 of every fixture.
    assert_eq!(Precision::F32.support(Backend::Wgpu), Support::Always);
    assert_eq!(Precision::Int8.support(Backend::Wgpu), Support::Always);
    architectures().for_each(|name| agrees(name, &device, Precision::Int8));
}

/// Rounds the numbers of `format`'s range to `format`, and keeps them in `stored`.
fn rounded(name: &str, format: Dtype, stored: Dtype) -> Copy {
    let round = |value: f32| match format {
        Dtype::F16 => half::f16::from_f32(value).to_f32(),
        _ => half::bf16::from_f32(value).to_f32(),
    };
    let bytes = |value: f32| match stored {
        Dtype::F32 => value.to_le_bytes().to_vec(),
        // Exact, as they are rounded already.
        Dtype::F16 => half::f16::from_f32(value).to_le_bytes().to_vec(),
        _ => half::bf16::from_f32(value).to_le_bytes().to_vec(),
    };
    let change = |tensors: &mut Tensors| {
        for tensor in tensors.values_mut().filter(|tensor| tensor.0 == Dtype::F32) {
            let values = tensor.2.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            tensor.2 = values.flat_map(|value| bytes(round(value))).collect();
            tensor.0 = stored;
        }
    };
    Copy::of(name).edit_tensors(change)
}

#[test]
fn weights_stored_in_half_precision_score_as_the_numbers_that_they_are() {
    let devices: Vec<Device> = cpus().into_iter().chain(gpu("weights in half precision")).collect();
    for (name, format) in FIXTURES.into_iter().flat_map(|name| HALVES.map(|format| (name, format)))
    {
        let (half, single) = (rounded(name, format, format), rounded(name, format, Dtype::F32));
        let batch = pack(&golden_pairs(name)[..5]);
        // A GPU gets what was converted before; one model shows it.
        let here = |device: &&Device| device.backend() != Backend::Wgpu || name == "tiny-bert";
        for device in devices.iter().filter(here) {
            for precision in Precision::ALL.into_iter().filter(|p| device.computes_in(*p).is_ok()) {
                let scores = |copy: &Copy| {
                    let encoder = CrossEncoder::load(&copy.dir, device, precision).unwrap();
                    encoder.score(&batch).unwrap()
                };
                let what =
                    format!("{name} stored in {format:?}, in {precision} on {}", device.name());
                assert_eq!(scores(&half), scores(&single), "{what}");
            }
        }
    }
}
