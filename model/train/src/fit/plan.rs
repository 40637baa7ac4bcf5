use crossrank_model::Backend;
use crossrank_model::training::LearningRates;

/// How a model is fitted.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) backend: Backend,
    /// Threads that each learn a part of a step.
    pub(crate) threads: usize,
    pub(crate) steps: u64,
    /// The largest that is reached, behind the warm-up.
    pub(crate) rates: LearningRates,
    /// Share of the steps in which rates rise from 0; from there on they fall to 0 in a line.
    pub(crate) warm_up: f64,
    pub(crate) weight_decay: f32,
    /// What the gradient of a tensor is cut to.
    pub(crate) gradient_max: f32,
    pub(crate) loss: Loss,
    /// Tokens of the longest pair.
    pub(crate) tokens_max: usize,
    /// Whether the embeddings learn, too.
    pub(crate) embeddings: bool,
    /// Steps between two checkpoints.
    pub(crate) every: u64,
    /// Checkpoints without a better one after which training stops.
    pub(crate) patience: Option<usize>,
}

/// What is made small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Loss {
    /// Weight of the listwise cross-entropy with what labels say.
    pub(crate) listwise: f32,
    /// Weight of the cross-entropy of each labelled pair by itself, which gives logits their height.
    pub(crate) binary: f32,
    /// Weight of the listwise cross-entropy with what the teacher says.
    pub(crate) distill: f32,
    /// Weight of the mean square by which logits, less their mean over the list, differ from the teacher's.
    pub(crate) regress: f32,
    /// What a teacher's logits are divided by.
    pub(crate) temperature: f32,
}

// === impl Plan ===

impl Plan {
    /// The rates of a step, counted from 0.
    pub(crate) fn rates_at(&self, step: u64) -> LearningRates {
        let (done, all) = (step as f64 + 1.0, self.steps as f64);
        let rising = (self.warm_up * all).max(1.0);
        let share =
            if done < rising { done / rising } else { (all - step as f64) / (all - rising + 1.0) };
        let share = share.clamp(0.0, 1.0);
        LearningRates { encoder: self.rates.encoder * share, head: self.rates.head * share }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_to_their_largest_and_fall_to_nearly_nothing() {
        let rates = LearningRates { encoder: 1.0, head: 2.0 };
        let plan = Plan {
            backend: Backend::Flex,
            threads: 1,
            steps: 100,
            rates,
            warm_up: 0.1,
            weight_decay: 0.0,
            gradient_max: 1.0,
            loss: Loss { listwise: 1.0, binary: 0.0, distill: 0.0, regress: 0.0, temperature: 1.0 },
            tokens_max: 128,
            embeddings: true,
            every: 10,
            patience: None,
        };
        let encoder: Vec<f64> = (0..100).map(|step| plan.rates_at(step).encoder).collect();
        assert_eq!((encoder[0], encoder[9]), (0.1, 1.0));
        assert!(encoder[9..].is_sorted_by(|a, b| a > b) && encoder[99] < 0.02, "{encoder:?}");
        assert_eq!(plan.rates_at(9).head, 2.0);
    }
}
