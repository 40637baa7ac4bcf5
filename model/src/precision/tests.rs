use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::Precision;
use crate::weights::{Weights, WeightsError};

#[test]
fn names_and_precisions_are_one_to_one() {
    for precision in Precision::ALL {
        assert_eq!(precision.to_string().parse::<Precision>().unwrap(), precision);
    }
    for name in ["fp16", "INT8", "F32", ""] {
        let error = name.parse::<Precision>().unwrap_err().to_string();
        assert!(error.ends_with("there are f32, f16, bf16 and int8"), "{error}");
    }
}

#[test]
fn a_weight_that_the_precision_has_no_room_for_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let take = |value: f32, precision| {
        let bytes: Vec<u8> = [1.0, value].into_iter().flat_map(f32::to_le_bytes).collect();
        let view = TensorView::new(Dtype::F32, vec![2], &bytes).unwrap();
        let file = safetensors::serialize([("some.weight", view)], None).unwrap();
        std::fs::write(folder.path().join("model.safetensors"), file).unwrap();
        Weights::open(folder.path()).unwrap().fitting(precision).take("some.weight", [2])
    };
    for (value, room, none) in [
        (65_504.0, vec![Precision::F16, Precision::Bf16, Precision::F32, Precision::Int8], vec![]),
        (-65_505.0, vec![Precision::Bf16, Precision::F32, Precision::Int8], vec![Precision::F16]),
        (f32::MAX, vec![Precision::F32], vec![Precision::F16, Precision::Bf16]),
    ] {
        room.iter().for_each(|precision| assert_eq!(take(value, *precision).unwrap()[1], value));
        for precision in none {
            let error = take(value, precision).unwrap_err();
            assert!(matches!(error, WeightsError::TooLarge { .. }), "{error}");
            let wrong =
                format!("tensor some.weight holds {value:e}, which {precision} has no room for");
            assert!(error.to_string().contains(&wrong), "{error}");
        }
    }
    let error = take(f32::INFINITY, Precision::F16).unwrap_err();
    assert!(matches!(error, WeightsError::NotFinite { .. }), "{error}");
}

/// No CPU is asked to serve in half precision. flex can, operation by operation, and shows what a device that does
/// comes to.
#[cfg(feature = "flex")]
mod on_flex {
    use std::path::{Path, PathBuf};

    use burn::tensor::FloatDType;
    use serde_json::Value;

    use crate::device::{Backend, Device, Kernels};
    use crate::encoder::CrossEncoder;
    use crate::layers::param;
    use crate::packed::PackedBatch;
    use crate::precision::Precision;

    /// The largest and the mean difference, of what a fixture's logits span. transformers itself, computing the same
    /// in half precision, is off by 0.004 at most in float16 and by 0.05 in bfloat16.
    const WITHIN: [(Precision, [f32; 2]); 2] =
        [(Precision::F16, [0.01, 0.0025]), (Precision::Bf16, [0.1, 0.02])];

    /// Every fixture that has one label: its directory, its golden pairs and their logits.
    fn fixtures() -> Vec<(PathBuf, PackedBatch, Vec<f32>)> {
        let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let mut dirs: Vec<PathBuf> =
            std::fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path()).collect();
        dirs.retain(|dir| dir.is_dir() && !dir.to_string_lossy().ends_with("-labels"));
        dirs.sort();
        dirs.into_iter().map(golden).collect()
    }

    fn golden(dir: PathBuf) -> (PathBuf, PackedBatch, Vec<f32>) {
        let text = std::fs::read(dir.join("golden.json")).unwrap();
        let golden: Value = serde_json::from_slice(&text).unwrap();
        let (mut batch, mut logits) = (PackedBatch::with_capacity(0), Vec::new());
        for pair in golden["pairs"].as_array().unwrap() {
            let numbers = |name: &str| {
                pair[name]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|n| n.as_u64().unwrap())
                    .collect::<Vec<_>>()
            };
            let ids: Vec<u32> = numbers("ids").iter().map(|&id| id as u32).collect();
            let types: Vec<u8> = numbers("types").iter().map(|&kind| kind as u8).collect();
            batch.push(&ids, &types);
            logits.push(pair["logit"].as_f64().unwrap() as f32);
        }
        (dir, batch, logits)
    }

    #[test]
    fn half_precision_is_near_transformers_in_float32() {
        let device = Device::open_with(Backend::Flex, Kernels::Off).unwrap();
        for (dir, batch, expected) in fixtures() {
            let ends = |[low, high]: [f32; 2], &l: &f32| [low.min(l), high.max(l)];
            let [low, high] = expected.iter().fold([f32::MAX, f32::MIN], ends);
            for (precision, [most, mean]) in WITHIN {
                let encoder = CrossEncoder::load_unasked(&dir, &device, precision, None).unwrap();
                let logits = encoder.score(&batch).unwrap();
                assert!(logits.iter().all(|logit| logit.is_finite()), "{logits:?}");
                let off = logits.iter().zip(&expected).map(|(a, e)| (a - e).abs() / (high - low));
                let off: Vec<f32> = off.collect();
                let worst = off.iter().fold(0.0_f32, |worst, off| worst.max(*off));
                let average = off.iter().sum::<f32>() / off.len() as f32;
                let what = format!("{} in {precision}", dir.display());
                assert!(worst <= most && average <= mean, "{what}: {worst:e}, mean {average:e}");
                assert!(average > mean / 1000.0, "{what} is not in half precision");
            }
        }
    }

    #[test]
    fn weights_are_rounded_to_the_nearest_and_ties_to_even() {
        let device = Device::open_with(Backend::Flex, Kernels::Off).unwrap();
        let tie = |bits: i32, odd: f32| 1.0 + odd * 2.0_f32.powi(-bits - 1);
        let values = [
            1.0 / 3.0,
            -2.0 / 3.0,
            tie(7, 1.0),
            tie(7, 3.0).next_down(),
            tie(7, 3.0),
            tie(10, 1.0),
            tie(10, 3.0),
            6e-8,
            65_504.0,
        ];
        let rounded = |precision| {
            let kept = device.keeping(precision);
            let weights = param::<1>(values.to_vec(), [values.len()], (kept.burn(), kept.floats()));
            weights.val().cast(FloatDType::F32).into_data().try_to_vec::<f32>().unwrap()
        };
        assert_eq!(rounded(Precision::F16), values.map(|v| half::f16::from_f32(v).to_f32()));
        assert_eq!(rounded(Precision::Bf16), values.map(|v| half::bf16::from_f32(v).to_f32()));
        assert_eq!(rounded(Precision::F32), values);
    }
}
