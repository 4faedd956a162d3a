"""What the sites of a Bowline model are made of, in plain PyTorch.

Shapes: B batch, S tokens of this call, T tokens of this call and of the cache, D width, H heads, P width of a head,
E experts of a bank, F width of an expert, K experts that a token uses.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Cache

from .configuration_bowline import BowlineConfig


class RMSNorm(nn.Module):
    """Root-mean-square norm over the last axis, in f32."""

    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        scaled = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * scaled.to(x.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of heads (B, H, S, P) by angles (B, 1, S, P); a pair is half a head apart."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Attention(nn.Module):
    """Causal attention with grouped keys; q and k may be normed whole or by head, and q, k and v clamped after it."""

    def __init__(self, config: BowlineConfig):
        super().__init__()
        self.config = config
        width, head = config.hidden_size, config.head_dim
        q_width, kv_width = config.num_attention_heads * head, config.num_key_value_heads * head
        self.q_proj = nn.Linear(width, q_width, bias=False)
        self.k_proj = nn.Linear(width, kv_width, bias=False)
        self.v_proj = nn.Linear(width, kv_width, bias=False)
        self.o_proj = nn.Linear(q_width, width, bias=False)
        if config.qk_norm != "none":
            is_whole = config.qk_norm == "whole"
            self.q_norm = RMSNorm(q_width if is_whole else head, config.rms_norm_eps)
            self.k_norm = RMSNorm(kv_width if is_whole else head, config.rms_norm_eps)

    def _heads(self, x: Tensor, norm: RMSNorm | None) -> Tensor:
        """(B, S, H P) to (B, H, S, P), normed and clamped."""
        is_by_head = self.config.qk_norm == "head"
        if norm is not None and not is_by_head:
            x = norm(x)
        x = x.unflatten(-1, (-1, self.config.head_dim))
        if norm is not None and is_by_head:
            x = norm(x)
        if self.config.clip_qkv is not None:
            x = x.clamp(-self.config.clip_qkv, self.config.clip_qkv)
        return x.transpose(1, 2)

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor], mask: Tensor, cache: Cache | None, site: int) -> Tensor:
        has_norm = self.config.qk_norm != "none"
        q = rotate(self._heads(self.q_proj(x), self.q_norm if has_norm else None), *angles)
        k = rotate(self._heads(self.k_proj(x), self.k_norm if has_norm else None), *angles)
        v = self._heads(self.v_proj(x), None)
        if cache is not None:
            # Sites that share their projections still have keys and values of their own.
            k, v = cache.update(k, v, site)
        groups = self.config.num_attention_heads // self.config.num_key_value_heads
        k, v = (part.repeat_interleave(groups, dim=1) for part in (k, v))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o_proj(out.transpose(1, 2).flatten(2))


class Router(nn.Module):
    """Chooses experts; scores are computed in f32."""

    def __init__(self, config: BowlineConfig, experts: int):
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(experts, config.hidden_size))

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Combine weights and expert ids (rows, K) of rows (rows, D)."""
        logits = F.linear(rows.float(), self.weight.float())
        if self.config.router_score == "top-k-then-softmax":
            chosen, ids = logits.topk(self.config.num_experts_per_tok, dim=-1)
            return chosen.softmax(-1), ids
        weights, ids = logits.softmax(-1).topk(self.config.num_experts_per_tok, dim=-1)
        if self.config.norm_topk_prob:
            weights = weights / weights.sum(-1, keepdim=True)
        return weights, ids


class Experts(nn.Module):
    """A bank of experts: gate and up (E, 2F, D), the gate first, and down (E, D, F)."""

    def __init__(self, config: BowlineConfig, experts: int):
        super().__init__()
        width, inner = config.hidden_size, config.moe_intermediate_size
        self.gate_up_proj = nn.Parameter(torch.empty(experts, 2 * inner, width))
        self.down_proj = nn.Parameter(torch.empty(experts, width, inner))

    def forward(self, rows: Tensor, weights: Tensor, ids: Tensor) -> Tensor:
        out = torch.zeros_like(rows)
        for expert in ids.unique().tolist():
            row, slot = (ids == expert).nonzero(as_tuple=True)
            gate, up = F.linear(rows[row], self.gate_up_proj[expert]).chunk(2, dim=-1)
            hidden = F.linear(F.silu(gate) * up, self.down_proj[expert])
            out.index_add_(0, row, (hidden * weights[row, slot, None]).to(out.dtype))
        return out


class SparseFeedForward(nn.Module):
    """Router and experts."""

    def __init__(self, gate: Router, experts: Experts):
        super().__init__()
        self.gate = gate
        self.experts = experts

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, 1)
        return self.experts(rows, *self.gate(rows)).view_as(x)


class DenseFeedForward(nn.Module):
    """A feed-forward that every token uses."""

    def __init__(self, config: BowlineConfig):
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Site(nn.Module):
    """One layer: attention and feed-forward, each behind a norm and beside a residual. Its modules may be shared."""

    def __init__(self, norms: tuple[RMSNorm, RMSNorm], attention: Attention, mlp: nn.Module):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = norms
        self.self_attn = attention
        self.mlp = mlp

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor], mask: Tensor, cache: Cache | None, site: int) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), angles, mask, cache, site)
        return x + self.mlp(self.post_attention_layernorm(x))
