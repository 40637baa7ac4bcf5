//! What a step makes small.

use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::Loss;
use crate::list::List;

/// A logit that no exponential notices.
const NOWHERE: f32 = -1e4;

/// The loss of some lists, summed, of which the logits lie one behind the other, `[pairs]`: a scalar, `[1]`.
///
/// `listwise` is ListNet's loss (Cao et al., Learning to Rank, 2007) with the labels as shares; `distill` the same with
/// the softmax of the teacher's logits (Hinton et al., Distilling the Knowledge in a Neural Network, 2015); `regress` the
/// squared difference of all margins from the teacher's, averaged over the list (after Hofstätter et al., Improving
/// Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation, 2020); `binary` the cross-entropy of
/// each labelled pair, averaged over the list. Each list counts by its weight.
pub(super) fn loss(
    weights: Loss,
    lists: &[List],
    logits: &Tensor<1>,
    device: &Device,
) -> Tensor<1> {
    let columns = lists.iter().map(|list| list.candidates.len()).max().unwrap_or(0);
    let shape = [lists.len(), columns];
    // Where each place of a padded table finds its logit, and what it should be.
    let (mut places, mut padding) = (Vec::new(), Vec::new());
    let (mut shares, mut labels, mut judged) = (Vec::new(), Vec::new(), Vec::new());
    let (mut heights, mut taught, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    let mut first = 0;
    for list in lists {
        let count = list.candidates.len();
        let targets = targets(weights, list);
        let teacher = list.candidates.iter().filter_map(|own| own.teacher);
        let mean = teacher.sum::<f32>() / count as f32;
        let known = list.candidates.iter().filter(|own| own.label.is_some()).count().max(1);
        for column in 0..columns {
            let own = list.candidates.get(column);
            places.push((first + column.min(count - 1)) as i32);
            padding.push(if own.is_some() { 0.0 } else { NOWHERE });
            shares.push(targets.get(column).copied().unwrap_or(0.0));
            let label = own.and_then(|own| own.label);
            labels.push(label.map_or(0.0, |label| label.clamp(0.0, 1.0)));
            judged.push(label.map_or(0.0, |_| list.weight * weights.binary / known as f32));
            let teacher = own.and_then(|own| own.teacher).filter(|_| list.is_taught());
            heights.push(teacher.map_or(0.0, |teacher| (teacher - mean) / weights.temperature));
            taught.push(teacher.map_or(0.0, |_| list.weight * weights.regress / count as f32));
            parts.push(if own.is_some() { 1.0 / count as f32 } else { 0.0 });
        }
        first += count;
    }
    let table = |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values, shape), device);
    let places =
        Tensor::<1, Int>::from_data(TensorData::new(places, [lists.len() * columns]), device);
    let own = logits.clone().select(0, places).reshape(shape);
    let logits = own.clone() + table(padding);
    let mut loss = (log_softmax(logits.clone(), 1) * table(shares)).sum().neg();
    if weights.regress > 0.0 {
        let mean = (own.clone() * table(parts)).sum_dim(1);
        let apart = own - mean - table(heights);
        loss = loss + (apart.square() * table(taught)).sum();
    }
    if weights.binary == 0.0 {
        return loss;
    }
    // ln(1 + exp(x)) - label * x, without an exponential that overflows.
    let softplus = relu(logits.clone()) + (logits.clone().abs().neg().exp() + 1.0).log();
    let binary = (softplus - logits * table(labels)) * table(judged);
    loss + binary.sum()
}

/// How much of a list's loss each passage should have, weights included.
fn targets(weights: Loss, list: &List) -> Vec<f32> {
    let mut targets = vec![0.0; list.candidates.len()];
    if weights.distill > 0.0 && list.is_taught() {
        let logits: Vec<f32> = list
            .candidates
            .iter()
            .map(|own| own.teacher.unwrap_or(0.0) / weights.temperature)
            .collect();
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
        for (target, logit) in targets.iter_mut().zip(&logits) {
            *target += weights.distill * (logit - largest).exp() / sum;
        }
    }
    if weights.listwise > 0.0 && list.is_judged() {
        let label = |own: &crate::list::Candidate| own.label.unwrap_or(0.0).max(0.0);
        let sum: f32 = list.candidates.iter().map(label).sum();
        for (target, own) in targets.iter_mut().zip(&list.candidates) {
            *target += weights.listwise * label(own) / sum;
        }
    }
    targets.iter_mut().for_each(|target| *target *= list.weight);
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::Candidate;

    const ONLY: Loss =
        Loss { listwise: 0.0, binary: 0.0, distill: 0.0, regress: 0.0, temperature: 1.0 };

    fn list(candidates: &[(Option<f32>, Option<f32>)]) -> List {
        let candidate = |&(label, teacher)| Candidate { text: String::new(), label, teacher };
        List {
            query: String::new(),
            candidates: candidates.iter().map(candidate).collect(),
            weight: 1.0,
        }
    }

    fn value(weights: Loss, lists: &[List], logits: &[f32]) -> f32 {
        let device = Device::flex();
        let logits = Tensor::<1>::from_floats(logits, &device);
        loss(weights, lists, &logits, &device).into_scalar::<f32>()
    }

    #[test]
    fn listwise_loss_is_the_surprise_at_the_labelled_passage() {
        let lists = [
            list(&[(Some(1.0), None), (Some(0.0), None)]),
            list(&[(Some(0.0), None), (Some(0.0), None), (Some(1.0), None)]),
        ];
        let weights = Loss { listwise: 1.0, ..ONLY };
        let expected = -(1.0 / (1.0 + (-2.0_f32).exp())).ln() + 3.0_f32.ln();
        assert!((value(weights, &lists, &[2.0, 0.0, 5.0, 5.0, 5.0]) - expected).abs() < 1e-5);
    }

    #[test]
    fn distillation_is_least_where_the_teacher_is_matched() {
        let lists = [list(&[(None, Some(4.0)), (None, Some(0.0)), (None, Some(-2.0))])];
        let weights = Loss { distill: 1.0, temperature: 2.0, ..ONLY };
        let matched = value(weights, &lists, &[12.0, 10.0, 9.0]);
        for other in [[12.5, 10.0, 9.0], [12.0, 10.5, 9.0], [12.0, 10.0, 9.5]] {
            assert!(value(weights, &lists, &other) > matched);
        }
    }

    #[test]
    fn regression_compares_margins_and_not_heights() {
        let lists = [
            list(&[(None, Some(4.0)), (None, Some(0.0)), (None, Some(-1.0))]),
            list(&[(None, Some(7.0)), (None, Some(9.0))]),
            list(&[(Some(1.0), None), (Some(0.0), None)]),
        ];
        let weights = Loss { regress: 1.0, ..ONLY };
        let matched = value(weights, &lists, &[104.0, 100.0, 99.0, -2.0, 0.0, 3.0, 60.0]);
        assert!(matched.abs() < 1e-3, "{matched}");
        // Of the second list, each is 1 off.
        let apart = value(weights, &lists, &[104.0, 100.0, 99.0, -1.0, -1.0, 3.0, 60.0]);
        assert!((apart - 1.0).abs() < 1e-3, "{apart}");
    }

    #[test]
    fn a_list_counts_by_its_weight() {
        let weights =
            Loss { listwise: 1.0, binary: 0.5, distill: 1.0, regress: 1.0, temperature: 1.0 };
        let whole = list(&[(Some(1.0), Some(2.0)), (Some(0.0), Some(-2.0))]);
        let half = List { weight: 0.5, ..whole.clone() };
        let logits = [1.0, 0.5];
        let (whole, half) = (value(weights, &[whole], &logits), value(weights, &[half], &logits));
        assert!((whole - 2.0 * half).abs() < 1e-5, "{whole} and {half}");
    }

    #[test]
    fn binary_loss_judges_each_labelled_pair_by_itself() {
        let lists = [list(&[(Some(1.0), None), (None, None), (Some(0.0), None)])];
        let weights = Loss { binary: 1.0, ..ONLY };
        let expected = ((1.0 + (-3.0_f32).exp()).ln() + (1.0 + 1.0_f32.exp()).ln()) / 2.0;
        assert!((value(weights, &lists, &[3.0, 70.0, 1.0]) - expected).abs() < 1e-5);
        assert!(value(weights, &lists, &[-3e4, 0.0, 3e4]).is_finite());
    }
}
