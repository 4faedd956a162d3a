"""The configuration of a Bowline model, for Hugging Face transformers 5."""

from transformers import PretrainedConfig


class BowlineConfig(PretrainedConfig):
    """Sizes, options and sharing of a model.

    `site_experts` has the number of experts of each site, 0 for a site with a dense feed-forward, whose width is
    `intermediate_size`. `expert_tying` has for each part that is shared the number of each site's bank, or null for a
    site that has no such part; sites with one number share it.
    """

    model_type = "bowline"

    def __init__(
        self,
        vocab_size: int = 32000,
        hidden_size: int = 64,
        num_hidden_layers: int = 1,
        num_attention_heads: int = 1,
        num_key_value_heads: int = 1,
        head_dim: int = 64,
        moe_intermediate_size: int = 64,
        intermediate_size: int | None = None,
        site_experts: list[int] | None = None,
        num_experts_per_tok: int = 1,
        router_score: str = "softmax-then-top-k",
        norm_topk_prob: bool = False,
        qk_norm: str = "none",
        clip_qkv: float | None = None,
        rms_norm_eps: float = 1e-5,
        rope_theta: float = 10000.0,
        max_position_embeddings: int = 4096,
        tie_word_embeddings: bool = False,
        expert_tying: dict[str, list[int | None]] | None = None,
        pad_token_id: int | None = None,
        use_cache: bool = True,
        **kwargs,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.num_key_value_heads = num_key_value_heads
        self.head_dim = head_dim
        self.moe_intermediate_size = moe_intermediate_size
        self.intermediate_size = intermediate_size
        self.site_experts = [1] * num_hidden_layers if site_experts is None else site_experts
        self.num_experts_per_tok = num_experts_per_tok
        self.router_score = router_score
        self.norm_topk_prob = norm_topk_prob
        self.qk_norm = qk_norm
        self.clip_qkv = clip_qkv
        self.rms_norm_eps = rms_norm_eps
        self.rope_theta = rope_theta
        self.max_position_embeddings = max_position_embeddings
        self.expert_tying = expert_tying or {}
        self.use_cache = use_cache
        super().__init__(tie_word_embeddings=tie_word_embeddings, pad_token_id=pad_token_id, **kwargs)
