//! The layout of sentence-transformers: an encoder without a head, and `modules.json`, which names what stands behind it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::common::{is_off, known_activation};
use super::{
    Activation, ConfigError, Fields, HeadActivation, Labels, ModelConfig, Pooling, Stage, StageNorm,
};
use crate::files;

/// PyTorch's own, which nothing configures.
const LAYER_NORM_EPS: f64 = 1e-5;
/// How a pooled state, and the logit, are called between the modules.
const STATE: &str = "sentence_embedding";
const SCORES: &str = "scores";

/// Fields of `sentence_bert_config.json` that say what this crate does anyway.
const TRANSFORMER_HARMLESS: &[&str] = &["modality_config", "unpad_inputs"];

/// An entry of `modules.json`.
struct Module {
    /// The last part of its class's name.
    class: String,
    /// Its folder, `""` for the directory itself.
    path: String,
}

/// The configuration of an encoder without a head, completed with what stands behind it.
pub(super) fn complete(dir: &Path, config: ModelConfig) -> Result<ModelConfig, ConfigError> {
    let mut files = vec![PathBuf::from(files::MODULES)];
    let modules = list(dir)?;
    let mut modules = modules.iter();
    expect(dir, modules.next(), "Transformer", |module| module.path.is_empty())?;
    let positions = config.positions.min(transformer(dir)?.unwrap_or(usize::MAX));
    let module = expect(dir, modules.next(), "Pooling", |_| true)?;
    files.push(Path::new(&module.path).join(files::CONFIG));
    let pooling = pooling(&dir.join(&module.path), config.hidden_size)?;

    let (mut head, mut width): (Vec<Stage>, _) = (Vec::new(), config.hidden_size);
    let mut has_logit = false;
    for module in modules {
        let folder = dir.join(&module.path);
        files
            .extend([files::CONFIG, files::WEIGHTS].map(|file| Path::new(&module.path).join(file)));
        match (module.class.as_str(), head.last_mut()) {
            _ if has_logit => return Err(unknown(dir, module, "nothing behind the scores")),
            ("Dense", _) => {
                let (stage, output) = dense(&folder, width)?;
                has_logit = output == SCORES;
                width = stage.outputs;
                head.push(stage);
            }
            ("LayerNorm", Some(stage)) if stage.norm.is_none() => {
                stage.norm = Some(layer_norm(&folder, width)?);
            }
            _ => return Err(unknown(dir, module, "Dense, and LayerNorm behind it")),
        }
    }
    match has_logit {
        true => Ok(ModelConfig { positions, pooling, head, module_files: files, ..config }),
        false => Err(ConfigError::Missing {
            path: dir.join(files::MODULES),
            field: format!("a module Dense with module_output_name \"{SCORES}\""),
            supported: "one that gives one score, behind all others".to_owned(),
        }),
    }
}

/// Checks what sentence-transformers keeps beside any model: an activation on top of the logit, and prompts.
pub(super) fn check_settings(dir: &Path, labels: &Labels) -> Result<(), ConfigError> {
    let Some(bytes) = files::read_optional(dir, files::SENTENCE_TRANSFORMERS)? else {
        return Ok(());
    };
    let mut fields = Fields::parse(&dir.join(files::SENTENCE_TRANSFORMERS), &bytes)?;
    known_activation(&mut fields, "activation_fn", labels)?;
    fields.may_be("model_type", |v| v == "CrossEncoder", "\"CrossEncoder\"")?;
    fields.may_be("default_prompt_name", Value::is_null, "texts as they are, without a prompt")?;
    // Prompts that nobody asks for, and versions.
    fields.finish(&["__version__", "prompts", "similarity_fn_name"])
}

fn list(dir: &Path) -> Result<Vec<Module>, ConfigError> {
    let path = dir.join(files::MODULES);
    let bytes = files::read(dir, files::MODULES)?;
    let json = |source| ConfigError::Json { path: path.clone(), source };
    let entries: Vec<Value> = serde_json::from_slice(&bytes).map_err(json)?;
    let module = |entry: &Value| {
        let text = |field| entry.get(field).and_then(Value::as_str);
        // A folder beside the others, and nothing above.
        let path = text("path").filter(|path| !path.contains(['/', '\\']) && *path != "..")?;
        let class = text("type")?.rsplit('.').next()?;
        Some(Module { class: class.to_owned(), path: path.to_owned() })
    };
    let modules: Option<Vec<Module>> = entries.iter().map(module).collect();
    modules.ok_or_else(|| ConfigError::Missing {
        path: path.clone(),
        field: "type or path of a module".to_owned(),
        supported: "a class of sentence-transformers, and a folder of this directory".to_owned(),
    })
}

fn expect<'m>(
    dir: &Path,
    module: Option<&'m Module>,
    class: &str,
    accepts: impl Fn(&Module) -> bool,
) -> Result<&'m Module, ConfigError> {
    match module {
        Some(module) if module.class == class && accepts(module) => Ok(module),
        Some(module) => Err(unknown(dir, module, class)),
        None => Err(ConfigError::Missing {
            path: dir.join(files::MODULES),
            field: format!("a module {class}"),
            supported: "Transformer, Pooling, Dense".to_owned(),
        }),
    }
}

fn unknown(dir: &Path, module: &Module, supported: &str) -> ConfigError {
    ConfigError::Unsupported {
        path: dir.join(files::MODULES),
        field: format!("the module in \"{}\"", module.path),
        value: module.class.clone(),
        supported: supported.to_owned(),
    }
}

/// How a bi-encoder makes one state of those of its tokens; by their mean where it does not say.
#[cfg(feature = "train")]
pub(crate) fn embedding_pooling(dir: &Path, hidden: usize) -> Result<Pooling, ConfigError> {
    if files::read_optional(dir, files::MODULES)?.is_none() {
        return Ok(Pooling::Mean);
    }
    let module = list(dir)?.into_iter().find(|module| module.class == "Pooling");
    module.map_or(Ok(Pooling::Mean), |module| pooling(&dir.join(&module.path), hidden))
}

/// Tokens of a pair at most, where the transformer's own settings say so.
fn transformer(dir: &Path) -> Result<Option<usize>, ConfigError> {
    let Some(bytes) = files::read_optional(dir, files::SENTENCE_BERT)? else { return Ok(None) };
    let mut fields = Fields::parse(&dir.join(files::SENTENCE_BERT), &bytes)?;
    let task = "\"feature-extraction\"";
    fields.may_be("transformer_task", |v| v == "feature-extraction", task)?;
    fields.may_be("module_output_name", |v| v == "token_embeddings", "\"token_embeddings\"")?;
    for field in ["do_lower_case", "processing_kwargs"] {
        fields.may_be(field, is_off, "texts as they are")?;
    }
    let limit = match fields.take("max_seq_length") {
        None => None,
        Some(value) => {
            let limit = value.as_u64().filter(|&limit| limit > 0);
            let refused = || fields.unsupported("max_seq_length", &value, "a number of tokens");
            Some(usize::try_from(limit.ok_or_else(refused)?).unwrap_or(usize::MAX))
        }
    };
    fields.finish(TRANSFORMER_HARMLESS)?;
    Ok(limit)
}

fn pooling(folder: &Path, hidden: usize) -> Result<Pooling, ConfigError> {
    let mut fields =
        Fields::parse(&folder.join(files::CONFIG), &files::read(folder, files::CONFIG)?)?;
    for field in ["embedding_dimension", "word_embedding_dimension"] {
        fields.may_be(field, |v| *v == hidden, &format!("the hidden size, {hidden}"))?;
    }
    fields.may_be("include_prompt", |v| *v == true, "true")?;
    // Older releases have a switch for each mode.
    let old =
        [("pooling_mode_cls_token", Pooling::First), ("pooling_mode_mean_tokens", Pooling::Mean)];
    let mut chosen = Vec::new();
    for (field, pooling) in old {
        if fields.flag(field, false)? {
            chosen.push(pooling);
        }
    }
    for field in ["max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"] {
        fields.may_be(&format!("pooling_mode_{field}"), is_off, "cls, mean")?;
    }
    let mode = fields.take("pooling_mode");
    match mode.as_ref().map(|mode| mode.as_str()) {
        None => {}
        Some(Some("cls")) => chosen.push(Pooling::First),
        Some(Some("mean")) => chosen.push(Pooling::Mean),
        Some(_) => {
            return Err(fields.unsupported("pooling_mode", &mode.unwrap_or_default(), "cls, mean"));
        }
    }
    let &[pooling] = &*chosen else {
        return Err(fields.missing("pooling_mode", "cls or mean, one of them"));
    };
    fields.finish(&[])?;
    Ok(pooling)
}

/// A linear layer, and what its output is called.
fn dense(folder: &Path, width: usize) -> Result<(Stage, String), ConfigError> {
    let mut fields =
        Fields::parse(&folder.join(files::CONFIG), &files::read(folder, files::CONFIG)?)?;
    let before = format!("what comes out of the module before, {width}");
    fields.must_be("in_features", |v| *v == width, &before)?;
    fields.may_be("module_input_name", |v| v == STATE, &format!("\"{STATE}\""))?;
    fields.may_be("use_residual", is_off, "off")?;
    let outputs = fields.size("out_features", None)?;
    let bias = fields.flag("bias", true)?;
    let activation = dense_activation(&mut fields)?;
    let output = match fields.take("module_output_name") {
        None => STATE.to_owned(),
        Some(Value::String(name)) if name == STATE => name,
        // The order is that of logits; a sigmoid on top of them, too, is for readers.
        Some(Value::String(name)) if name == SCORES && outputs == 1 && activation.is_none() => name,
        Some(value) => {
            let supported =
                format!("\"{STATE}\", or \"{SCORES}\" for one number without activation");
            return Err(fields.unsupported("module_output_name", &value, &supported));
        }
    };
    fields.finish(&[])?;
    let (name, folder) = ("linear".to_owned(), Some(folder.to_path_buf()));
    Ok((Stage { folder, name, outputs, bias, activation, norm: None }, output))
}

fn dense_activation(fields: &mut Fields) -> Result<Option<HeadActivation>, ConfigError> {
    const FIELD: &str = "activation_function";
    // As sentence-transformers has it where nothing is said.
    let Some(value) = fields.take(FIELD) else { return Ok(Some(HeadActivation::Tanh)) };
    match value.as_str().and_then(|path| path.rsplit('.').next()) {
        Some("Identity") => Ok(None),
        Some("Tanh") => Ok(Some(HeadActivation::Tanh)),
        Some("GELU") => Ok(Some(HeadActivation::Of(Activation::GeluErf))),
        Some("ReLU") => Ok(Some(HeadActivation::Of(Activation::Relu))),
        _ => Err(fields.unsupported(FIELD, &value, "Identity, Tanh, GELU, ReLU")),
    }
}

fn layer_norm(folder: &Path, width: usize) -> Result<StageNorm, ConfigError> {
    let mut fields =
        Fields::parse(&folder.join(files::CONFIG), &files::read(folder, files::CONFIG)?)?;
    let before = format!("what comes out of the module before, {width}");
    fields.must_be("dimension", |v| *v == width, &before)?;
    fields.finish(&[])?;
    let (name, folder) = ("norm".to_owned(), Some(folder.to_path_buf()));
    Ok(StageNorm { folder, name, bias: true, epsilon: LAYER_NORM_EPS })
}
