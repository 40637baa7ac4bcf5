use std::time::Duration;

use super::Check;
use crate::config::{Reranking, raw};
use crate::hub::BUNDLED;
use crate::{context, engine, rank, telemetry, wire, worker};

/// `[CLS] query [SEP] passage [SEP]`
const SPECIAL_TOKENS: usize = 3;
pub(super) fn checked(check: &mut Check<'_>) -> Option<Reranking> {
    let model = super::model::checked(check);
    let engine = engine(check);
    let limits = limits(check);
    let context = context(check);
    let telemetry = telemetry(check);
    let values = &check.raw.values;
    Some(Reranking {
        model: model?,
        engine,
        limits,
        cuts: rank::Cuts { top_n: values.rank.top_n, min_score: values.rank.min_score },
        context,
        deadlines: deadlines(&values.worker, &values.kafka),
        context_tokenizer: values.context.tokenizer.clone().filter(|_| values.context.enabled),
        results: match values.output.results {
            raw::Results::Full => wire::Results::Full,
            raw::Results::Ids => wire::Results::Ids,
        },
        telemetry,
    })
}

fn engine(check: &mut Check<'_>) -> engine::Settings {
    let raw::Values { model, engine, .. } = &check.raw.values;
    if let Some(pair) = model.tokens_max {
        let query = model.query_tokens_max;
        check.relation(
            query + SPECIAL_TOKENS < pair,
            &["model.query_tokens_max", "model.tokens_max"],
            format!("{query} leaves no room for a passage in model.tokens_max, {pair}"),
            "set it to a quarter of model.tokens_max or so",
        );
    }
    let backend = match model.backend {
        raw::Backend::Flex => engine::Backend::Flex,
        raw::Backend::NdArray => engine::Backend::NdArray,
        raw::Backend::Wgpu => engine::Backend::Wgpu,
    };
    let precision = match model.precision {
        raw::Precision::F32 => engine::Precision::F32,
        raw::Precision::F16 => engine::Precision::F16,
        raw::Precision::Bf16 => engine::Precision::Bf16,
        raw::Precision::Int8 => engine::Precision::Int8,
    };
    check.relation(
        precision.support(backend) != engine::Support::Never,
        &["model.precision", "model.backend"],
        format!("{precision} is nothing that model.backend = \"{backend}\" computes in"),
        "set it to \"f32\" or \"int8\", which read weights stored in any precision; \"f16\" is for model.backend = \"wgpu\"",
    );
    check.relation(
        precision == engine::Precision::Int8 || model.id.as_deref() != Some(BUNDLED),
        &["model.precision", "model.id"],
        format!("{precision} is asked of the bundled model, which holds int8 weights"),
        "set it to \"int8\", or name a model with float weights: model.id, model.path (--model)",
    );
    engine::Settings {
        backend,
        precision,
        kernels: kernels(engine.kernels),
        tokens_max: model.tokens_max,
        query_tokens_max: model.query_tokens_max,
        long_passages: long_passages(model),
        replicas: engine.replicas,
        pin_threads: engine.pin_threads,
        tokenizers: engine.tokenizers,
        packer: engine::PackerLimits {
            batch_tokens_max: engine.batch_tokens_max,
            queue_tokens_max: engine.queue_tokens_max,
        },
        cache_pairs_max: engine.cache_pairs_max,
    }
}

fn long_passages(model: &raw::Model) -> engine::LongPassages {
    use engine::{LongPassages, WindowScore};
    let score = match model.long_passages {
        raw::LongPassages::Truncate => return LongPassages::Truncate,
        raw::LongPassages::BestWindow => WindowScore::Best,
        raw::LongPassages::FirstWindow => WindowScore::First,
        raw::LongPassages::MeanOfTwoWindows => WindowScore::MeanOfTopTwo,
    };
    LongPassages::Windows {
        overlap_tokens: model.window_overlap_tokens,
        windows_max: model.windows_max,
        score,
    }
}

fn kernels(kernels: raw::Kernels) -> engine::Kernels {
    use engine::{InstructionSet, Kernels};
    match kernels {
        raw::Kernels::Auto => Kernels::Auto,
        raw::Kernels::Off => Kernels::Off,
        raw::Kernels::Avx512Vnni => Kernels::For(InstructionSet::Avx512Vnni),
        raw::Kernels::Avx512 => Kernels::For(InstructionSet::Avx512),
        raw::Kernels::Avx2 => Kernels::For(InstructionSet::Avx2),
        raw::Kernels::Neon => Kernels::For(InstructionSet::Neon),
        raw::Kernels::Portable => Kernels::For(InstructionSet::Portable),
    }
}

fn limits(check: &mut Check<'_>) -> wire::Limits {
    let limits = &check.raw.values.limits;
    let (scored, refused) = (limits.candidates_max, limits.candidates_refused_above);
    check.relation(
        scored <= refused,
        &["limits.candidates_max", "limits.candidates_refused_above"],
        format!("{scored} is more than limits.candidates_refused_above, {refused}"),
        "lower it, or raise limits.candidates_refused_above",
    );
    wire::Limits {
        record_bytes_max: limits.record_bytes_max,
        query_chars_max: limits.query_chars_max,
        candidates_max: limits.candidates_max,
        candidates_refused_above: limits.candidates_refused_above,
        passage_chars_max: limits.passage_chars_max,
    }
}

fn deadlines(worker: &raw::Worker, kafka: &raw::Kafka) -> worker::Deadlines {
    // An output becomes visible with its transaction.
    let transaction_ms = match kafka.delivery {
        raw::Delivery::AtLeastOnce => 0,
        raw::Delivery::ExactlyOnce => kafka.transaction_interval_ms,
    };
    worker::Deadlines {
        late: match worker.late {
            raw::LatePolicy::Passthrough => worker::LatePolicy::Passthrough,
            raw::LatePolicy::Partial => worker::LatePolicy::Partial,
            raw::LatePolicy::Fail => worker::LatePolicy::Fail,
            raw::LatePolicy::Late => worker::LatePolicy::Late,
        },
        reserve: Duration::from_millis(worker.deadline_reserve_ms + transaction_ms),
    }
}

fn context(check: &mut Check<'_>) -> Option<context::Settings> {
    let context = &check.raw.values.context;
    template(check, &context.template);
    if let Some(path) = &context.tokenizer {
        check.readable("context.tokenizer", path);
    }
    context.enabled.then(|| context::Settings {
        tokens_max: context.tokens_max,
        template: context.template.clone(),
        separator: context.separator.clone(),
        truncate: context.truncate,
        duplicate_similarity: context.drop_duplicates.then_some(context.duplicate_similarity),
        order: match context.order {
            raw::Order::BestFirst => context::Order::BestFirst,
            raw::Order::BestAtEdges => context::Order::BestAtEdges,
        },
        windows: match context.long_passages {
            raw::ContextPassages::Window => true,
            raw::ContextPassages::Whole => false,
        },
    })
}

fn template(check: &mut Check<'_>, source: &str) {
    if let Err(error) = context::Template::new(source) {
        let remedy =
            "see the minijinja documentation for the syntax, and default.toml for an example";
        check.problem("context.template", error.to_string(), remedy);
    }
}

pub(super) fn telemetry(check: &mut Check<'_>) -> telemetry::Settings {
    let (log, told) = (&check.raw.values.log, &check.raw.values.telemetry);
    if let Err(error) = telemetry::check_filter(&log.filter) {
        let remedy = "write a level, then targets with theirs: info,crossrank::kafka=debug";
        check.problem("log.filter", error.to_string(), remedy);
    }
    telemetry::Settings {
        filter: log.filter.clone(),
        format: match log.format {
            raw::LogFormat::Auto => telemetry::LogFormat::Auto,
            raw::LogFormat::Text => telemetry::LogFormat::Text,
            raw::LogFormat::Json => telemetry::LogFormat::Json,
        },
        otlp: told.otlp,
        spans: telemetry::SpanSettings {
            parent: match told.parent {
                raw::Parent::Parent => telemetry::Parent::Child,
                raw::Parent::Link => telemetry::Parent::Link,
            },
            texts: told.texts,
        },
    }
}
