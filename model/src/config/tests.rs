use serde_json::{Value, json};

use super::*;

fn good() -> Value {
    json!({
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": 384,
        "id2label": {"0": "LABEL_0"},
        "intermediate_size": 1536,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "num_attention_heads": 12,
        "num_hidden_layers": 6,
        "type_vocab_size": 2,
        "vocab_size": 30522,
    })
}

fn parse(config: &Value) -> Result<ModelConfig, ConfigError> {
    let path = Path::new("dir/config.json");
    ModelConfig::parse_file(path, config.to_string().as_bytes()).map(|(config, _)| config)
}

fn with(field: &str, value: Value) -> Result<ModelConfig, ConfigError> {
    let mut config = good();
    config[field] = value;
    parse(&config)
}

#[track_caller]
fn refused(field: &str, value: Value) {
    let error = with(field, value.clone()).expect_err(field).to_string();
    assert!(error.starts_with("dir/config.json: "), "{error}");
    assert!(error.contains(field), "{error}");
}

#[test]
fn every_size_and_option_is_read() {
    let config = parse(&good()).unwrap();
    let sizes = [config.vocab_size, config.hidden_size, config.intermediate_size, config.layers];
    assert_eq!(sizes, [30522, 384, 1536, 6]);
    assert_eq!([config.heads, config.positions, config.types], [12, 512, 2]);
    assert_eq!(config.layer_norm_eps, 1e-12);
    assert_eq!(config.activation, Activation::GeluErf);
    assert!(!config.quantized);
    assert_eq!(with("layer_norm_eps", json!(0.1)).unwrap().layer_norm_eps, 0.1);
    for act in ["gelu_new", "gelu_pytorch_tanh"] {
        assert_eq!(with("hidden_act", json!(act)).unwrap().activation, Activation::GeluTanh);
    }
    assert_eq!(with("hidden_act", json!("relu")).unwrap().activation, Activation::Relu);
}

#[test]
fn a_value_that_is_not_computed_is_refused_with_the_field_and_what_is_supported() {
    refused("architectures", json!(["BertForMaskedLM"]));
    refused("architectures", json!([]));
    refused("model_type", json!("roberta"));
    refused("hidden_act", json!("silu"));
    refused("hidden_act", json!(["gelu"]));
    refused("position_embedding_type", json!("relative_key"));
    refused("is_decoder", json!(true));
    refused("add_cross_attention", json!(true));
    refused("is_encoder_decoder", json!(true));
    refused("pruned_heads", json!({"0": [1]}));
    refused("use_bfloat16", json!(1));
    refused("auto_map", json!({"AutoModel": "code.Model"}));
    refused("quantization_config", json!({"bits": 4}));
    refused("id2label", json!({}));
    refused("num_labels", json!(2));
    refused("layer_norm_eps", json!("small"));
    refused("layer_norm_eps", json!(-1e-12));
    refused("type_vocab_size", json!(1));
    refused("num_attention_heads", json!(7));
    refused("hidden_size", json!(0));
    refused("vocab_size", json!(1.5));
    refused("num_hidden_layers", json!(1u64 << 40));
    let error = with("hidden_act", json!("silu")).unwrap_err().to_string();
    assert_eq!(
        error,
        "dir/config.json: hidden_act is \"silu\"; supported: gelu, gelu_new, gelu_pytorch_tanh, relu"
    );
}

/// The configuration of a fixture, with one field changed.
fn of_fixture(name: &str, field: &str, value: Value) -> Result<ModelConfig, ConfigError> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    let text = std::fs::read_to_string(dir.join(files::CONFIG)).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config[field] = value;
    ModelConfig::parse(&dir, config.to_string().as_bytes())
}

#[test]
fn every_architecture_refuses_what_it_does_not_compute() {
    for (name, field, value) in [
        ("tiny-roberta", "pad_token_id", json!(99)),
        ("tiny-roberta", "pad_token_id", json!(-1)),
        ("tiny-roberta", "position_embedding_type", json!("relative_key")),
        ("tiny-roberta", "num_attention_heads", json!(4)),
        ("tiny-xlm-roberta", "model_type", json!("roberta")),
        ("tiny-xlm-roberta", "id2label", json!({"0": "no", "1": "no"})),
        ("tiny-distilbert", "n_heads", json!(7)),
        ("tiny-distilbert", "activation", json!("silu")),
        ("tiny-distilbert", "hidden_size", json!(24)),
        ("tiny-electra", "type_vocab_size", json!(1)),
        ("tiny-electra", "embedding_size", json!(0)),
        ("tiny-mpnet", "relative_attention_num_buckets", json!(64)),
        ("tiny-mpnet", "max_position_embeddings", json!(2)),
        ("tiny-mpnet", "type_vocab_size", json!(2)),
        ("tiny-deberta-v2", "relative_attention", json!(false)),
        ("tiny-deberta-v2", "share_att_key", json!(false)),
        ("tiny-deberta-v2", "pos_att_type", json!("c2p")),
        ("tiny-deberta-v2", "position_buckets", json!(-1)),
        ("tiny-deberta-v2", "max_relative_positions", json!(1)),
        ("tiny-deberta-v2", "norm_rel_ebd", json!("rms_norm")),
        ("tiny-deberta-v2", "conv_kernel_size", json!(3)),
        ("tiny-deberta-v2", "embedding_size", json!(12)),
        ("tiny-deberta-v2", "pooler_hidden_size", json!(12)),
        ("tiny-modernbert", "num_attention_heads", json!(4)),
        ("tiny-modernbert", "classifier_pooling", json!("max")),
        ("tiny-modernbert", "layer_types", json!(["full_attention"])),
        ("tiny-modernbert", "layer_types", json!(["full_attention", "linear", "linear", "linear"])),
        ("tiny-modernbert", "rope_parameters", json!({"full_attention": {"rope_type": "yarn"}})),
        ("tiny-modernbert", "rope_parameters", json!({"full_attention": {"factor": 2.0}})),
        ("tiny-modernbert", "rope_parameters", json!({"other": {}})),
        ("tiny-modernbert", "rope_scaling", json!({"type": "linear"})),
        ("tiny-modernbert", "global_rope_theta", json!(0)),
        ("tiny-modernbert", "norm_bias", json!("yes")),
        ("tiny-modernbert", "soft_capping", json!(1.0)),
    ] {
        let asked = format!("{name} with {field} = {value}");
        let error = of_fixture(name, field, value).expect_err(&asked).to_string();
        let field = field.rsplit('.').next().unwrap();
        assert!(error.contains(field) || error.contains("rope"), "{asked}: {error}");
    }
}

#[test]
fn older_modernbert_configurations_mean_the_same() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tiny-modernbert");
    let text = std::fs::read_to_string(dir.join(files::CONFIG)).unwrap();
    let mut old: Value = serde_json::from_str(&text).unwrap();
    let fields = old.as_object_mut().unwrap();
    fields.remove("rope_parameters");
    fields.remove("layer_types");
    fields.insert("global_attn_every_n_layers".to_owned(), json!(3));
    fields.insert("global_rope_theta".to_owned(), json!(160_000.0));
    fields.insert("local_rope_theta".to_owned(), json!(10_000.0));
    fields.insert("position_embedding_type".to_owned(), json!("absolute"));
    let old = ModelConfig::parse(&dir, old.to_string().as_bytes()).unwrap();
    assert_eq!(old, ModelConfig::parse(&dir, text.as_bytes()).unwrap());
}

#[test]
fn a_module_that_is_not_computed_is_refused_with_its_file() {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tiny-modernbert-modules");
    let refused = |file: &str, old: &str, new: &str, expected: &str| {
        let keep = tempfile::tempdir().unwrap();
        for file in std::iter::once("config.json")
            .chain(["modules.json", "sentence_bert_config.json"])
            .chain(["config_sentence_transformers.json", "1_Pooling/config.json"])
            .chain(["2_Dense/config.json", "3_LayerNorm/config.json", "4_Dense/config.json"])
        {
            let to = keep.path().join(file);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(from.join(file), to).unwrap();
        }
        assert!(ModelConfig::read(keep.path()).is_ok());
        let path = keep.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{file}: {text}");
        std::fs::write(&path, text.replace(old, new)).unwrap();
        let error = ModelConfig::read(keep.path()).expect_err(new).to_string();
        assert!(error.contains(file) && error.contains(expected), "{error}");
    };
    refused("1_Pooling/config.json", "\"cls\"", "\"max\"", "pooling_mode");
    refused("1_Pooling/config.json", "24", "25", "embedding_dimension");
    refused("2_Dense/config.json", "GELU", "SiLU", "activation_function");
    refused("2_Dense/config.json", "\"in_features\": 24", "\"in_features\": 25", "in_features");
    refused("2_Dense/config.json", "{", "{\"use_residual\": true,", "use_residual");
    refused("4_Dense/config.json", "Identity", "Tanh", "module_output_name");
    refused("4_Dense/config.json", "\"scores\"", "\"logits\"", "module_output_name");
    refused("3_LayerNorm/config.json", "20", "24", "dimension");
    refused("modules.json", "layer_norm.LayerNorm", "normalize.Normalize", "Normalize");
    refused("modules.json", "\"4_Dense\"", "\"../4_Dense\"", "path");
    refused("sentence_bert_config.json", "{", "{\"do_lower_case\": true,", "do_lower_case");
    refused("sentence_bert_config.json", "{", "{\"max_seq_length\": 0,", "max_seq_length");
    let settings = "config_sentence_transformers.json";
    refused(settings, "Sigmoid", "Tanh", "activation_fn");
    refused(settings, "\"default_prompt_name\": null", "\"default_prompt_name\": \"q\"", "prompt");
}

#[test]
fn a_missing_size_is_named() {
    for field in ["hidden_size", "vocab_size", "architectures", "model_type"] {
        let mut config = good();
        config.as_object_mut().unwrap().remove(field);
        let error = parse(&config).unwrap_err().to_string();
        assert!(error.contains(&format!("{field} is missing")), "{error}");
    }
}

#[test]
fn unknown_fields_are_refused_unless_null_or_private() {
    refused("soft_capping", json!(30.0));
    refused("soft_capping", json!(false));
    assert!(with("soft_capping", json!(null)).is_ok());
    assert!(with("_name_or_path", json!("some/where")).is_ok());
    assert!(with("hidden_dropout_prob", json!(0.1)).is_ok());
}

#[test]
fn an_activation_on_top_of_the_logit_must_be_identity_or_sigmoid() {
    let st = |activation: &str| json!({"activation_fn": activation, "version": "5.0.0"});
    for known in ["torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Sigmoid"] {
        assert!(with("sentence_transformers", st(known)).is_ok(), "{known}");
        assert!(with("sbert_ce_default_activation_function", json!(known)).is_ok(), "{known}");
    }
    refused("sentence_transformers", st("torch.nn.modules.activation.Tanh"));
    refused("sentence_transformers", json!({"prompts": {"query": "query: "}}));
    refused("sentence_transformers", json!("5.0.0"));
    refused("sbert_ce_default_activation_function", json!("torch.nn.modules.activation.Tanh"));
    // The sigmoid of log-odds is a softmax.
    refused("sentence_transformers", st("torch.nn.modules.activation.Softmax"));
    let several = |activation: &str| {
        let mut config = good();
        config["id2label"] = json!({"0": "no", "1": "yes"});
        config["sentence_transformers"] = st(activation);
        parse(&config)
    };
    assert!(several("torch.nn.modules.linear.Identity").is_ok());
    assert!(several("torch.nn.modules.activation.Softmax").is_ok());
    assert!(several("torch.nn.modules.activation.Sigmoid").is_err());
}

#[test]
fn a_file_that_is_no_object_is_an_error() {
    for text in ["", "{", "[]", "{\"a\": 1}}", "\u{0}"] {
        let error = ModelConfig::parse_file(Path::new("c"), text.as_bytes()).unwrap_err();
        assert!(matches!(error, ConfigError::Json { .. }), "{text}: {error}");
    }
}

#[test]
fn the_tokenizers_own_limit_counts() {
    let dir = tempfile::tempdir().unwrap();
    let config = parse(&good()).unwrap();
    assert_eq!(tokens_max(dir.path(), &config).unwrap(), 512);
    for (text, expected) in [
        (r#"{"model_max_length": 128}"#, 128),
        (r#"{"model_max_length": 1e30}"#, 512),
        (r#"{"model_max_length": 1000000000000000019884624838656}"#, 512),
        (r#"{}"#, 512),
    ] {
        std::fs::write(dir.path().join(files::TOKENIZER_CONFIG), text).unwrap();
        assert_eq!(tokens_max(dir.path(), &config).unwrap(), expected, "{text}");
    }
    std::fs::write(dir.path().join(files::TOKENIZER_CONFIG), r#"{"model_max_length": "long"}"#)
        .unwrap();
    let error = tokens_max(dir.path(), &config).unwrap_err().to_string();
    assert!(error.contains("model_max_length is \"long\""), "{error}");
}
