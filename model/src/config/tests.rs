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
    ModelConfig::parse(Path::new("dir"), config.to_string().as_bytes())
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
    refused("id2label", json!({"0": "no", "1": "yes"}));
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

#[test]
fn a_missing_size_is_named() {
    for field in ["hidden_size", "vocab_size", "architectures", "model_type", "id2label"] {
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
}

#[test]
fn a_file_that_is_no_object_is_an_error() {
    for text in ["", "{", "[]", "{\"a\": 1}}", "\u{0}"] {
        let error = ModelConfig::parse(Path::new("c"), text.as_bytes()).unwrap_err();
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
