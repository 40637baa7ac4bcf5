/// What an architecture calls its tensors.
///
/// All but the head's names stand behind `prefix`; those of a layer behind `layer` and its number, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) prefix: &'static str,
    pub(crate) words: &'static str,
    pub(crate) types: Option<&'static str>,
    pub(crate) positions: Option<&'static str>,
    pub(crate) embeddings_norm: &'static str,
    /// From embedding to hidden size, where they differ.
    pub(crate) embeddings_projection: Option<&'static str>,
    /// What the layers share for each bucket of distances.
    pub(crate) distances: Option<&'static str>,
    /// What normalises it.
    pub(crate) distances_norm: Option<&'static str>,
    /// In front of a layer's number.
    pub(crate) layer: &'static str,
    pub(crate) projection: Projection,
    pub(crate) output: &'static str,
    pub(crate) attention_norm: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
    pub(crate) norm: &'static str,
    /// Behind the last layer.
    pub(crate) final_norm: Option<&'static str>,
    /// Tensors that some files have, and that do not matter for a logit.
    pub(crate) ignored: &'static [&'static str],
}

/// What a layer projects into queries, keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Projection {
    /// Three linear layers.
    Separate([&'static str; 3]),
    /// One, with queries, keys and values side by side. In files of ours its parts have names of their own.
    Fused(&'static str),
}

// === impl Names ===

impl Names {
    /// The whole name of a part of the network.
    pub(crate) fn whole(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The whole name of a part of layer `index`.
    pub(crate) fn in_layer(&self, index: usize, name: &str) -> String {
        format!("{}{}.{index}.{name}", self.prefix, self.layer)
    }

    /// The whole names of what is without use.
    pub(crate) fn ignored(&self) -> Vec<String> {
        self.ignored.iter().map(|name| self.whole(name)).collect()
    }
}
