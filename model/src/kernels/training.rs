//! The operations under automatic differentiation: their plain bodies, each step of which has a derivative.
//!
//! Three of these steps have one of their own here. Taken apart into burn's operations, a normalisation, a softmax and
//! a GELU read and write their tensors a dozen times, which on a CPU costs as much as all products of a layer.

use burn::backend::Autodiff;
use burn::backend::TensorMetadata as _;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::inputs::NormWeights;
use super::{EncoderOps, plain};

/// Derivatives of steps, by a backend's own means.
pub(crate) trait Derivatives: EncoderOps {
    /// GELU, of which [`Derivatives::gelu_slope`] is the derivative.
    fn gelu_forward(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::gelu(x)
    }

    /// The gradient of GELU's input `x`, from that of what it gives.
    fn gelu_slope(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::gelu_backward(x, gradient)
    }

    /// The gradient of a softmax's input over the last dimension, from `shares`, which it gives, and their gradient.
    fn softmax_slope(shares: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let last = shares.shape().num_dims() - 1;
        let mean = Self::float_sum_dim(Self::float_mul(shares.clone(), gradient.clone()), last);
        Self::float_mul(shares, Self::float_sub(gradient, mean))
    }

    /// The gradients of a normalisation's input `x`, `[rows, hidden]`, its gamma and its beta, `[hidden]`.
    fn norm_slopes(
        x: FloatTensor<Self>,
        norm: NormWeights<Self>,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        plain::norm_slopes::<Self>(x, norm, gradient)
    }
}

#[cfg(feature = "ndarray")]
impl Derivatives for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl Derivatives for burn::backend::Cube {}

impl<B: Derivatives, C: CheckpointStrategy> EncoderOps for Autodiff<B, C> {
    fn curve(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        match Gelu.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(x.clone(), B::gelu_forward(x)),
            OpsKind::UnTracked(prep) => prep.finish(B::gelu_forward(x)),
        }
    }

    fn shares(scores: FloatTensor<Self>) -> FloatTensor<Self> {
        let (scores, node) = scores.into_parts();
        let last = scores.shape().num_dims() - 1;
        let shares = B::softmax(scores, last);
        match Softmax.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(shares.clone(), shares),
            OpsKind::UnTracked(prep) => prep.finish(shares),
        }
    }

    fn normalize(x: FloatTensor<Self>, norm: NormWeights<Self>) -> FloatTensor<Self> {
        let NormWeights { gamma, beta, epsilon, isa } = norm;
        let ((x, of_x), (gamma, of_gamma), (beta, of_beta)) =
            (x.into_parts(), gamma.into_parts(), beta.into_parts());
        let norm = NormWeights { gamma, beta, epsilon, isa };
        let normed = B::normalize(x.clone(), norm.clone());
        let nodes = [of_x, of_gamma, of_beta];
        match Normalization.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, norm.gamma, norm.beta, epsilon), normed),
            OpsKind::UnTracked(prep) => prep.finish(normed),
        }
    }
}

#[derive(Debug)]
struct Gelu;

impl<B: Derivatives> Backward<B, 1> for Gelu {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            gradients.register::<B>(parent.id, B::gelu_slope(ops.state, gradient));
        }
    }
}

#[derive(Debug)]
struct Softmax;

impl<B: Derivatives> Backward<B, 1> for Softmax {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            gradients.register::<B>(parent.id, B::softmax_slope(ops.state, gradient));
        }
    }
}

#[derive(Debug)]
struct Normalization;

impl<B: Derivatives> Backward<B, 3> for Normalization {
    type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, f64);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (x, gamma, beta, epsilon) = ops.state;
        let norm = NormWeights { gamma, beta, epsilon, isa: None };
        let slopes = B::norm_slopes(x, norm, gradient);
        for (parent, slope) in ops.parents.into_iter().zip(slopes) {
            if let Some(parent) = parent {
                gradients.register::<B>(parent.id, slope);
            }
        }
    }
}
