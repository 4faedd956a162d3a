"""A Bowline model for Hugging Face transformers 5: layers ("sites") that share banks of parameters.

`config.json` says under `expert_tying` which bank each site uses of every part that is shared. The file of tensors holds
each bank once, under the name of the first site that uses it. A model loaded from it has one module for each bank, so
that memory, gradients and training see a bank once, too.

    AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
"""

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import Cache, DynamicCache, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from .configuration_bowline import BowlineConfig
from .modules_bowline import Attention, DenseFeedForward, Experts, RMSNorm, Router, Site, SparseFeedForward

# Early releases of transformers 5 call the cache `past_key_values`.
_CACHE = {field.name for field in dataclasses.fields(CausalLMOutputWithPast)} & {"cache", "past_key_values"}

# Parts of a site, and the module of a site that holds each.
_PARTS = {
    "attention_norm": "input_layernorm",
    "attention": "self_attn",
    "ffn_norm": "post_attention_layernorm",
    "router": "mlp.gate",
    "experts": "mlp.experts",
    "feed_forward": "mlp",
}


class Banks:
    """Makes the modules of sites, each bank once."""

    def __init__(self, config: BowlineConfig):
        self.config = config
        self.made: dict[tuple[str, int], nn.Module] = {}

    def _use(self, part: str, site: int, make: Callable[[], nn.Module]) -> nn.Module:
        numbers = self.config.expert_tying.get(part)
        if numbers is None:
            return make()
        key = (part, numbers[site])
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def site(self, site: int) -> Site:
        config = self.config
        experts = config.site_experts[site]
        norms = tuple(
            self._use(part, site, lambda: RMSNorm(config.hidden_size, config.rms_norm_eps))
            for part in ("attention_norm", "ffn_norm")
        )
        if experts == 0:
            mlp = self._use("feed_forward", site, lambda: DenseFeedForward(config))
        else:
            gate = self._use("router", site, lambda: Router(config, experts))
            mlp = SparseFeedForward(gate, self._use("experts", site, lambda: Experts(config, experts)))
        return Site(norms, self._use("attention", site, lambda: Attention(config)), mlp)


class Decoder(nn.Module):
    """Embedding, sites and the last norm."""

    def __init__(self, config: BowlineConfig):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        banks = Banks(config)
        self.layers = nn.ModuleList(banks.site(site) for site in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def _angles(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosine and sine (B, 1, S, P) of the rotary angles."""
        head = self.config.head_dim
        even = torch.arange(0, head, 2, dtype=torch.float32, device=positions.device)
        turns = positions[:, None, :, None].float() * self.config.rope_theta ** -(even / head)
        angles = torch.cat((turns, turns), dim=-1)
        return angles.cos().to(dtype), angles.sin().to(dtype)

    def forward(
        self, x: Tensor, attention_mask: Tensor | None, position_ids: Tensor | None, cache: Cache | None
    ) -> Tensor:
        past = 0 if cache is None else int(cache.get_seq_length())
        here = torch.arange(past, past + x.shape[1], device=x.device)
        angles = self._angles(here[None] if position_ids is None else position_ids, x.dtype)
        mask = causal_mask(here, past + x.shape[1], attention_mask)
        for site, layer in enumerate(self.layers):
            x = layer(x, angles, mask, cache, site)
        return self.norm(x)


def causal_mask(here: Tensor, length: int, attention_mask: Tensor | None) -> Tensor:
    """What each of the tokens `here` may look at: (B or 1, 1, S, T), itself always."""
    there = torch.arange(length, device=here.device)
    mask = (there <= here[:, None])[None, None]
    if attention_mask is None:
        return mask
    if attention_mask.dim() != 2 or attention_mask.shape[1] != length:
        raise ValueError(f"Cannot use a mask of shape {tuple(attention_mask.shape)}: wanted (batch, {length})")
    return mask & attention_mask[:, None, None, :].bool() | (there == here[:, None])


class BowlineForCausalLM(PreTrainedModel, GenerationMixin):
    """The language model. Losses of the routers are not computed: fine-tuning has the next-token loss alone."""

    config_class = BowlineConfig
    base_model_prefix = "model"
    _no_split_modules = ["Site"]
    _supports_sdpa = True

    def __init__(self, config: BowlineConfig):
        super().__init__(config)
        self.model = Decoder(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self._tied_weights_keys = self._ties()
        self.post_init()

    def _ties(self) -> dict[str, str]:
        """For each name of a parameter that has several, the first one."""
        ties = {"lm_head.weight": "model.embed_tokens.weight"} if self.config.tie_word_embeddings else {}
        for part, numbers in self.config.expert_tying.items():
            first: dict[int, int] = {}
            for site, number in enumerate(numbers):
                leader = site if number is None else first.setdefault(number, site)
                if leader != site:
                    bank = self.get_submodule(f"model.layers.{site}.{_PARTS[part]}")
                    for name, _ in bank.named_parameters():
                        names = (f"model.layers.{at}.{_PARTS[part]}.{name}" for at in (site, leader))
                        ties.update([tuple(names)])
        return ties

    def get_expanded_tied_weights_keys(self, all_submodels: bool = False) -> dict[str, str]:
        """The ties, which hold whether or not the head is tied, too."""
        return dict(self._tied_weights_keys)

    def _init_weights(self, module: nn.Module) -> None:
        """Starts matrices as normal numbers of deviation 0.02, and gains as 1."""
        for name, parameter in module.named_parameters(recurse=False):
            if getattr(parameter, "_is_hf_initialized", False):
                continue
            if isinstance(module, RMSNorm):
                nn.init.ones_(parameter)
            else:
                nn.init.normal_(parameter, std=0.02)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        cache: Cache | None = None,
        past_key_values: Cache | None = None,
        logits_to_keep: int = 0,
        **kwargs,
    ) -> CausalLMOutputWithPast:
        """Logits of all tokens, or of the last `logits_to_keep`; the loss if there are labels."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Cannot run: wanted either input_ids or inputs_embeds")
        x = self.model.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        cache = past_key_values if cache is None else cache
        is_cached = self.config.use_cache if use_cache is None else use_cache
        if cache is None and is_cached and not self.training:
            cache = DynamicCache()
        hidden = self.model(x, attention_mask, position_ids, cache)
        logits = self.lm_head(hidden[:, -logits_to_keep:])
        loss = None if labels is None else self.loss_function(logits, labels, self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(loss=loss, logits=logits, **dict.fromkeys(_CACHE, cache))
