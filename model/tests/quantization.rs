//! int8: close to float32, the same from a quantised directory, and refused where that is not right.

mod support;

use std::path::{Path, PathBuf};

use crossrank_model::{
    CrossEncoder, Device, LoadError, Precision, QuantizeError, WeightsError, quantize,
};
use safetensors::{Dtype, SafeTensors};
use support::copy::{Copy, Tensors, says};
use support::{
    FIXTURES, cpus, fixture, golden, golden_pairs, noted, pack, with_kernels, without_kernels,
};

/// Largest and mean difference between int8 and float32 logits, in standard deviations of the logits. Networks of 24
/// channels and random weights suffer most: of a real one, what its words and last layer add by being rounded is 0.007 on
/// average.
const WORST: f32 = 0.4;
const MEAN: f32 = 0.12;

const LAYER: &str = "bert.encoder.layer.0";
const LAST: &str = "bert.encoder.layer.1";

fn device() -> Device {
    cpus().into_iter().next().expect("a CPU backend is compiled in")
}

fn every_cpu() -> Vec<Device> {
    with_kernels().into_iter().chain(without_kernels()).collect()
}

fn score(dir: &Path, device: &Device, precision: Precision, name: &str) -> Vec<f32> {
    let encoder = CrossEncoder::load(dir, device, precision).unwrap();
    encoder.score(&pack(&golden_pairs(name))).unwrap()
}

/// A quantised fixture, to be broken.
fn quantized(name: &str) -> Copy {
    let mut copy = Copy::of(name);
    let to = copy.dir.with_file_name("a-quantized-model");
    quantize(&copy.dir, &to).unwrap();
    copy.dir = to;
    copy
}

#[track_caller]
fn refused(copy: Copy, parts: &[&str]) {
    let error = CrossEncoder::load(&copy.dir, &device(), Precision::Int8).unwrap_err();
    says(&error, &copy.dir, parts);
}

fn set(tensors: &mut Tensors, name: &str, value: f32) {
    let tensor = tensors.get_mut(name).unwrap_or_else(|| panic!("{name} is there"));
    assert_eq!(tensor.0, Dtype::F32, "{name}");
    tensor.2[..4].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn int8_logits_are_close_to_those_of_transformers() {
    for name in FIXTURES {
        let expected: Vec<f32> = golden(name).pairs.iter().map(|pair| pair.logit).collect();
        let count = expected.len() as f32;
        let mean = expected.iter().sum::<f32>() / count;
        let deviation =
            (expected.iter().map(|logit| (logit - mean).powi(2)).sum::<f32>() / count).sqrt();
        let mut all = [0.0_f32; 2];
        for device in every_cpu() {
            let logits = score(&fixture(name), &device, Precision::Int8, name);
            let off: Vec<f32> =
                logits.iter().zip(&expected).map(|(a, e)| (a - e).abs() / deviation).collect();
            let worst = off.iter().fold(0.0_f32, |worst, off| worst.max(*off));
            let mean = off.iter().sum::<f32>() / count;
            let what = format!("{name} in int8 on {}", device.name());
            all = [all[0].max(worst), all[1].max(mean)];
            assert!(worst <= WORST && mean <= MEAN, "{what}: {worst}, on average {mean}");
            assert!(worst > 0.0, "{what}: nothing was rounded");
        }
        let figures = format!("{:.3} of a deviation at most, {:.3} on average", all[0], all[1]);
        noted("quantization", &format!("{name}: {figures}"));
    }
}

/// The same function in float32, with a few channels `2^6` times as large on the way into a linear layer.
fn with_large_channels(tensors: &mut Tensors) {
    let mut scale =
        |name: &str, rows: usize, columns: usize, by: f32, chosen: fn(usize, usize) -> bool| {
            let tensor = tensors.get_mut(name).unwrap_or_else(|| panic!("{name} is there"));
            assert_eq!((tensor.0, tensor.2.len()), (Dtype::F32, 4 * rows * columns), "{name}");
            for (at, bytes) in tensor.2.as_chunks_mut().0.iter_mut().enumerate() {
                if chosen(at / columns, at % columns) {
                    *bytes = (f32::from_le_bytes(*bytes) * by).to_le_bytes();
                }
            }
        };
    for (from, to, inner) in [
        ("intermediate.dense", "output.dense", 64),
        ("attention.self.value", "attention.output.dense", 24),
    ] {
        scale(&format!("{LAYER}.{from}.weight"), inner, 24, 64.0, |row, _| row % 7 == 3);
        scale(&format!("{LAYER}.{from}.bias"), inner, 1, 64.0, |row, _| row % 7 == 3);
        scale(&format!("{LAYER}.{to}.weight"), 24, inner, 1.0 / 64.0, |_, column| column % 7 == 3);
    }
}

#[test]
fn channels_far_larger_than_others_cost_the_others_no_digits() {
    let name = "tiny-bert-relu";
    let copy = Copy::of(name).edit_tensors(with_large_channels);
    for device in every_cpu() {
        let [even, uneven] = [&fixture(name), &copy.dir].map(|dir| {
            let float = score(dir, &device, Precision::F32, name);
            let int8 = score(dir, &device, Precision::Int8, name);
            let off = float.iter().zip(int8).map(|(float, int8)| (float - int8).abs());
            off.sum::<f32>() / float.len() as f32
        });
        let what = format!("{uneven} off on average, beside {even}, on {}", device.name());
        assert!(uneven <= 1.5 * even, "{what}");
    }
}

#[test]
fn a_quantized_directory_scores_bit_for_bit_as_quantizing_at_load_does() {
    for name in FIXTURES {
        let copy = quantized(name);
        for device in every_cpu() {
            let at_load = score(&fixture(name), &device, Precision::Int8, name);
            let stored = score(&copy.dir, &device, Precision::Int8, name);
            assert_eq!(stored, at_load, "{name} on {}", device.name());
        }
    }
}

#[test]
fn a_quantized_directory_is_smaller_and_holds_no_float_weights_of_its_layers() {
    let copy = quantized("tiny-bert");
    let size = |dir: &Path| std::fs::metadata(dir.join("model.safetensors")).unwrap().len();
    assert!(size(&copy.dir) < size(&fixture("tiny-bert")));
    let bytes = std::fs::read(copy.dir.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let dtype = |name: &str| file.tensor(name).unwrap().dtype();
    for part in [
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
    ] {
        assert_eq!(dtype(&format!("{LAYER}.{part}.weight")), Dtype::I8, "{part}");
        assert_eq!(dtype(&format!("{LAYER}.{part}.weight_step")), Dtype::F32, "{part}");
    }
    // Words, and the last layer, where few tokens come: rounded for their size, with inputs that are not.
    for name in [
        "bert.embeddings.word_embeddings".to_owned(),
        format!("{LAST}.attention.self.query"),
        format!("{LAST}.output.dense"),
    ] {
        assert_eq!(dtype(&format!("{name}.weight")), Dtype::I8, "{name}");
        assert_eq!(dtype(&format!("{name}.weight_step")), Dtype::F32, "{name}");
        file.tensor(&format!("{name}.weight_smoothing")).unwrap_err();
    }
    assert_eq!(dtype(&format!("{LAST}.attention.self.value.weight_smoothing")), Dtype::F32);
    for name in ["bert.pooler.dense.weight", "classifier.weight"] {
        assert_eq!(dtype(name), Dtype::F32, "{name}");
    }
}

#[test]
fn a_quantized_directory_has_all_that_the_model_it_was_made_from_has() {
    let (from, to) = (Copy::of("tiny-bert-relu"), quantized("tiny-bert-relu"));
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        let read = |dir: &Path| std::fs::read(dir.join(file)).unwrap();
        assert_eq!(read(&from.dir), read(&to.dir), "{file}");
    }
    let load = |dir| CrossEncoder::load(dir, &device(), Precision::Int8).unwrap();
    assert_eq!(load(&from.dir).tokens_max(), load(&to.dir).tokens_max());
    assert_ne!(load(&from.dir).revision(), load(&to.dir).revision());
    // Without its optional file, too.
    let from = from.remove("tokenizer_config.json");
    let to = from.dir.with_file_name("other");
    quantize(&from.dir, &to).unwrap();
    assert!(!to.join("tokenizer_config.json").try_exists().unwrap());
}

/// An int8 tensor becomes the floats that it stands for, without a step.
fn widen(tensors: &mut Tensors, name: &str) {
    let step = tensors.remove(&format!("{name}_step")).unwrap();
    let (dtype, shape, bytes) = tensors.get_mut(name).unwrap();
    assert_eq!(*dtype, Dtype::I8, "{name}");
    let steps = step.2.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    let rows = bytes.chunks_exact(shape[1]).zip(steps);
    let floats = rows.flat_map(|(row, step)| {
        row.iter().flat_map(move |&unit| (f32::from(unit.cast_signed()) * step).to_le_bytes())
    });
    *bytes = floats.collect();
    *dtype = Dtype::F32;
}

#[test]
fn a_directory_with_words_and_last_layer_in_float32_scores_as_the_int8_that_they_equal() {
    let name = "tiny-bert";
    let now = quantized(name);
    let before = quantized(name).edit_tensors(|tensors| {
        widen(tensors, "bert.embeddings.word_embeddings.weight");
        for part in
            ["attention.self.query", "attention.output.dense", "intermediate.dense", "output.dense"]
        {
            widen(tensors, &format!("{LAST}.{part}.weight"));
        }
    });
    for device in every_cpu() {
        let [now, before] =
            [&now.dir, &before.dir].map(|dir| score(dir, &device, Precision::Int8, name));
        assert_eq!(now, before, "on {}", device.name());
    }
}

#[test]
fn float32_of_int8_weights_is_refused() {
    let copy = quantized("tiny-bert");
    let error = CrossEncoder::load(&copy.dir, &device(), Precision::F32).unwrap_err();
    assert!(matches!(&error, LoadError::Quantized(dir) if *dir == copy.dir), "{error}");
    says(&error, &copy.dir, &["holds int8 weights", "choose precision int8, or the model"]);
}

#[test]
fn quantizing_twice_is_refused() {
    let copy = quantized("tiny-bert");
    let error = quantize(&copy.dir, &copy.dir.with_file_name("again")).unwrap_err();
    assert!(matches!(&error, QuantizeError::Already(dir) if *dir == copy.dir), "{error}");
    says(
        &error,
        &copy.dir,
        &["holds int8 weights already", "quantize the model that it was made from"],
    );
}

#[test]
fn a_target_that_is_there_is_left_alone() {
    let copy = Copy::of("tiny-bert-relu");
    let (dir, file) = (copy.dir.with_file_name("there"), copy.dir.with_file_name("a-file"));
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(&file, "mine").unwrap();
    for to in [&dir, &file, &copy.dir] {
        let error = quantize(&copy.dir, to).unwrap_err();
        assert!(matches!(&error, QuantizeError::Exists(path) if path == to), "{error}");
        says(&error, &copy.dir, &["exists; name a directory that does not, or remove it"]);
    }
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

/// What lies beside the model.
fn beside(copy: &Copy) -> Vec<PathBuf> {
    let parent = copy.dir.parent().unwrap();
    std::fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_target_may_end_in_a_slash() {
    let copy = Copy::of("tiny-bert-relu");
    let to = copy.dir.with_file_name("made/");
    quantize(&copy.dir, &to).unwrap();
    assert!(CrossEncoder::load(&to, &device(), Precision::Int8).is_ok());
    assert_eq!(beside(&copy).len(), 2, "{:?}", beside(&copy));
}

#[test]
fn a_model_that_is_refused_leaves_nothing_behind() {
    let copy = Copy::of("tiny-bert-relu")
        .edit_tensors(|tensors| drop(tensors.remove("classifier.bias").unwrap()));
    let error = quantize(&copy.dir, &copy.dir.with_file_name("made")).unwrap_err();
    assert!(matches!(error, QuantizeError::Load(LoadError::Weights(_))), "{error}");
    says(&error, &copy.dir, &["model.safetensors: tensor classifier.bias [1] is missing"]);
    assert_eq!(beside(&copy), std::slice::from_ref(&copy.dir));
    let error = quantize(&fixture("tiny-bert-relu"), &copy.dir.join("no/where")).unwrap_err();
    assert!(matches!(error, QuantizeError::Write { .. }), "{error}");
    says(&error, &copy.dir, &["cannot write no/where"]);
}

#[test]
fn a_missing_step_or_smoothing_is_named() {
    let of_layer = ["weight_step", "weight_smoothing", "weight", "bias"]
        .map(|tensor| format!("{LAYER}.intermediate.dense.{tensor}"));
    let rounded = ["bert.embeddings.word_embeddings", &format!("{LAST}.output.dense")]
        .map(|layer| format!("{layer}.weight_step"));
    for name in of_layer.into_iter().chain(rounded) {
        let copy = quantized("tiny-bert-relu").edit_tensors(|t| drop(t.remove(&name).unwrap()));
        refused(copy, &["model.safetensors: tensor", &name, "is missing"]);
    }
}

#[test]
fn a_step_or_smoothing_that_is_not_above_zero_is_refused() {
    for tensor in ["weight_step", "weight_smoothing"] {
        let name = format!("{LAYER}.output.dense.{tensor}");
        for value in [0.0, -1.0] {
            let copy = quantized("tiny-bert-relu").edit_tensors(|t| set(t, &name, value));
            refused(copy, &[&name, "holds a value that is not above 0; quantize the model again"]);
        }
        for value in [f32::NAN, f32::INFINITY] {
            let copy = quantized("tiny-bert-relu").edit_tensors(|t| set(t, &name, value));
            refused(copy, &[&name, "holds a value that is not finite"]);
        }
    }
}

#[test]
fn layers_that_read_the_same_input_must_smooth_it_the_same() {
    for (layer, parts) in [(LAYER, ["query", "value"]), (LAST, ["key", "value"])] {
        let [first, name] =
            parts.map(|part| format!("{layer}.attention.self.{part}.weight_smoothing"));
        let copy = quantized("tiny-bert-relu").edit_tensors(|t| set(t, &name, 77.0));
        let error = CrossEncoder::load(&copy.dir, &device(), Precision::Int8).unwrap_err();
        assert!(matches!(error, LoadError::Weights(WeightsError::Unequal { .. })), "{error}");
        says(&error, &copy.dir, &[&format!("tensors {name} and {first} differ")]);
    }
}

#[test]
fn a_wrong_number_format_or_shape_is_named() {
    let name = format!("{LAYER}.output.dense.weight");
    let unsigned = |t: &mut Tensors| t.get_mut(&name).unwrap().0 = Dtype::U8;
    refused(quantized("tiny-bert-relu").edit_tensors(unsigned), &[&name, "is U8; supported: I8"]);
    let floats = |t: &mut Tensors| {
        let tensor = t.get_mut(&name).unwrap();
        *tensor = (Dtype::F32, tensor.1.clone(), vec![0; 4 * tensor.2.len()]);
    };
    refused(quantized("tiny-bert-relu").edit_tensors(floats), &[&name, "is F32; supported: I8"]);
    let turned = |t: &mut Tensors| t.get_mut(&name).unwrap().1.reverse();
    let parts = [&*name, "is [64, 24]; config.json asks for [24, 64]"];
    refused(quantized("tiny-bert-relu").edit_tensors(turned), &parts);
}

#[test]
fn int8_weights_that_config_json_does_not_speak_of_are_refused() {
    let copy = quantized("tiny-bert-relu").edit_json("config.json", |c| {
        drop(c.as_object_mut().unwrap().remove("quantization_config"))
    });
    refused(copy, &["weight", "is I8; supported: F32, F16, BF16"]);
    let copy = quantized("tiny-bert-relu").edit_json("config.json", |c| {
        c["quantization_config"] = serde_json::json!({"quant_method": "gptq"});
    });
    refused(copy, &["config.json: quantization_config", "gptq", "crossrank model quantize"]);
}
