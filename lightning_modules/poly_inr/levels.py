"""One level of eq. 6.3 at every pixel, and the same with a backward pass that recomputes instead of storing."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

NEGATIVE_SLOPE = 0.2


def at_positions(x: Tensor, affine: Tensor) -> Tensor:
    """A_i X: positions x [P, 3] times affine parameters [B, 3, n] -> [B, P, n], in the precision of the positions.

    Not under autocast: in bfloat16 some of 512 rows of a grid coincide, and neighbours would merge.
    """
    with torch.autocast(x.device.type, enabled=False):
        affine = affine.to(x.dtype)
        if torch.compiler.is_compiling():  # a sum is fused with what follows it, a product is not
            return multiply_adds(x, affine)
        return x @ affine


def multiply_adds(x: Tensor, affine: Tensor) -> Tensor:
    """A_i X as sums: positions x [P, 3] and affine parameters [B, 3, n] -> [B, P, n].

    On a GPU a matrix product over three terms is slower than all else at the pixel together.
    """
    row, column, one = (affine[:, None, k] for k in range(3))
    return x[:, :1] * row + x[:, 1:2] * column + x[:, 2:] * one


def activated_and_modulated(
    y: Tensor,
    x: Tensor,
    affine: Tensor,
    *,
    modulation_slope: float,
    activation_slope: float,
    clamp: float | None,
) -> Tensor:
    """All that is done at a pixel between two products: activation of y [B, P, n] times the modulation of the next level.

    In the type of ``y``; the modulation is computed in that of the positions x [P, 3].
    """
    h = F.leaky_relu(y, activation_slope)
    h = h if clamp is None else h.clamp(-clamp, clamp)
    return (h * F.leaky_relu(multiply_adds(x, affine), modulation_slope)).to(y.dtype)


def output_type(weight: Tensor) -> torch.dtype:
    """Of a linear layer with this weight, which is autocast's where that is on (it leaves float64 alone)."""
    device_type = weight.device.type
    if torch.is_autocast_enabled(device_type) and weight.dtype != torch.float64:
        return torch.get_autocast_dtype(device_type)
    return weight.dtype


def refuse_double_backward() -> None:
    if torch.is_grad_enabled():  # which create_graph=True does
        raise ValueError(
            "a generator with recompute=true has first derivatives alone, and create_graph=True asks for second ones: "
            "set recompute=false"
        )


class Activation(Function):
    """Leaky ReLU and clamp (None: without) in place; the derivative is read off the output, which the next level keeps."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, slope: float, clamp: float | None) -> Tensor:
        ctx.slope, ctx.clamp = slope, clamp
        activate_(y, slope, clamp)
        ctx.mark_dirty(y)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        refuse_double_backward()
        (out,) = ctx.saved_tensors
        if ctx.clamp is not None:
            grad = torch.ops.aten.hardtanh_backward(grad, out, -ctx.clamp, ctx.clamp)
        return torch.ops.aten.leaky_relu_backward(grad, out, ctx.slope, True), None, None


class ModulatedLinear(Function):
    """(h * lrelu(A_i X)) W^T + b for h [B, P, n]: keeps h alone, the modulation is computed again on the way back.

    ``weight`` and ``bias`` come in the type of the product.
    """

    @staticmethod
    def forward(
        ctx: Any, h: Tensor, x: Tensor, affine: Tensor, weight: Tensor, bias: Tensor, modulation_slope: float
    ) -> Tensor:
        ctx.slope = modulation_slope
        ctx.save_for_backward(h, x, affine, weight)
        modulation = F.leaky_relu_(at_positions(x, affine), modulation_slope)
        product = (h * modulation).to(weight.dtype)
        # A linear layer's output is a view in some versions of PyTorch, and the activation changes this one in place.
        out = product.new_empty(*h.shape[:2], len(weight))
        torch.addmm(bias, product.flatten(0, 1), weight.T, out=out.flatten(0, 1))
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        h, x, affine, weight = ctx.saved_tensors
        _, positions_matter, _, weight_matters, bias_matters, _ = ctx.needs_input_grad
        with torch.autocast(h.device.type, enabled=False):
            modulation = F.leaky_relu_(at_positions(x, affine), ctx.slope)
            grad_weight = None
            if weight_matters:
                product = (h * modulation).to(weight.dtype)
                grad_weight = grad.flatten(0, 1).T @ product.flatten(0, 1)
                del product
            grad_bias = grad.sum(dim=(0, 1)) if bias_matters else None
            grad_product = (grad @ weight).to(modulation.dtype)
            grad_h = (grad_product * modulation).to(h.dtype)
            grad_raw = torch.ops.aten.leaky_relu_backward(grad_product.mul_(h), modulation, ctx.slope, True)
            grad_x = (grad_raw @ affine.to(x.dtype).mT).sum(dim=0) if positions_matter else None
            return grad_h, grad_x, (x.T @ grad_raw).to(affine.dtype), grad_weight, grad_bias, None


def activate_(y: Tensor, slope: float, clamp: float | None) -> None:
    F.leaky_relu_(y, slope)
    if clamp is not None:
        y.clamp_(-clamp, clamp)
