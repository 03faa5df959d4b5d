/* The function table of one instruction set. */
#include "core/kernels/lanes/lanes.h"
#include "core/kernels/lanes/pack.h"

#define NAME2_(isa) #isa
#define NAME_(isa) NAME2_(isa)

const struct kern_lanes LANES(kern_lanes) = {
    .name = NAME_(LANES_ISA),
    .pairs = LANES_PAIRS,
    .product = LANES(lanes_product),
    .hold = LANES(lanes_hold),
    .vector = LANES(lanes_vector),
    .panel = TILE_N,
    .panel_halves = true,
    .panels_pack = LANES(lanes_panels_pack),
    .panels = LANES(lanes_panels),
    .words_block = LANES(lanes_words_block),
    .words_loss = LANES(lanes_words_loss),
    .attention_forward = LANES(lanes_attention_forward),
    .attention_backward = LANES(lanes_attention_backward),
    .attention_decode = LANES(lanes_attention_decode),
    .layernorm_forward = LANES(lanes_layernorm_forward),
    .layernorm_backward = LANES(lanes_layernorm_backward),
    .layernorm_weight = LANES(lanes_layernorm_weight),
    .gelu_forward = LANES(lanes_gelu_forward),
    .gelu_backward = LANES(lanes_gelu_backward),
    .add = LANES(lanes_add),
    .scale = LANES(lanes_scale),
    .mix = LANES(lanes_mix),
    .embed_backward = LANES(lanes_embed_backward),
    .loss = LANES(lanes_loss),
    .head_rows = LANES(lanes_head_rows),
    .adamw = LANES(lanes_adamw),
    .peak = LANES(lanes_peak),
    .squares = LANES(lanes_squares),
};
