/// A query and passages that are learnt to be put into order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct List {
    pub(crate) query: String,
    pub(crate) candidates: Vec<Candidate>,
    /// How much it counts beside others.
    pub(crate) weight: f32,
}

/// A passage of a list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) text: String,
    /// Whether it answers the query, where somebody judged that: 0 for not at all, more for better.
    pub(crate) label: Option<f32>,
    /// The logit that a better model gives it, where there is one. Only differences within a list matter.
    pub(crate) teacher: Option<f32>,
}

// === impl List ===

impl List {
    /// Whether any passage is judged to be better than another.
    pub(crate) fn is_judged(&self) -> bool {
        let labels = || self.candidates.iter().filter_map(|candidate| candidate.label);
        labels().any(|label| label > 0.0) && labels().any(|label| label <= 0.0)
    }

    /// Whether a teacher has scored all passages.
    pub(crate) fn is_taught(&self) -> bool {
        self.candidates.len() > 1
            && self.candidates.iter().all(|candidate| candidate.teacher.is_some())
    }
}
